// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
)

// The rings beside a kernel that lies: between any two steps of ours it writes
// whatever a script says into whatever it can write. What must come of it is an
// error or a skipped frame; never a panic, a loop without end, or a slice that is
// not within the area.

// hangs is how long one input may take before the fuzzer is told of a hang.
const hangs = watchdog.Bound

// guard makes a panic of a hang. The result ends it.
func guard() (end func()) {
	timer := time.AfterFunc(hangs, func() { panic("the input takes for ever") })
	return func() { timer.Stop() }
}

const stepSize = 5

// script is what is to happen: one step is a byte that says which of so many kinds,
// and a number. It ends where it is too short.
func script(doing []byte, kinds byte) iter.Seq2[byte, uint32] {
	return func(yield func(what byte, value uint32) bool) {
		for ; len(doing) >= stepSize; doing = doing[stepSize:] {
			if !yield(doing[0]%kinds, binary.LittleEndian.Uint32(doing[1:])) {
				return
			}
		}
	}
}

// step is one step of a script, for seeds.
func step(what byte, value uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{what}, value)
}

func steps(all ...[]byte) (s []byte) {
	for _, one := range all {
		s = append(s, one...)
	}
	return s
}

// fuzzSize is the size of the rings that are fuzzed: small, so that frames wrap.
const fuzzSize = 4096

// fuzzedRing is a ring whose area holds content again and again.
func fuzzedRing(start uint32, content []byte) ringMemory {
	m := heapRing(fuzzSize, start)
	for at := 0; len(content) > 0 && at < len(m.data); {
		at += copy(m.data[at:], content)
	}
	return m
}

// holds fails unless b is one whole piece of the area, behind the header of a frame
// that begins at a place for frames.
func (m *ringMemory) holds(t *testing.T, b []byte) {
	t.Helper()
	if len(b) == 0 || cap(b) != len(b) {
		t.Fatalf("a slice of %d bytes with room for %d", len(b), cap(b))
	}
	first := frameHeader + int(m.headroom)
	for at := first; at < first+int(m.size); at += frameAlign {
		if &b[0] == &m.data[at] {
			if len(b) > len(m.data)-at {
				t.Fatalf("%d bytes at %d of an area of %d", len(b), at, len(m.data))
			}
			return
		}
	}
	t.Fatal("a slice that is not where frames are")
}

// fuzzedRoom is a headroom and a tailroom: none, as a rule, or odd ones.
func fuzzedRoom(start uint32) (headroom, tailroom uint32) {
	return start >> 12 % (maxRoom + 1), start >> 20 % (maxRoom + 1)
}

// holdsRoom writes to all of a frame's room and fails unless that is one whole piece of
// the area, with the payload in it.
func (m *ringMemory) holdsRoom(t *testing.T, f Frame) {
	t.Helper()
	front, behind := int(m.headroom), int(m.tailroom)
	all := f.Extend(front, behind)
	if len(all) != front+len(f.Data)+behind || cap(all) != len(all) || &all[front] != &f.Data[0] {
		t.Fatalf("%d bytes with room for %d around %d, headroom %d and tailroom %d", len(all), cap(all), len(f.Data), front, behind)
	}
	all[0]++
	all[len(all)-1]++
}

// Steps of a kernel that lies about the rx ring, and of the consumer beside it.
const (
	rxSetProducer byte = iota
	rxMoveProducer
	rxSetNeedSpace
	rxSetLength // of the frame that is next
	rxSetByte   // place and value
	rxPoll
	rxPeek
	rxPeekAll
	rxRelease
	rxArm
	rxSteps
)

// FuzzReceive: the consumer of the rx ring.
func FuzzReceive(f *testing.F) {
	empty, whole := step(rxPeekAll, 0), step(rxMoveProducer, fuzzSize/frameAlign)
	f.Add(uint32(0), []byte{}, []byte{})
	f.Add(uint32(64), []byte{10, 0, 0, 0}, steps(whole, step(rxPoll, 0), empty, step(rxRelease, 0)))
	f.Add(uint32(1<<32-64), []byte{0xE0, 0x0F, 0, 0}, steps(whole, step(rxPoll, 0), step(rxPeek, 0), step(rxRelease, 0)))
	f.Add(uint32(4032), []byte{0}, steps(whole, step(rxPoll, 0), empty, step(rxRelease, 0), step(rxArm, 0)))
	f.Add(uint32(0), []byte{1}, steps(whole, step(rxPoll, 0), step(rxSetLength, 1<<32-1), empty, empty))
	f.Add(uint32(0), []byte{}, steps(step(rxSetProducer, 4096+64), step(rxPoll, 0), step(rxSetProducer, 65), step(rxArm, 0)))
	f.Add(uint32(8192), []byte{20, 0, 0, 0}, steps(step(rxMoveProducer, 2), step(rxPoll, 0), empty,
		step(rxSetProducer, 8192), step(rxPoll, 0), step(rxRelease, 0), step(rxPoll, 0)))
	f.Add(uint32(4032), []byte{100, 0, 0, 0}, steps(step(rxMoveProducer, 6), step(rxPoll, 0), step(rxPeek, 0),
		step(rxSetLength, 200), step(rxPeek, 0), step(rxRelease, 0)))
	// 16 and 31 bytes of room; the header says more than there is behind it
	f.Add(uint32(31<<20|16<<12), []byte{10, 0, 0, 0}, steps(step(rxMoveProducer, 4), step(rxPoll, 0), empty, step(rxRelease, 0)))
	f.Add(uint32(31<<20|16<<12), []byte{128 - 32 - 16 - 31 + 1, 0, 0, 0}, steps(step(rxMoveProducer, 2), step(rxPoll, 0), step(rxPeek, 0)))
	f.Add(uint32(256<<20|256<<12|4032), []byte{1, 0, 0, 0}, steps(step(rxMoveProducer, 8), step(rxPoll, 0), step(rxPeek, 0)))
	f.Fuzz(func(t *testing.T, start uint32, content, doing []byte) {
		defer guard()()
		m := fuzzedRing(start, content)
		m.headroom, m.tailroom = fuzzedRoom(start)
		c := newConsumer(m, 2048)
		c.ahead = start & (fuzzSize/2 - frameAlign)
		r := receiver{t: t, c: &c}
		for what, value := range script(doing, rxSteps) {
			r.step(what, value)
			r.check()
		}
	})
}

// A receiver is a consumer and what its test knows of it.
type receiver struct {
	t *testing.T
	c *consumer
}

func (r *receiver) step(what byte, value uint32) {
	c := r.c
	switch what {
	case rxSetProducer:
		c.producer.Store(value)
	case rxMoveProducer:
		c.producer.Add(value * frameAlign)
	case rxSetNeedSpace:
		c.needSpace.Store(value)
	case rxSetLength:
		binary.NativeEndian.PutUint32(c.data[c.head&(c.size-1)+offLength:], value)
	case rxSetByte:
		c.data[value>>8&(2*fuzzSize-1)] = byte(value)
	case rxPoll:
		_, err := c.poll()
		r.ended(err)
	case rxPeek:
		r.peek()
	case rxPeekAll:
		for range fuzzSize / frameAlign {
			if !r.peek() {
				return
			}
		}
		if c.head != c.tail {
			r.t.Fatal("more frames than the ring can hold")
		}
	case rxRelease:
		c.release()
	case rxArm:
		_, err := c.arm()
		r.ended(err)
	}
}

// peek takes a frame and uses all of it.
func (r *receiver) peek() bool {
	f, ok, err := peek(r.c)
	r.ended(err)
	if !ok {
		return false
	}
	if err != nil || len(f.Data) > int(r.c.maxFrame) {
		r.t.Fatalf("a frame of %d bytes, %v", len(f.Data), err)
	}
	r.c.holds(r.t, f.Data)
	r.c.holdsRoom(r.t, f)
	f.Data[0]++
	f.Data[len(f.Data)-1]++
	if f.NeedsChecksum() != (f.VNet().Flags&VNetNeedsChecksum != 0) || f.SegmentSize() > 0 && f.VNet().GSOType == GSONone {
		r.t.Fatalf("metadata %+v and what it says differ", f.VNet())
	}
	return true
}

func (r *receiver) ended(err error) {
	if err != nil && !errors.Is(err, ErrRingBroken) {
		r.t.Fatal(err)
	}
}

func (r *receiver) check() {
	c := r.c
	known, peeked := c.tail-c.released, c.head-c.released
	if c.head%frameAlign != 0 || c.tail%frameAlign != 0 || known > c.size || peeked > known || c.consumer.Load()&^(frameAlign-1) != c.released {
		r.t.Fatalf("released %d (the kernel reads %d), head %d, tail %d in a ring of %d",
			c.released, c.consumer.Load(), c.head, c.tail, c.size)
	}
}

// Steps of a kernel that lies about the tx ring, and of the producer beside it.
const (
	txSetConsumer byte = iota
	txMoveConsumer
	txSetNeedWakeup
	txReserve
	txCommit
	txCommitWith
	txPublish
	txArm
	txFits
	txSteps
)

// FuzzSend: the producer of the tx ring.
func FuzzSend(f *testing.F) {
	put := func(n uint32) []byte { return steps(step(txReserve, n), step(txCommit, n)) }
	f.Add(uint32(0), []byte{})
	f.Add(uint32(0), steps(put(100), step(txPublish, 0), step(txMoveConsumer, 3), put(100), step(txPublish, 0)))
	f.Add(uint32(1<<32-64), steps(put(4000), step(txPublish, 0), put(1), step(txArm, 1), step(txMoveConsumer, 63), put(2000)))
	f.Add(uint32(64), steps(put(4064), step(txPublish, 0), step(txSetConsumer, 0), put(1), step(txFits, 10)))
	f.Add(uint32(64), steps(put(4064), step(txPublish, 0), step(txSetConsumer, 65), put(1), step(txArm, 10)))
	f.Add(uint32(0), steps(put(2000), step(txPublish, 0), put(1900), step(txMoveConsumer, 62), put(3000)))
	f.Add(uint32(4032), steps(step(txReserve, 3000), step(txCommit, 3001), step(txCommit, 1), step(txReserve, 1<<31), step(txCommitWith, 5)))
	f.Fuzz(func(t *testing.T, start uint32, doing []byte) {
		defer guard()()
		p := newProducer(heapRing(fuzzSize, start), testMaxFrame)
		s := fuzzedProducer{t: t, p: &p}
		for what, value := range script(doing, txSteps) {
			s.step(what, value)
			s.check()
		}
	})
}

// A fuzzedProducer is a producer beside its test.
type fuzzedProducer struct {
	t *testing.T
	p *producer
}

func (s *fuzzedProducer) step(what byte, value uint32) {
	p := s.p
	switch what {
	case txSetConsumer:
		p.consumer.Store(value)
	case txMoveConsumer:
		p.consumer.Add(value * frameAlign)
	case txSetNeedWakeup:
		p.needWakeup.Store(value)
	case txReserve:
		s.reserve(int(int32(value)))
	case txCommit:
		s.commit(int(int32(value)), nil)
	case txCommitWith:
		m := vnetMetadata(VNetHeader{GSOSize: uint16(value), Flags: byte(value >> 16)})
		m.flags, m.hash = flagHash, value
		s.commit(int(int32(value)), &m)
	case txPublish:
		p.publish()
	case txArm:
		s.wait(p.arm, value)
	case txFits:
		s.wait(p.fits, value)
	}
}

// reserve writes to all that it got.
func (s *fuzzedProducer) reserve(n int) {
	slot, err := s.p.reserve(n)
	switch {
	case err == nil && len(slot) == n:
		s.p.holds(s.t, slot)
		fill(slot, byte(n))
	case slot != nil || err != errEmpty && err != ErrTooLong && err != ErrFull && err != ErrRingBroken:
		s.t.Fatalf("reserve(%d): %d bytes, %v", n, len(slot), err)
	}
}

func (s *fuzzedProducer) commit(n int, m *metadata) {
	if err := s.p.commit(n, m); err != nil && err != errNoReservation && err != errShortReserve {
		s.t.Fatalf("commit(%d): %v", n, err)
	}
}

// wait asks for room as WaitSpace does, which has checked the length before.
func (s *fuzzedProducer) wait(ask func(uint32) (bool, error), n uint32) {
	if s.p.check(int(int32(n))) != nil {
		return
	}
	ok, err := ask(n)
	if err != nil && err != ErrRingBroken || ok && frameSize(n) > s.p.room() {
		s.t.Fatalf("room for %d: %v, %v, of %d", n, ok, err, s.p.room())
	}
}

func (s *fuzzedProducer) check() {
	p := s.p
	used, shown := p.head-p.tail, p.published-p.tail
	if p.head%frameAlign != 0 || p.tail%frameAlign != 0 || used > p.size || shown > used || p.producer.Load()&^(frameAlign-1) != p.published {
		s.t.Fatalf("tail %d, published %d (the kernel reads %d), head %d in a ring of %d",
			p.tail, p.published, p.producer.Load(), p.head, p.size)
	}
}
