// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"
	"sync/atomic"
)

// The rings, pure logic: no system call, no unsafe, no lock, no allocation.
//
// An index counts bytes, runs freely and wraps at 2^32; index modulo the size of
// the area, a power of two, is a place in it. Frames begin at multiples of
// frameAlign. The area is mapped twice back to back, so a frame that begins near
// the end is contiguous all the same.
//
// Each ring has four shared words. Of each pair, one side writes and the other
// reads, and the two pairs make two kinds of promise:
//
//	producer's side               consumer's side
//	  A  write frames
//	  B  producer  = new ------>    C  read producer
//	     (release)                  D  read frames
//	     read consumer  <-------    E  consumer = new
//	     reuse the place               (release)
//
// Without B's release the consumer sees frames before their bytes; without E's
// the producer overwrites what is still being read.
//
//	awake side publishes          other side goes to sleep
//	  1  index = new                1  event word = what to wait for
//	     full barrier                  full barrier
//	  2  read event word            2  read index again
//	     signal if it was crossed      sleep only if it did not move
//
// Without the barriers each side can read before its write is seen, the one not
// signal and the other sleep: a lost wake-up. The event word is need_wakeup when
// a consumer waits for frames and need_space when a producer waits for room.
//
// All words are atomic.Uint32: the operations of sync/atomic are sequentially
// consistent, which contains the releases and the full barriers.
//
// Nothing that the other side writes is trusted. An index that makes no sense
// ends in ErrRingBroken; a mask keeps every access inside the area.

// In the rx ring there may be room between a frame's header and its payload, and
// behind the payload, for the process to write to: both belong to the frame.

// maxRing is the largest ring, in bytes, that the arithmetic here is good for.
const maxRing = 1 << 30

// ringMemory is what the two sides of one ring share.
type ringMemory struct {
	data []byte // the area twice: len(data) == 2*size
	size uint32 // bytes, a power of two, at least frameAlign

	producer   *atomic.Uint32
	consumer   *atomic.Uint32
	needWakeup *atomic.Uint32
	needSpace  *atomic.Uint32

	headroom, tailroom uint32 // bytes around each payload, at most maxRoom; tx has none
}

// crossed reports whether an index that went from old to now moved past event.
func crossed(event, old, now uint32) bool {
	return now-event-1 < now-old
}

// A consumer takes frames out of the rx ring.
type consumer struct {
	ringMemory
	maxFrame uint32 // longest payload, in bytes
	room     uint32 // headroom and tailroom

	released uint32 // our index as the kernel knows it
	head     uint32 // our index: everything before was peeked
	tail     uint32 // the kernel's index as we know it
	skipped  uint64 // frames that were malformed, but had a usable length
	ahead    uint32 // bytes that may come without a doorbell while we sleep

	// fill puts more frames into the ring, if nobody else does: then it is the
	// producer, called by whoever has the ring.
	fill func() error
}

func newConsumer(m ringMemory, maxFrame uint32) consumer {
	at := m.consumer.Load() &^ (frameAlign - 1)
	return consumer{ringMemory: m, maxFrame: maxFrame, room: m.headroom + m.tailroom, released: at, head: at, tail: at}
}

// refresh reads the kernel's index. It must stay ahead of what it was, and
// within one ring of what was released.
func (c *consumer) refresh() error {
	if c.fill != nil {
		if err := c.fill(); err != nil {
			return err
		}
	}
	tail := c.producer.Load()
	ahead := tail - c.released
	if ahead > c.size || ahead < c.tail-c.released || tail%frameAlign != 0 {
		return ErrRingBroken
	}
	c.tail = tail
	return nil
}

// poll reports whether there are frames, and looks at the kernel's index only
// if none is known.
func (c *consumer) poll() (bool, error) {
	if c.head != c.tail {
		return true, nil
	}
	err := c.refresh()
	return c.head != c.tail, err
}

// peek sets f to the next frame and moves on to the one after it. It returns false
// when there is none that it knows of. The length is read from shared memory
// once, into a local; the Go memory model forbids the compiler to read it again.
//
// A Frame is too large for the compiler to keep in registers, and each copy of one
// waits for the stores of the one before: hence the pointer.
func (c *consumer) peek(f *Frame) (bool, error) {
	for c.head != c.tail {
		at := c.head & (c.size - 1)
		header := (*[frameHeader]byte)(c.data[at:])
		length := binary.NativeEndian.Uint32(header[offLength:])
		if uint64(length)+uint64(frameHeader+c.room) > uint64(c.tail-c.head) {
			return false, ErrRingBroken
		}
		c.head += frameSize(length + c.room)
		if length == 0 || length > c.maxFrame {
			c.skipped++
			continue
		}
		begin := at + frameHeader + c.headroom
		end := begin + length
		f.Data = c.data[begin:end:end]
		f.Hash = binary.NativeEndian.Uint32(header[offHash:])
		f.HashValid = binary.NativeEndian.Uint32(header[offFlags:])&flagHash != 0
		f.ring, f.at, f.length = &c.ringMemory, at, length
		return true, nil
	}
	return false, nil
}

// release gives everything that was peeked back to the kernel, and reports
// whether the kernel waits for that room and wants a doorbell.
func (c *consumer) release() bool {
	old, now := c.released, c.head
	if old == now {
		return false
	}
	c.released = now
	c.consumer.Store(now)
	return crossed(c.needSpace.Load(), old, now)
}

// arm asks the kernel for a doorbell when more than ahead has come. It reports
// true if there is a frame already, so that the caller must not sleep: the kernel
// minds a time only for frames that come later.
func (c *consumer) arm() (bool, error) {
	if c.head != c.tail {
		return true, nil
	}
	if c.fill != nil { // what is to be put into the ring wakes us by itself
		return false, nil
	}
	c.needWakeup.Store(c.head + c.ahead)
	return c.poll()
}

// A producer puts frames into the tx ring.
type producer struct {
	ringMemory
	maxFrame uint32 // longest payload, in bytes

	published uint32 // our index as the kernel knows it
	head      uint32 // our index: everything before is committed
	tail      uint32 // the kernel's index as we know it
	reserved  uint32 // payload bytes of the open reservation, 0 if none is

	// drain takes all that is published out of the ring, if nobody else does: then it
	// is the consumer, called by whoever has the ring.
	drain func()
}

func newProducer(m ringMemory, maxFrame uint32) producer {
	if limit := m.size - frameHeader; maxFrame > limit {
		maxFrame = limit
	}
	at := m.producer.Load() &^ (frameAlign - 1)
	// A ring that is taken over may hold frames that the kernel has not taken yet. One
	// that seems to hold more than it can has no room, and refresh finds it broken.
	waiting := min(at-m.consumer.Load(), m.size)
	return producer{ringMemory: m, maxFrame: maxFrame, published: at, head: at, tail: at - waiting}
}

// refresh reads the kernel's index. It must lie between what it was and what
// was published.
func (p *producer) refresh() error {
	if p.drain != nil {
		p.publish()
	}
	tail := p.consumer.Load()
	if p.published-tail > p.published-p.tail || tail%frameAlign != 0 {
		return ErrRingBroken
	}
	p.tail = tail
	return nil
}

// room returns the bytes that are free as far as we know.
func (p *producer) room() uint32 {
	return p.size - (p.head - p.tail)
}

// check tells whether a payload of n bytes can ever be sent.
func (p *producer) check(n int) error {
	if n <= 0 {
		return errEmpty
	}
	if n > int(p.maxFrame) {
		return ErrTooLong
	}
	return nil
}

// fits reports whether there is room for a payload of n bytes, and looks at the
// kernel's index only if none is known.
func (p *producer) fits(n uint32) (bool, error) {
	if frameSize(n) <= p.room() {
		return true, nil
	}
	err := p.refresh()
	return frameSize(n) <= p.room(), err
}

// reserve returns n bytes to be filled, then committed. A reservation that is
// still open is dropped.
func (p *producer) reserve(n int) ([]byte, error) {
	p.reserved = 0
	if err := p.check(n); err != nil {
		return nil, err
	}
	if frameSize(uint32(n)) > p.room() {
		if ok, err := p.fits(uint32(n)); err != nil {
			return nil, err
		} else if !ok {
			return nil, ErrFull
		}
	}
	p.reserved = uint32(n)
	begin := p.head&(p.size-1) + frameHeader
	end := begin + p.reserved
	return p.data[begin:end:end], nil
}

// metadata is what a frame's header says besides its length. A nil pointer stands
// for the zero value.
type metadata struct {
	vnet  [vnetSize]byte // an encoded VNetHeader
	flags uint32         // flagHash or 0
	hash  uint32
}

func vnetMetadata(v VNetHeader) (m metadata) {
	encodeVNet(&m.vnet, v)
	return m
}

// commit makes a frame of the first n bytes of the reservation; 0 drops it. The
// kernel does not see the frame before publish.
func (p *producer) commit(n int, m *metadata) error {
	reserved := p.reserved
	p.reserved = 0
	switch {
	case reserved == 0:
		return errNoReservation
	case n < 0 || n > int(reserved):
		return errShortReserve
	case n == 0:
		return nil
	}
	header := (*[frameHeader]byte)(p.data[p.head&(p.size-1):])
	*header = [frameHeader]byte{}
	binary.NativeEndian.PutUint32(header[offLength:], uint32(n))
	if m != nil {
		binary.NativeEndian.PutUint32(header[offFlags:], m.flags)
		binary.NativeEndian.PutUint32(header[offHash:], m.hash)
		*(*[vnetSize]byte)(header[offVNet:]) = m.vnet
	}
	p.head += frameSize(uint32(n))
	return nil
}

// publish shows all committed frames to the kernel, and reports whether it
// sleeps and wants a doorbell.
func (p *producer) publish() bool {
	old, now := p.published, p.head
	if old == now {
		return false
	}
	p.published = now
	p.producer.Store(now)
	if p.drain != nil {
		p.drain()
		return false
	}
	return crossed(p.needWakeup.Load(), old, now)
}

// arm asks the kernel for a signal once a payload of n bytes fits and at least
// half of the ring is free: fewer, larger wake-ups. It reports true if there is
// room for the payload after all, so that the caller must not sleep. Everything
// committed must have been published, or the kernel could never make that room.
func (p *producer) arm(n uint32) (bool, error) {
	want := max(frameSize(n), p.size/2)
	p.needSpace.Store(p.head - (p.size - want) - 1)
	return p.fits(n)
}
