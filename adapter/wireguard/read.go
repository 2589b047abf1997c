// SPDX-License-Identifier: MIT

package wireguard

import (
	"errors"
	"io"

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
	r := &d.reader
	r.bufs, r.sizes, r.offset, r.n = bufs, sizes, offset, 0
	defer func() { r.bufs, r.sizes = nil, nil }()
	for r.cut(); r.n == 0; {
		if err := d.queue.ReadBatch(r.handle); err != nil {
			return 0, err
		}
	}
	return r.n, nil
}

// A reader is a Read's state.
type reader struct {
	bufs   [][]byte
	sizes  []int
	offset int
	n      int // buffers that are filled

	splitter gso.Splitter    // what is left of a frame
	kept     []byte          // that frame, where it did not fit
	handle   mytunev.Handler // take, made once
}

func (r *reader) init() { r.handle = r.take }

// take is the Handler: it leaves in the ring what there are no buffers for.
func (r *reader) take(b *mytunev.Batch) error {
	for r.n < len(r.bufs) {
		f, ok := b.Next()
		if !ok {
			break
		}
		r.add(f)
	}
	return nil
}

// add cuts a frame up into the buffers. One that they have no room for is kept, as the ring
// takes it back.
func (r *reader) add(f mytunev.Frame) {
	if r.splitter.Reset(mytunev.TUN, f.Data, f.VNet()) != nil {
		return // nothing that could be sent on
	}
	if r.splitter.Frames() > len(r.bufs)-r.n {
		r.kept = append(r.kept[:0], f.Data...)
		r.splitter.Reset(mytunev.TUN, r.kept, f.VNet())
	}
	r.cut()
}

// cut fills buffers with what is left of a frame.
func (r *reader) cut() {
	for r.n < len(r.bufs) {
		size, err := r.splitter.Next(r.bufs[r.n][r.offset:])
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil: // it cannot be sent on, nor can what is behind it
			r.splitter = gso.Splitter{}
			return
		}
		r.sizes[r.n] = size
		r.n++
	}
}
