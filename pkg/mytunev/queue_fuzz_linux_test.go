// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Steps of a kernel that lies to a whole queue, and of a program that uses it.
const (
	queueSetRxProducer byte = iota
	queueMoveRxProducer
	queueSetTxConsumer
	queueMoveTxConsumer
	queueSetEvents
	queueSetState
	queueSetLength // of the rx frame that is next
	queueSetByte   // of the rx area: place and value
	queueForward
	queueTake
	queueRead
	queueSend
	queueSendBatch
	queueSteps
)

// FuzzQueue: everything a program calls, on a queue whose kernel lies. Who would have
// to wait is told that the time is over.
func FuzzQueue(f *testing.F) {
	full := step(queueMoveRxProducer, fuzzSize/frameAlign)
	f.Add(uint32(0), []byte{}, []byte{})
	f.Add(uint32(64), []byte{100, 0, 0, 0}, steps(full, step(queueForward, 0), step(queueMoveTxConsumer, 10), step(queueForward, 3)))
	f.Add(uint32(1<<32-64), []byte{200, 0, 0, 0}, steps(full, step(queueRead, 100), step(queueRead, 4000), step(queueTake, 2), step(queueTake, 9)))
	f.Add(uint32(0), []byte{0}, steps(full, step(queueRead, 10), full, step(queueForward, 5)))
	f.Add(uint32(128), []byte{9, 0, 0, 0, 1, 0, 0, 0}, steps(full, step(queueTake, 2), step(queueSetLength, math.MaxUint32), step(queueForward, 1)))
	f.Add(uint32(128), []byte{}, steps(step(queueSend, 4000), step(queueSend, 100), step(queueSetTxConsumer, 64), step(queueSend, 100)))
	f.Add(uint32(128), []byte{}, steps(step(queueSendBatch, 700), step(queueSetEvents, 4096), step(queueSendBatch, 1),
		step(queueSetState, stateDetached), step(queueSend, 1), step(queueRead, 1)))
	f.Fuzz(func(t *testing.T, start uint32, content, doing []byte) {
		defer guard()()
		u := newUser(t, start, content)
		for what, value := range script(doing, queueSteps) {
			u.step(what, value)
		}
		if err := u.q.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A user is a program with a queue, and the memory that the kernel lies in.
type user struct {
	t      *testing.T
	q      *Queue
	rx, tx ringMemory
	state  atomic.Uint32
	buf    [fuzzSize]byte
}

func newUser(t *testing.T, start uint32, content []byte) *user {
	u := &user{t: t, rx: fuzzedRing(start, content), tx: fuzzedRing(start, content)}
	u.rx.headroom, u.rx.tailroom = fuzzedRoom(start)
	u.q = newQueue(&Device{}, 0, port{
		rx: u.rx, tx: u.tx, maxFrame: testMaxFrame, state: &u.state, vnet: start&1 != 0, hash: start&2 != 0,
		frames: idler{}, space: idler{}, doorbell: idler{}, file: fakeFile{}, close: func() error { return nil },
	})
	past := time.Now().Add(-time.Hour)
	if err := u.q.SetDeadline(past); err != nil {
		t.Fatal(err)
	}
	return u
}

// An idler is an eventfd that nobody ever waits for.
type idler struct{}

func (idler) Signal() error { return nil }
func (idler) kick()         {}
func (idler) close() error  { return nil }

func (idler) wait(ready func() bool) error {
	if !ready() {
		panic("a wait beyond the deadline")
	}
	return nil
}

func (u *user) step(what byte, value uint32) {
	switch what {
	case queueSetRxProducer:
		u.rx.producer.Store(value)
	case queueMoveRxProducer:
		u.rx.producer.Add(value * frameAlign)
	case queueSetTxConsumer:
		u.tx.consumer.Store(value)
	case queueMoveTxConsumer:
		u.tx.consumer.Add(value * frameAlign)
	case queueSetEvents:
		u.rx.needSpace.Store(value)
		u.tx.needWakeup.Store(value)
	case queueSetState:
		u.state.Store(value)
	case queueSetLength:
		binary.NativeEndian.PutUint32(u.rx.data[u.rx.consumer.Load()&(fuzzSize-frameAlign):], value)
	case queueSetByte:
		u.rx.data[value>>8&(2*fuzzSize-1)] = byte(value)
	default:
		u.use(what, value)
	}
}

func (u *user) use(what byte, value uint32) {
	var err error
	switch what {
	case queueForward:
		err = u.run(value, u.forward)
	case queueTake:
		err = u.run(value, func(*Batch, Frame) error { return nil })
	case queueRead:
		_, err = u.q.Read(u.buf[:value%fuzzSize])
	case queueSend:
		err = u.q.Send(u.buf[:value%fuzzSize])
	case queueSendBatch:
		err = u.q.SendBatch(func(tx *Tx) error { return u.batch(tx, int(value%fuzzSize)) })
	}
	u.expected(err)
}

// run hands a batch to a Handler that takes so many frames, as Run does.
func (u *user) run(frames uint32, each func(*Batch, Frame) error) error {
	b := newBatch(u.q, context.Background())
	_, err := u.q.deliver(b, func(b *Batch) error {
		for range frames%batchFrames + 1 {
			f, ok := b.Next()
			if !ok {
				break
			}
			u.rx.holds(u.t, f.Data)
			u.rx.holdsRoom(u.t, f)
			if err := each(b, f); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// forward sends a frame on with its metadata, and the frame turned around in place.
func (u *user) forward(b *Batch, f Frame) error {
	if err := b.SendFrame(f); err != nil {
		return err
	}
	f.Data[0], f.Data[len(f.Data)-1] = f.Data[len(f.Data)-1], f.Data[0]
	return b.SendVNet(f.Data, f.VNet())
}

// batch sends frames until there is no room.
func (u *user) batch(tx *Tx, n int) error {
	for {
		slot, err := tx.Reserve(n)
		if err == ErrFull {
			return tx.WaitSpace(n)
		}
		if err != nil {
			return err
		}
		u.tx.holds(u.t, slot)
		fill(slot, byte(n))
		if err := tx.CommitHash(n, VNetHeader{}, uint32(n)); err != nil {
			return err
		}
	}
}

func (u *user) expected(err error) {
	if err == nil || err == errEmpty {
		return
	}
	for _, e := range []error{ErrRingBroken, ErrDetached, ErrTooLong, ErrNotSupported, io.ErrShortBuffer, os.ErrDeadlineExceeded} {
		if errors.Is(err, e) {
			return
		}
	}
	u.t.Fatal(err)
}

// FuzzLayout: where the kernel says that all is. What validate lets through must be
// good for rings.
func FuzzLayout(f *testing.F) {
	page := uint32(unix.Getpagesize())
	layout := func(words ...uint32) (b []byte) {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	f.Add(layout(page, 0, frameHeader, frameAlign, testMaxFrame, 1<<17, 128, 128, 256, 256, 1<<17, 384, 384, 512, 512))
	f.Add(layout(page, 0, frameHeader, frameAlign, testMaxFrame, 1<<17, 128, 128, 256, 256, 1<<17, 384, 384, 512, 512,
		0, 0, maxRoom, 16, maxRoom, 16))
	f.Add(layout(page, page-4, frameHeader, frameAlign, 1, 1<<17, 4, 4, 8, 8, 1<<17, 12, 12, 16, 16))
	f.Add(layout(page, math.MaxUint32, frameHeader, frameAlign, 1<<31, 1<<17, 4, 4, 8, 8, 1<<17, 12, 12, 16, 16))
	f.Add(layout(1<<20+page, 0, frameHeader, frameAlign, testMaxFrame, 1<<17, 2, 2, 1<<31, 8, 1<<16, 4, 4, 8, 8))
	f.Fuzz(func(t *testing.T, raw []byte) {
		const ring = 1 << 17
		word := func() (w uint32) {
			if len(raw) >= 4 {
				w, raw = binary.LittleEndian.Uint32(raw), raw[4:]
			}
			return w
		}
		info := abiInfo{pageLength: word(), state: word(), frameHeader: word(), frameAlign: word(), frameMax: word()}
		for _, r := range []*abiRingInfo{&info.rx, &info.tx} {
			r.size, r.producer, r.consumer, r.needWakeup, r.needSpace = word(), word(), word(), word(), word()
			r.dataLength = uint64(r.size) * 2
		}
		info.kernelPageOffset, info.userPageOffset = uint64(word())<<12, uint64(word())<<12
		info.rx.headroom, info.rx.tailroom = uint16(word()), uint16(word())
		asked := abiRingConfig{rxSize: ring, txSize: ring, rxHeadroom: word() % (maxRoom + 1), rxTailroom: word() % (maxRoom + 1)}
		if info.validate(asked) != nil {
			return
		}
		kernel, user := make([]byte, info.pageLength), make([]byte, info.pageLength)
		wordAt(kernel, info.state).Load()
		rx := info.rx.memory(make([]byte, info.rx.dataLength), kernel, user)
		tx := info.tx.memory(make([]byte, info.tx.dataLength), user, kernel)
		exchangeOne(t, newProducer(tx, info.frameMax), newConsumer(rx, info.frameMax))
	})
}

// exchangeOne sends the longest frame there can be, and receives it.
func exchangeOne(t *testing.T, p producer, c consumer) {
	slot, err := p.reserve(int(p.maxFrame))
	if err != nil {
		t.Fatal(err)
	}
	p.holds(t, slot)
	if err := p.commit(len(slot), nil); err != nil {
		t.Fatal(err)
	}
	p.publish()
	copy(c.data, p.data[:frameHeader])
	copy(c.data[frameHeader+c.headroom:], slot)
	c.producer.Store(frameSize(uint32(len(slot)) + c.room))
	if ready, err := c.poll(); !ready || err != nil {
		t.Fatal(ready, err)
	}
	f := mustPeek(t, &c, slot)
	if all := f.Extend(int(c.headroom), int(c.tailroom)); len(all) != len(slot)+int(c.room) {
		t.Fatalf("%d of %d bytes with room of %d", len(all), len(slot), c.room)
	}
}
