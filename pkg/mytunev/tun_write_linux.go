// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// drain implements producer.drain: it writes all frames that are in the ring, straight
// from it. A write does not wait; a frame that the kernel does not take is counted, and
// those behind it are written.
func (q *tunQueue) drain() {
	producer := q.tx.producer.Load()
	frames, bytes := 0, 0
	for q.txTail != producer {
		at := q.txTail & (q.tx.size - 1)
		header := (*[frameHeader]byte)(q.tx.data[at:])
		length := binary.NativeEndian.Uint32(header[offLength:])
		if length == 0 || length > tunFrameMax || frameSize(length) > producer-q.txTail {
			q.state.Or(stateBroken) // by a slice that was kept too long
			return
		}
		frame := q.tx.data[at : at+frameHeader+length]
		err := q.writeFrame(header, frame)
		if err == unix.EBADFD { // nobody will have the others
			q.detach()
			break
		}
		if err == nil {
			frames++
			bytes += int(length)
		} else {
			q.countRefused(err, frame[frameHeader:])
		}
		q.txTail += frameSize(length)
	}
	q.txTail = producer
	q.tx.consumer.Store(producer)
	q.counters.txFrames.Add(uint64(frames))
	q.counters.txBytes.Add(uint64(bytes))
}

// writeFrame writes a frame of the ring. Its header is not needed any more: what stock
// tun wants to have in front of the payload takes its place.
func (q *tunQueue) writeFrame(header *[frameHeader]byte, frame []byte) error {
	if q.header != 0 {
		vnet := *(*[vnetSize]byte)(header[offVNet:])
		*(*[tunHeader]byte)(header[frameHeader-tunHeader:]) = toTunHeader(&vnet)
	}
	_, err := q.writeFD(q.fd, frame[frameHeader-q.header:])
	for isRetry(err) {
		_, err = q.writeFD(q.fd, frame[frameHeader-q.header:])
	}
	return err
}

// ethernetHeader is the least that a frame of a TAP device has, in bytes.
const ethernetHeader = 14

// countRefused counts a frame that the kernel did not take, by the error of write and by
// what the kernel looks at before it looks at the VNetHeader.
func (q *tunQueue) countRefused(err error, payload []byte) {
	c := &q.counters
	switch {
	case err == unix.EIO:
		c.droppedDown.Add(1)
	case err == unix.EMSGSIZE, err == unix.EINVAL && q.tap && len(payload) < ethernetHeader:
		c.refusedLength.Add(1)
	case err == unix.EINVAL && !q.tap && payload[0]>>4 != 4 && payload[0]>>4 != 6:
		c.refusedProtocol.Add(1)
	case err == unix.EINVAL:
		c.refusedVNet.Add(1)
	default:
		c.droppedMemory.Add(1)
	}
}
