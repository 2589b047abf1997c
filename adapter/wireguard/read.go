// SPDX-License-Identifier: MIT

package wireguard

import (
	"github.com/mytun/mytun/pkg/gso"
	"github.com/mytun/mytun/pkg/mytunev"
)

// Read implements tun.Device: it waits for packets and fills buffers with as many as there
// are. What a super-packet stands for beyond the last buffer is the beginning of the next Read.
// A packet that is longer than its buffer is lost.
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if len(bufs) == 0 {
		return 0, nil
	}
	d.buffers = bufferPlaces{bufs, sizes, offset, 0}
	defer func() { d.buffers = bufferPlaces{} }()
	return d.read(&d.buffers)
}

// read waits for packets and puts as many in places as there are and fit. The caller holds reading.
func (d *Device) read(to places) (int, error) {
	r := &d.reader
	r.to = to
	defer func() { r.to = nil }()
	for r.cut(); to.taken() == 0; {
		if err := d.queue.ReadBatch(r.handle); err != nil {
			return 0, err
		}
	}
	return to.taken(), nil
}

// places are where a Read puts packets, one after the other.
type places interface {
	// fit reports whether so many more packets that are no longer than size bytes have a place. A single one that
	// would be the first has one, even if it is too long for it and will be lost.
	fit(packets, size int) bool
	// next is the place of the next packet.
	next() []byte
	// take says that there are so many bytes in it.
	take(size int)
	// taken is how many places have a packet.
	taken() int
}

// bufferPlaces are places with room for a packet each, at an offset.
type bufferPlaces struct {
	bufs   [][]byte
	sizes  []int
	offset int
	n      int
}

func (b *bufferPlaces) fit(packets, _ int) bool { return packets <= len(b.bufs)-b.n }

func (b *bufferPlaces) next() []byte { return b.bufs[b.n][b.offset:] }

func (b *bufferPlaces) take(size int) {
	b.sizes[b.n] = size
	b.n++
}

func (b *bufferPlaces) taken() int { return b.n }

// A reader is a Read's state, and what is kept for the next.
type reader struct {
	to       places
	splitter gso.Splitter    // what is left of a frame
	kept     []byte          // that frame, where it did not fit
	handle   mytunev.Handler // take, made once
}

func (r *reader) init() { r.handle = r.take }

// take is the Handler: it leaves in the ring what there is no place for.
func (r *reader) take(b *mytunev.Batch) error {
	for r.splitter.Frames() == 0 && r.to.fit(1, 1) {
		f, ok := b.Next()
		if !ok {
			break
		}
		r.add(f)
	}
	return nil
}

// add cuts a frame up into places. One that they have no room for is kept, as the ring takes it
// back.
func (r *reader) add(f mytunev.Frame) {
	if r.splitter.Reset(mytunev.TUN, f.Data, f.VNet()) != nil {
		return // nothing that could be sent on
	}
	if !r.to.fit(r.splitter.Frames(), r.splitter.Size()) {
		r.kept = append(r.kept[:0], f.Data...)
		r.splitter.Reset(mytunev.TUN, r.kept, f.VNet())
	}
	r.cut()
}

// cut fills places with what is left of a frame.
func (r *reader) cut() {
	for r.splitter.Frames() > 0 && r.to.fit(1, r.splitter.Size()) {
		size, err := r.splitter.Next(r.to.next())
		if err != nil { // it cannot be sent on, nor can what is behind it
			r.splitter = gso.Splitter{}
			return
		}
		r.to.take(size)
	}
}
