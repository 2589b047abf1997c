// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// A virtqueue is the driver's side of a split virtqueue (virtio 1.0, section 2.4) whose descriptors stand for one buffer each: descriptor i
// always has buffer i. Event indices are in use. It is little endian, as virtio is; so are the machines that this runs on.
type virtqueue struct {
	n       uint16 // descriptors, a power of two
	desc    []byte // 16 bytes each
	avail   []byte // flags, idx, n descriptors' numbers, used_event; 2 bytes each
	used    []byte // flags, idx, n entries of 8 bytes, avail_event
	buffers []byte
	size    int // bytes of a buffer

	next      uint16 // what idx of the available ring will be
	published uint16 // what it is
	seen      uint16 // entries of the used ring that were taken
}

// Sizes and flags of the parts.
const (
	descSize     = 16
	usedSize     = 8
	ringHeader   = 4 // flags and idx
	descWritable = 2 // VRING_DESC_F_WRITE: the device writes to it
)

// queueBytes is how much memory a queue of n buffers of size bytes takes.
func queueBytes(n uint16, size int) int {
	return align(int(n)*descSize) + align(ringHeader+2*int(n)+4) + align(ringHeader+usedSize*int(n)+4) + int(n)*size
}

func align(n int) int { return (n + 63) &^ 63 }

// newVirtqueue lays a queue out in memory, which is zero. What the device sees are addresses of this process.
func newVirtqueue(memory []byte, n uint16, size int, writable bool) *virtqueue {
	take := func(bytes int) []byte {
		part := memory[:bytes:bytes]
		memory = memory[bytes:]
		return part
	}
	q := &virtqueue{n: n, size: size}
	q.desc = take(align(int(n) * descSize))
	q.avail = take(align(ringHeader + 2*int(n) + 4))
	q.used = take(align(ringHeader + usedSize*int(n) + 4))
	q.buffers = take(int(n) * size)
	for i := range n {
		d := q.desc[int(i)*descSize:]
		binary.LittleEndian.PutUint64(d, uint64(address(q.buffer(i))))
		binary.LittleEndian.PutUint32(d[8:], uint32(size))
		if writable {
			binary.LittleEndian.PutUint16(d[12:], descWritable)
		}
	}
	return q
}

func (q *virtqueue) buffer(i uint16) []byte {
	return q.buffers[int(i)*q.size:][:q.size:q.size]
}

// setLength says how much of a buffer the device is to read.
func (q *virtqueue) setLength(i uint16, length int) {
	binary.LittleEndian.PutUint32(q.desc[int(i)*descSize+8:], uint32(length))
}

// offer makes a buffer the device's; it learns of it with publish.
func (q *virtqueue) offer(i uint16) {
	binary.LittleEndian.PutUint16(q.avail[ringHeader+2*int(q.next%q.n):], i)
	q.next++
}

// publish shows what was offered, and reports whether the device wants to be told.
func (q *virtqueue) publish() (kick bool) {
	old := q.published
	if old == q.next {
		return false
	}
	q.published = q.next
	// A full barrier on every architecture: avail_event is read after it.
	word(q.avail, 0).Store(uint32(q.next) << 16)
	event := uint16(word(q.used, ringHeader+usedSize*int(q.n)).Load())
	return needEvent(event, q.next, old)
}

// pending returns how many buffers the device is done with.
func (q *virtqueue) pending() uint16 {
	return uint16(word(q.used, 0).Load()>>16) - q.seen
}

// take returns the next buffer that the device is done with, and how many bytes it wrote. There must be one pending.
func (q *virtqueue) take() (i uint16, length int) {
	entry := q.used[ringHeader+usedSize*int(q.seen%q.n):]
	q.seen++
	return uint16(binary.LittleEndian.Uint32(entry)), int(binary.LittleEndian.Uint32(entry[4:]))
}

// arm asks to be told when more than skip further buffers are done with, and reports whether that has happened already.
func (q *virtqueue) arm(skip uint16) (ready bool) {
	word(q.avail, ringHeader+2*int(q.n)).Store(uint32(q.seen + skip))
	return q.pending() > skip
}

// needEvent is vring_need_event: whether an index that moved from old to next passed event.
func needEvent(event, next, old uint16) bool {
	return next-event-1 < next-old
}

// word is an aligned 32-bit word of memory that is shared with the kernel.
func word(memory []byte, at int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&memory[at]))
}

// address is where memory that the Go runtime does not move is.
func address(memory []byte) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
}
