// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// shortBurst is how many frames a fill may have found, at most, for the one after it to
// be left out.
const shortBurst = 8

// fill implements consumer.fill: it reads frames, each to where it belongs, until there
// are no more, the ring has no room for another, or there are as many as a Handler takes
// at a time.
//
// The last read finds nothing. After a short burst, the next look at the ring would do
// the same: it is left out, once, and the caller goes to sleep where a frame that came
// meanwhile wakes it at once.
func (q *tunQueue) fill() error {
	if q.dry {
		q.dry = false
		return nil
	}
	consumer := q.rx.consumer.Load()
	// Nobody is to be told that there is room.
	q.rx.needSpace.Store(consumer + 1<<31)
	begin, frames, bytes := q.rxHead, 0, 0
	largest := frameSize(q.rx.headroom + tunFrameMax + 1 + q.rx.tailroom)
	var err error
	for frames < batchFrames && q.rx.size-(q.rxHead-consumer) >= largest {
		var n int
		if n, err = q.readFrame(); err != nil {
			break
		}
		if n > 0 {
			frames++
			bytes += n
		}
	}
	if q.rxHead != begin {
		q.rx.producer.Store(q.rxHead)
		q.counters.rxFrames.Add(uint64(frames))
		q.counters.rxBytes.Add(uint64(bytes))
	}
	switch err {
	case nil:
		return nil
	case unix.EAGAIN:
		q.dry = q.awaited && frames > 0 && frames <= shortBurst
		return nil
	case unix.EBADFD:
		q.detach()
		return nil
	case unix.EINVAL: // a frame that this header cannot describe, under offloads that have changed: it is gone
		q.counters.rxDropped.Add(1)
		return nil
	}
	if frames > 0 { // it will be there at the next call too
		return nil
	}
	return opError("read from", "tun device", err, "")
}

// readFrame reads one frame into the ring and returns the bytes of its payload, 0 for
// one that was longer than a frame can be, of which there is room for one byte too many.
func (q *tunQueue) readFrame() (int, error) {
	at := q.rxHead & (q.rx.size - 1)
	payload := frameHeader + q.rx.headroom
	frame := q.rx.data[at : at+payload+tunFrameMax+1]
	clear(frame[payload-q.header : payload]) // before Linux 6.15, tun skips what it has nothing to say in
	n, err := q.readFD(q.fd, frame[payload-q.header:])
	for isRetry(err) {
		n, err = q.readFD(q.fd, frame[payload-q.header:])
	}
	if err != nil {
		return 0, err
	}
	n -= int(q.header)
	if n <= 0 || n > tunFrameMax {
		q.counters.rxDropped.Add(1)
		return 0, nil
	}
	header := (*[frameHeader]byte)(frame)
	var vnet [vnetSize]byte
	if q.header != 0 {
		vnet = fromTunHeader((*[tunHeader]byte)(frame[payload-tunHeader:]))
	}
	*header = [frameHeader]byte{}
	binary.NativeEndian.PutUint32(header[offLength:], uint32(n))
	*(*[vnetSize]byte)(header[offVNet:]) = vnet
	q.rxHead += frameSize(q.rx.headroom + uint32(n) + q.rx.tailroom)
	return n, nil
}

// The virtio_net_hdr_v1 of a tunHeader, and behind a hash that stock tun has no use for,
// the two offsets that a frame's header has right behind it.
const (
	vnetOffsets   = 12
	tunHeaderHash = 12
	tunOffsets    = 20
)

func fromTunHeader(h *[tunHeader]byte) (v [vnetSize]byte) {
	copy(v[:vnetOffsets], h[:])
	copy(v[vnetOffsets:], h[tunOffsets:])
	return v
}

func toTunHeader(v *[vnetSize]byte) (h [tunHeader]byte) {
	copy(h[:tunHeaderHash], v[:])
	copy(h[tunOffsets:], v[vnetOffsets:])
	return h
}
