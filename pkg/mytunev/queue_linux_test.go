// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
)

var errStop = errors.New("stop")

// collect is a Handler that checks frames of pattern(size(i), i) and ends Run
// after n.
func collect(t *testing.T, n int, size func(int) int) Handler {
	next := 0
	return func(b *Batch) error {
		for f := range b.Frames() {
			if !bytes.Equal(f.Data, pattern(size(next), byte(next))) {
				t.Errorf("frame %d, %d bytes, is not what was sent", next, len(f.Data))
				return errStop
			}
			next++
		}
		if next >= n {
			return errStop
		}
		return nil
	}
}

func testSize(i int) int { return 1 + i*7919%3000 }

func TestRun(t *testing.T) {
	const frames = 5000
	q, k := newFake(t)
	wait := start(t.Context(), q, collect(t, frames, testSize))
	for i := range frames {
		if !k.send(pattern(testSize(i), byte(i))) {
			break
		}
	}
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
	s, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Frames != frames || s.Batches == 0 || s.Malformed != 0 || s.RxFrames != 7 || s.KthreadSleeps != 9 {
		t.Errorf("%+v", s)
	}
	if s.Wakeups > k.rxBells.Load()+1 {
		t.Errorf("%d wake-ups for %d doorbells", s.Wakeups, k.rxBells.Load())
	}
}

// TestRunOneByOne sends a frame only when the one before has been handled, so
// the queue sleeps and wakes for each: none may get lost.
func TestRunOneByOne(t *testing.T) {
	const frames = 2000
	q, k := newFake(t)
	handled := make(chan struct{}, 1)
	check := collect(t, frames, testSize)
	wait := start(t.Context(), q, func(b *Batch) error {
		defer func() { handled <- struct{}{} }()
		return check(b)
	})
	for i := range frames {
		k.send(pattern(testSize(i), byte(i)))
		select {
		case <-handled:
		case <-time.After(watchdog.Bound):
			t.Fatalf("frame %d got lost: %d doorbells", i, k.rxBells.Load())
		}
	}
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
}

func TestBatchIsBounded(t *testing.T) {
	q, k := newFake(t)
	const frames = 3*batchFrames + 10
	for i := range frames {
		if !k.put(pattern(10, byte(i)), uint32(i)) {
			t.Fatal("ring full")
		}
	}
	k.show()
	var sizes []int
	total := 0
	err := q.Run(t.Context(), func(b *Batch) error {
		n := 0
		for f, ok := b.Next(); ok; f, ok = b.Next() {
			if !f.HashValid || f.Hash != uint32(total) {
				t.Errorf("frame %d: hash %d, %v", total, f.Hash, f.HashValid)
			}
			n++
			total++
		}
		sizes = append(sizes, n)
		if total == frames {
			return errStop
		}
		return nil
	})
	if err != errStop || fmt.Sprint(sizes) != "[256 256 256 10]" {
		t.Errorf("batches of %v, %v", sizes, err)
	}
	if got := k.rx.consumer.Load(); got != k.rxProducer {
		t.Errorf("released up to %d, want %d", got, k.rxProducer)
	}
}

func TestFramesLeftAreOfferedAgain(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(1, 1), pattern(2, 2), pattern(3, 3))
	var got []int
	err := q.Run(t.Context(), func(b *Batch) error {
		f, ok := b.Next()
		if !ok {
			t.Error("a call without frames")
		}
		got = append(got, len(f.Data))
		if len(got) == 3 {
			return errStop
		}
		return nil
	})
	if err != errStop || fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBreakOutOfFrames(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(1, 1), pattern(2, 2))
	q.Run(t.Context(), func(b *Batch) error {
		for range b.Frames() {
			break
		}
		if f, ok := b.Next(); !ok || len(f.Data) != 2 {
			t.Errorf("after break: %d bytes, %v, want the second frame", len(f.Data), ok)
		}
		return errStop
	})
}

func TestHandlerErrorSendsAndReleases(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(100, 1))
	err := q.Run(t.Context(), func(b *Batch) error {
		f, _ := b.Next()
		if err := b.Send(f.Data); err != nil {
			t.Error(err)
		}
		if k.tx.producer.Load() != k.txConsumer {
			t.Error("published before the Handler returned")
		}
		return errStop
	})
	if err != errStop {
		t.Fatal(err)
	}
	if got := k.take(); !bytes.Equal(got, pattern(100, 1)) {
		t.Errorf("sent %x", got)
	}
	if k.rx.consumer.Load() != k.rxProducer {
		t.Error("the frame was not given back")
	}
}

func TestHandlerPanicLeavesTheQueueUsable(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(100, 1))
	func() {
		defer func() {
			if recover() != errStop {
				t.Error("the panic was swallowed")
			}
		}()
		q.Run(t.Context(), func(b *Batch) error {
			b.Reserve(10)
			panic(errStop)
		})
	}()
	within(t, "Send and Close after a panic", func() {
		if err := q.Send(pattern(10, 1)); err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBatchAfterReturn(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(100, 1), pattern(100, 2))
	var kept *Batch
	q.Run(t.Context(), func(b *Batch) error {
		kept = b
		if b.Queue() != q {
			t.Error("Queue is another one")
		}
		return errStop
	})
	if _, ok := kept.Next(); ok {
		t.Error("Next after the Handler returned gives a frame")
	}
	if _, err := kept.Reserve(10); err != errExpired {
		t.Errorf("Reserve: %v, want %v", err, errExpired)
	}
	if err := kept.Commit(10); err != errNoReservation {
		t.Errorf("Commit: %v, want %v", err, errNoReservation)
	}
	if err := kept.WaitSpace(10); err != errExpired {
		t.Errorf("WaitSpace: %v, want %v", err, errExpired)
	}
}

func TestOneDoorbellPerBatch(t *testing.T) {
	q, k := newFake(t)
	k.doze()
	k.rx.needSpace.Store(k.rx.consumer.Load()) // both reasons at once
	for i := range 100 {
		k.put(pattern(50, byte(i)), 0)
	}
	k.show()
	q.Run(t.Context(), func(b *Batch) error {
		for f := range b.Frames() {
			slot, err := b.Reserve(len(f.Data))
			if err != nil {
				return err
			}
			b.Commit(copy(slot, f.Data))
		}
		return errStop
	})
	if s, _ := q.Stats(); s.Doorbells != 1 {
		t.Errorf("%d doorbells, want 1", s.Doorbells)
	}
	if got := k.receive(100); len(got) != 100 {
		t.Errorf("%d frames sent, want 100", len(got))
	}
}

func TestNoDoorbellForAKernelThatIsAwake(t *testing.T) {
	q, k := newFake(t)
	for i := range 1000 {
		if err := q.Send(pattern(100, byte(i))); err != nil {
			t.Fatal(err)
		}
		if got := k.take(); !bytes.Equal(got, pattern(100, byte(i))) {
			t.Fatalf("frame %d: %x", i, got)
		}
		k.giveBack()
	}
	if s, _ := q.Stats(); s.Doorbells != 0 {
		t.Errorf("%d doorbells, want 0", s.Doorbells)
	}
	if k.spaceBells.Load() != 0 {
		t.Errorf("%d space signals, want 0", k.spaceBells.Load())
	}
}

func TestReleaseRingsForAKernelThatWaitsForRoom(t *testing.T) {
	const frames = 1000
	q, k := newFake(t)
	wait := start(t.Context(), q, collect(t, frames, func(int) int { return 3000 }))
	for i := range frames { // several times the ring
		if !k.send(pattern(3000, byte(i))) {
			t.Fatal("the kernel was not woken")
		}
	}
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
}

func TestSend(t *testing.T) {
	const frames = 5000
	q, k := newFake(t)
	go func() {
		for i := range frames {
			if err := q.Send(pattern(testSize(i), byte(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i, got := range k.receive(frames) {
		if !bytes.Equal(got, pattern(testSize(i), byte(i))) {
			t.Fatalf("frame %d, %d bytes, is not what was sent", i, len(got))
		}
	}
}

// TestSendWaitsForRoom makes the kernel drain only when the sender sleeps.
func TestSendWaitsForRoom(t *testing.T) {
	q, k := newFake(t)
	const frames = 200
	done := make(chan error, 1)
	go func() {
		for i := range frames {
			if err := q.Send(pattern(60000, byte(i))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for got := 0; got < frames; {
		until(t, "the sender to wait, or to end", func() bool { return len(q.spaceGate.turn) > 0 || len(done) > 0 })
		for p := k.take(); p != nil; p = k.take() {
			if !bytes.Equal(p, pattern(60000, byte(got))) {
				t.Fatalf("frame %d is not what was sent", got)
			}
			got++
		}
		k.giveBack()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s, _ := q.Stats()
	if s.SpaceWaits == 0 {
		t.Error("the sender never slept: the test tests nothing")
	}
	if k.spaceBells.Load() > s.SpaceWaits {
		t.Errorf("%d space signals for %d sleeps", k.spaceBells.Load(), s.SpaceWaits)
	}
}

func TestConcurrentSend(t *testing.T) {
	const senders, frames = 8, 500
	q, k := newFake(t)
	for s := range senders {
		go func() {
			for i := range frames {
				p := pattern(4+(s*frames+i)*7%2000, byte(i))
				p[0], p[1], p[2], p[3] = byte(s), byte(i>>8), byte(i), 0
				if err := q.Send(p); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	var next [senders]int
	for _, p := range k.receive(senders * frames) {
		s, i := int(p[0]), int(p[1])<<8|int(p[2])
		if i != next[s] || len(p) != 4+(s*frames+i)*7%2000 || (len(p) > 4 && p[4] != byte(i)+4) {
			t.Fatalf("sender %d: frame %d of %d bytes, want frame %d", s, i, len(p), next[s])
		}
		next[s]++
	}
}

// TestEverythingAtOnce echoes frames in a loop while others send.
func TestEverythingAtOnce(t *testing.T) {
	const echoes, sends, senders = 3000, 1000, 3
	q, k := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait := start(ctx, q, func(b *Batch) error {
		for f := range b.Frames() {
			if err := b.Send(f.Data); err != nil {
				return err
			}
		}
		return nil
	})
	for range senders {
		go func() {
			for range sends {
				if err := q.Send([]byte{1, 2, 3}); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	// One thread plays the kernel: it puts what fits and takes what is there.
	sent, echoed, others := 0, 0, 0
	deadline := time.Now().Add(watchdog.Bound)
	for echoed < echoes || others < senders*sends {
		for sent < echoes && k.put(pattern(4+testSize(sent), byte(sent)), 0) {
			sent++
		}
		k.show()
		for p := k.take(); p != nil; p = k.take() {
			if len(p) == 3 {
				others++
				continue
			}
			if !bytes.Equal(p, pattern(4+testSize(echoed), byte(echoed))) {
				t.Fatalf("echo %d, %d bytes, is not what was sent", echoed, len(p))
			}
			echoed++
		}
		k.giveBack()
		runtime.Gosched()
		if time.Now().After(deadline) {
			t.Fatalf("stuck: %d of %d put, %d echoed, %d from others", sent, echoes, echoed, others)
		}
	}
	cancel()
	if err := wait(); err != context.Canceled {
		t.Error(err)
	}
}

func TestSendBatch(t *testing.T) {
	q, k := newFake(t)
	k.doze()
	v := VNetHeader{Flags: VNetNeedsChecksum, CsumStart: 20, CsumOffset: 16}
	err := q.SendBatch(func(tx *Tx) error {
		for i := range 50 {
			slot, err := tx.Reserve(200)
			if err != nil {
				return err
			}
			fill(slot, byte(i))
			if err := tx.CommitVNet(100+i, v); err != nil {
				return err
			}
		}
		tx.Reserve(10) // never committed
		return errStop
	})
	if err != errStop {
		t.Fatal(err)
	}
	at := k.txConsumer % k.tx.size
	if got := decodeVNet((*[vnetSize]byte)(k.tx.data[at+12:])); got != v {
		t.Errorf("vnet header %+v, want %+v", got, v)
	}
	for i, got := range k.receive(50) {
		if !bytes.Equal(got, pattern(100+i, byte(i))) {
			t.Errorf("frame %d: %x", i, got)
		}
	}
	if k.take() != nil {
		t.Error("the reservation without Commit was sent")
	}
	if s, _ := q.Stats(); s.Doorbells != 1 {
		t.Errorf("%d doorbells, want 1", s.Doorbells)
	}
}

// TestSendBatchPublishesOnce: all frames appear at once, when the function returns,
// and the doorbell is rung once if the kernel sleeps, and never if it does not.
func TestSendBatchPublishesOnce(t *testing.T) {
	ways := []func(tx *Tx, p []byte) error{
		(*Tx).Send,
		func(tx *Tx, p []byte) error { return tx.SendVNet(p, VNetHeader{Flags: VNetDataValid}) },
		func(tx *Tx, p []byte) error {
			f := frameWith(VNetHeader{Flags: VNetDataValid})
			f.Data, f.Hash, f.HashValid = p, 1, true
			return tx.SendFrame(f)
		},
		func(tx *Tx, p []byte) error {
			slot, err := tx.Reserve(len(p))
			if err != nil {
				return err
			}
			return tx.CommitHash(copy(slot, p), VNetHeader{}, 7)
		},
	}
	for _, asleep := range []bool{true, false} {
		for _, frames := range []int{0, 1, 100} {
			q, k := newFake(t)
			if asleep {
				k.doze()
			}
			before := k.tx.producer.Load()
			err := q.SendBatch(func(tx *Tx) error {
				for i := range frames {
					if err := ways[i%len(ways)](tx, pattern(testSize(i), byte(i))); err != nil {
						return err
					}
					if now := k.tx.producer.Load(); now != before {
						t.Fatalf("frame %d moved the producer by %d", i, now-before)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var bells uint64
			if asleep && frames > 0 {
				bells = 1
			}
			if s, _ := q.Stats(); s.Doorbells != bells {
				t.Errorf("%d frames, kernel asleep %v: %d doorbells, want %d", frames, asleep, s.Doorbells, bells)
			}
			for i := range frames {
				if !bytes.Equal(k.take(), pattern(testSize(i), byte(i))) {
					t.Fatalf("frame %d is not what was sent", i)
				}
			}
			if k.take() != nil {
				t.Error("there are more frames than were sent")
			}
		}
	}
}

func TestSendBatchWaitsForRoom(t *testing.T) {
	q, k := newFake(t)
	const frames = 50
	errs := make(chan error, 1)
	go func() {
		errs <- q.SendBatch(func(tx *Tx) error {
			for i := range frames {
				slot, err := tx.Reserve(30000)
				if err == ErrFull {
					if err = tx.WaitSpace(30000); err == nil {
						slot, err = tx.Reserve(30000)
					}
				}
				if err != nil {
					return err
				}
				fill(slot, byte(i))
				tx.Commit(30000)
			}
			return nil
		})
	}()
	for i, got := range k.receive(frames) {
		if !bytes.Equal(got, pattern(30000, byte(i))) {
			t.Fatalf("frame %d is not what was sent", i)
		}
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	// Each wait shows what there is; so does the end.
	if s, _ := q.Stats(); s.SpaceWaits == 0 || s.Doorbells > s.SpaceWaits+1 {
		t.Errorf("%d doorbells for %d waits", s.Doorbells, s.SpaceWaits)
	}
}

func TestReserveFull(t *testing.T) {
	q, _ := newFake(t)
	err := q.SendBatch(func(tx *Tx) error {
		for {
			if _, err := tx.Reserve(60000); err != nil {
				return err
			}
			tx.Commit(60000)
		}
	})
	if err != ErrFull || !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("%v, want ErrFull, which is EAGAIN", err)
	}
	if err := q.Send(make([]byte, testMaxFrame+1)); !errors.Is(err, ErrTooLong) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%v, want ErrTooLong, which is EMSGSIZE", err)
	}
	if err := q.SendBatch(func(tx *Tx) error { return tx.WaitSpace(1 << 20) }); err != ErrTooLong {
		t.Errorf("WaitSpace: %v, want ErrTooLong", err)
	}
}

func TestVNetHeaderNeedsOffload(t *testing.T) {
	q, k := newFake(t)
	q.port.vnet = false
	q.SendBatch(func(tx *Tx) error {
		tx.Reserve(100)
		if err := tx.CommitVNet(100, VNetHeader{Flags: 1}); err != ErrNotSupported || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, want ErrNotSupported", err)
		}
		tx.Reserve(100)
		if err := tx.CommitVNet(100, VNetHeader{}); err != nil {
			t.Error(err)
		}
		return nil
	})
	if got := k.receive(1); len(got) != 1 || k.take() != nil {
		t.Error("want exactly one frame")
	}
}

func TestReadWrite(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(100, 1), pattern(200, 2))
	p := make([]byte, 150)
	if n, err := q.Read(p); n != 100 || err != nil || !bytes.Equal(p[:n], pattern(100, 1)) {
		t.Errorf("Read: %d, %v", n, err)
	}
	if n, err := q.Read(p); n != 150 || err != io.ErrShortBuffer || !bytes.Equal(p, pattern(150, 2)) {
		t.Errorf("Read of 200 bytes into 150: %d, %v", n, err)
	}
	p = make([]byte, 200)
	k.send(pattern(200, 3)) // the rest of the frame before is lost
	if n, err := q.Read(p); n != 200 || err != nil || !bytes.Equal(p, pattern(200, 3)) {
		t.Errorf("Read: %d, %v", n, err)
	}
	got := make(chan int)
	go func() {
		n, _ := q.Read(p)
		got <- n
	}()
	asleep(&q.framesGate)
	k.send(pattern(70, 3))
	if n := <-got; n != 70 {
		t.Errorf("Read: %d, want 70", n)
	}
	if n, err := q.Write(p); n != 200 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if n, err := q.Write(nil); n != 0 || err != errEmpty {
		t.Errorf("Write of nothing: %d, %v", n, err)
	}
	if got := k.receive(1); !bytes.Equal(got[0], p) {
		t.Errorf("sent %x", got[0])
	}
}

func TestConcurrentRead(t *testing.T) {
	const readers, frames = 4, 1000
	q, k := newFake(t)
	var mu sync.Mutex
	seen := make(map[int]bool)
	var group sync.WaitGroup
	for range readers {
		group.Add(1)
		go func() {
			defer group.Done()
			p := make([]byte, 2*frames)
			for {
				n, err := q.Read(p)
				if err != nil {
					if err != ErrClosed {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				if seen[n] {
					t.Errorf("frame %d came twice", n)
				}
				seen[n] = true
				if len(seen) == frames {
					go q.Close()
				}
				mu.Unlock()
			}
		}()
	}
	go func() {
		for i := range frames {
			if !k.send(make([]byte, i+1)) {
				return
			}
			if i%10 == 0 {
				time.Sleep(100 * time.Microsecond) // let them fall asleep
			}
		}
	}()
	within(t, "reading everything", group.Wait)
}

func TestDeadlines(t *testing.T) {
	q, k := newFake(t)
	fillTx(q)
	read := func() error { _, err := q.Read(make([]byte, 2000)); return err }
	write := func() error { return q.Send(make([]byte, 60000)) }
	for name, c := range map[string]struct {
		set  func(time.Time) error
		call func() error
		gate *gate
	}{
		"read":  {q.SetReadDeadline, read, &q.framesGate},
		"write": {q.SetWriteDeadline, write, &q.spaceGate},
		"both":  {q.SetDeadline, read, &q.framesGate},
	} {
		t.Run(name, func(t *testing.T) {
			want := func(err error) {
				t.Helper()
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, want os.ErrDeadlineExceeded", err)
				}
			}
			c.set(time.Unix(1, 0))
			want(c.call())
			c.set(time.Now().Add(5 * time.Millisecond))
			want(c.call())
			want(c.call())
			c.set(time.Time{})
			errs := make(chan error, 3)
			for range cap(errs) { // one sleeps, the others wait for the turn
				go func() { errs <- c.call() }()
			}
			asleep(c.gate)
			c.set(time.Now().Add(time.Hour))
			c.set(time.Now().Add(5 * time.Millisecond))
			for range cap(errs) {
				want(<-errs)
			}
			c.set(time.Time{})
		})
	}
	q.SetDeadline(time.Unix(1, 0)) // a call that need not wait succeeds
	k.send(pattern(10, 1))
	if err := read(); err != nil {
		t.Error(err)
	}
	for k.take() != nil {
	}
	k.giveBack()
	if err := write(); err != nil {
		t.Error(err)
	}
}

// fillTx fills the tx ring, of which the kernel takes nothing.
func fillTx(q *Queue) {
	q.SendBatch(func(tx *Tx) error {
		for {
			if _, err := tx.Reserve(30000); err != nil {
				return err
			}
			tx.Commit(30000)
		}
	})
}

// TestSendContext: a wait for room ends with the context of who waits, and with no other's.
func TestSendContext(t *testing.T) {
	q, k := newFake(t)
	fillTx(q)
	long := make([]byte, 60000)
	for name, send := range map[string]func(ctx context.Context) error{
		"SendContext": func(ctx context.Context) error { return q.SendContext(ctx, long) },
		"SendBatchContext": func(ctx context.Context) error {
			return q.SendBatchContext(ctx, func(tx *Tx) error { return tx.Send(long) })
		},
		"WaitSpace": func(ctx context.Context) error {
			return q.SendBatchContext(ctx, func(tx *Tx) error { return tx.WaitSpace(len(long)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if err := send(done); err != context.Canceled {
				t.Errorf("a context that is done: %v, want context.Canceled", err)
			}
			first, endFirst := context.WithCancel(t.Context())
			second, endSecond := context.WithCancel(t.Context())
			firstErr, secondErr := make(chan error, 1), make(chan error, 1)
			go func() { firstErr <- send(first) }()
			asleep(&q.spaceGate)
			go func() { secondErr <- send(second) }()
			endFirst()
			if err := <-firstErr; err != context.Canceled {
				t.Errorf("%v, want context.Canceled", err)
			}
			asleep(&q.spaceGate)
			select {
			case err := <-secondErr:
				t.Errorf("another's context ended it: %v", err)
			default:
			}
			endSecond()
			if err := <-secondErr; err != context.Canceled {
				t.Errorf("%v, want context.Canceled", err)
			}
			if err := send(nil); err != errNoContext {
				t.Errorf("nil: %v, want errNoContext", err)
			}
		})
	}
	for k.take() != nil {
	}
	k.giveBack()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.SendContext(done, []byte{1}); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestCancel(t *testing.T) {
	q, k := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Run(ctx, func(*Batch) error { return nil }); err != context.Canceled {
		t.Errorf("Run with a done context: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	wait := start(ctx, q, func(*Batch) error { return nil })
	asleep(&q.framesGate)
	cancel()
	if err := wait(); err != context.Canceled {
		t.Errorf("Run: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := start(ctx, q, func(*Batch) error { return nil })(); err != context.DeadlineExceeded {
		t.Errorf("Run: %v, want context.DeadlineExceeded", err)
	}
	// the queue is as good as new
	wait = start(t.Context(), q, collect(t, 1, testSize))
	k.send(pattern(testSize(0), 0))
	if err := wait(); err != errStop {
		t.Error(err)
	}
}

func TestCancelUnderLoad(t *testing.T) {
	q, k := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k.send(pattern(10, 1))
	wait := start(ctx, q, func(b *Batch) error { return nil }) // takes nothing: never idle
	time.Sleep(5 * time.Millisecond)
	cancel()
	if err := wait(); err != context.Canceled {
		t.Error(err)
	}
}

func TestCancelWhileHandlerWaitsForRoom(t *testing.T) {
	q, k := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k.send(pattern(10, 1))
	wait := start(ctx, q, func(b *Batch) error {
		for {
			if err := b.Send(make([]byte, 60000)); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
		}
	})
	asleep(&q.spaceGate)
	if k.tx.producer.Load() == k.txConsumer {
		t.Error("the handler waits for room and has not published")
	}
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	q, k := newFake(t)
	wait := start(t.Context(), q, func(*Batch) error { return nil })
	reads := make(chan error, 2)
	for range cap(reads) {
		go func() {
			_, err := q.Read(nil)
			reads <- err
		}()
	}
	asleep(&q.framesGate)
	within(t, "Close", func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	if !k.unmapped.Load() {
		t.Error("Close returned before the rings were unmapped")
	}
	if err := wait(); err != ErrClosed || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Run: %v, want ErrClosed", err)
	}
	for range cap(reads) {
		if err := <-reads; err != ErrClosed {
			t.Errorf("Read: %v, want ErrClosed", err)
		}
	}
}

func TestUseAfterClose(t *testing.T) {
	q, _ := newFake(t)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	_, readErr := q.Read(make([]byte, 100))
	_, writeErr := q.Write(make([]byte, 100))
	_, connErr := q.SyscallConn()
	for name, err := range map[string]error{
		"Close": q.Close(), "Device.Close": q.Device().Close(), "Read": readErr, "Write": writeErr,
		"Send": q.Send(make([]byte, 10)), "SyscallConn": connErr,
		"Run":         q.Run(t.Context(), func(*Batch) error { return nil }),
		"SendBatch":   q.SendBatch(func(tx *Tx) error { _, err := tx.Reserve(10); return err }),
		"SetDeadline": q.SetDeadline(time.Now()),
	} {
		if err != ErrClosed {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}

// TestSleepAfterTheEnd comes late to everything: after the look that found the
// queue in order, before the sleep.
func TestSleepAfterTheEnd(t *testing.T) {
	for _, end := range []struct {
		with func(*Queue, *fakeKernel)
		want error
	}{
		{func(q *Queue, k *fakeKernel) { k.state.Store(stateDetached) }, ErrDetached},
		{func(q *Queue, k *fakeKernel) { q.Close() }, ErrClosed},
	} {
		q, k := newFake(t)
		end.with(q, k)
		within(t, "sleep", func() {
			ctx := context.Background()
			if err := q.sleep(ctx, &q.framesGate, nil, (*Queue).armRx, 0); err != end.want {
				t.Errorf("waiting for frames: %v, want %v", err, end.want)
			}
			if err := q.sleep(ctx, &q.spaceGate, nil, (*Queue).armTx, 1); err != end.want {
				t.Errorf("waiting for room: %v, want %v", err, end.want)
			}
		})
		if _, err := q.armRx(context.Background(), nil, 0); err != end.want {
			t.Errorf("armRx: %v, want %v", err, end.want)
		}
		if _, err := q.armTx(context.Background(), nil, 1); err != end.want {
			t.Errorf("armTx: %v, want %v", err, end.want)
		}
	}
}

// TestCloseDoesNotWaitForHandler: Close returns while the Handler runs, which leaves the
// rings to it; they are gone when Run returns.
func TestCloseDoesNotWaitForHandler(t *testing.T) {
	q, k := newFake(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	wait := start(t.Context(), q, func(b *Batch) error {
		close(entered)
		<-leave
		f, _ := b.Next()
		f.Data[0]++ // still ours
		if k.unmapped.Load() {
			t.Error("unmapped under a running Handler")
		}
		return nil
	})
	k.send(pattern(10, 1))
	<-entered
	within(t, "Close", func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	close(leave)
	if err := wait(); err != ErrClosed {
		t.Error(err)
	}
	if !k.unmapped.Load() {
		t.Error("Run returned before the rings were unmapped")
	}
}

func TestCloseInsideHandler(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(10, 1))
	err := start(t.Context(), q, func(b *Batch) error {
		if err := q.Device().Close(); err != nil {
			t.Error(err)
		}
		f, ok := b.Next()
		if !ok || k.unmapped.Load() {
			t.Error("the batch ended with Close")
		}
		f.Data[0]++
		if _, err := b.Reserve(10); err != ErrClosed {
			t.Errorf("Reserve: %v, want ErrClosed", err)
		}
		return nil
	})()
	if err != ErrClosed {
		t.Error(err)
	}
	if !k.unmapped.Load() {
		t.Error("Run returned before the rings were unmapped")
	}
}

func TestCloseInsideSendBatch(t *testing.T) {
	q, k := newFake(t)
	within(t, "SendBatch", func() {
		q.SendBatch(func(tx *Tx) error {
			slot, err := tx.Reserve(10)
			if err != nil {
				t.Error(err)
			}
			deeper(100, func() {
				if err := q.Close(); err != nil {
					t.Error(err)
				}
			})
			if k.unmapped.Load() {
				t.Error("unmapped under a reservation")
			}
			fill(slot, 1)
			tx.Commit(10)
			return nil
		})
	})
	if !k.unmapped.Load() {
		t.Error("SendBatch returned before the rings were unmapped")
	}
}

// deeper calls f from n calls further down the stack.
//
//go:noinline
func deeper(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deeper(n-1, f)
}

func TestCloseWhileSendWaits(t *testing.T) {
	q, _ := newFake(t)
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			for {
				if err := q.Send(make([]byte, 60000)); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	asleep(&q.spaceGate)
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	for range cap(errs) {
		if err := <-errs; err != ErrClosed {
			t.Errorf("Send: %v, want ErrClosed", err)
		}
	}
}

func TestCloseWhileHandlerWaitsForRoom(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(10, 1))
	wait := start(t.Context(), q, func(b *Batch) error {
		for {
			if err := b.Send(make([]byte, 60000)); err != nil {
				return err
			}
		}
	})
	asleep(&q.spaceGate)
	within(t, "Close", func() { q.Close() })
	if err := wait(); err != ErrClosed {
		t.Error(err)
	}
}

// TestCloseRaces closes a queue under everything that can be going on. The rings
// are in memory of their own that Close unmaps: a late touch is a fault.
func TestCloseRaces(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		rx, freeRx := mappedRing(t, 1<<17)
		tx, freeTx := mappedRing(t, 1<<17)
		state := new(atomic.Uint32)
		k := newFakeKernel(t, rx, tx, state)
		for range 20 {
			k.put(pattern(100, 1), 0)
		}
		k.show()
		k.doze()
		d := newDevice("fake0", TUN, []port{k.port(func() { freeRx(); freeTx() })})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, f := range []func() error{
			func() error {
				return d.Run(ctx, func(b *Batch) error {
					for f := range b.Frames() {
						b.Send(f.Data)
					}
					return nil
				})
			},
			func() error { return d.Send(make([]byte, 5000)) },
			func() error { return sendThree(d.queues[0]) },
			func() error { _, err := d.Read(make([]byte, 2000)); return err },
			func() error {
				return d.queues[0].ReadBatch(func(b *Batch) error { b.Send([]byte{1}); return takeAll(b) })
			},
			func() error { return d.SetDeadline(time.Now().Add(time.Duration(rand.IntN(300)) * time.Microsecond)) },
			func() error { _, err := d.Stats(); d.queues[0].kick(); return err },
		} {
			group.Add(1)
			go func() {
				defer group.Done()
				for d.queues[0].open.Load() {
					f()
				}
				f()
			}()
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		if round%2 == 0 {
			cancel()
		}
		within(t, "Close", func() { d.Close() })
		within(t, "the rest", group.Wait)
		if !k.unmapped.Load() {
			t.Fatal("all have returned, and the rings are still mapped")
		}
		cancel()
	}
}

// sendThree sends a few frames, or waits for room once.
func sendThree(q *Queue) error {
	return q.SendBatch(func(tx *Tx) error {
		for range 3 {
			slot, err := tx.Reserve(3000)
			if err == ErrFull {
				return tx.WaitSpace(3000)
			} else if err != nil {
				return err
			}
			fill(slot, 1)
			if err := tx.Commit(3000); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestDetached(t *testing.T) {
	for _, c := range []struct {
		bits uint32
		want error
	}{{1, ErrDetached}, {2, ErrRingBroken}, {4, ErrRingBroken}, {5, ErrRingBroken}, {1 << 31, nil}} {
		q, k := newFake(t)
		if c.want == nil { // a bit that this package does not know
			k.fail(c.bits)
			if err := q.Send([]byte{1}); err != nil {
				t.Error(err)
			}
			continue
		}
		handled := 0
		wait := start(t.Context(), q, func(b *Batch) error {
			for range b.Frames() {
				handled++
			}
			return nil
		})
		sender := make(chan error, 1)
		go func() {
			for {
				if err := q.Send(make([]byte, 60000)); err != nil {
					sender <- err
					return
				}
			}
		}()
		asleep(&q.framesGate)
		asleep(&q.spaceGate)
		k.put(pattern(10, 1), 0)
		k.rx.producer.Store(k.rxProducer)
		k.fail(c.bits)
		if err := wait(); err != c.want || handled != 1 {
			t.Errorf("state %d: Run: %v after %d frames, want %v after 1", c.bits, err, handled, c.want)
		}
		if err := <-sender; err != c.want {
			t.Errorf("state %d: Send: %v, want %v", c.bits, err, c.want)
		}
		if _, err := q.Read(nil); err != c.want {
			t.Errorf("state %d: Read: %v, want %v", c.bits, err, c.want)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBrokenRx(t *testing.T) {
	q, k := newFake(t)
	wait := start(t.Context(), q, func(*Batch) error { return nil })
	asleep(&q.framesGate)
	k.rx.producer.Store(k.rxProducer + fakeRing + 64)
	k.rxBell.Signal()
	if err := wait(); err != ErrRingBroken {
		t.Errorf("Run: %v, want ErrRingBroken", err)
	}
	if _, err := q.Read(nil); err != ErrRingBroken {
		t.Errorf("Read: %v, want ErrRingBroken", err)
	}
}

func TestBrokenInTheMiddleOfABatch(t *testing.T) {
	q, k := newFake(t)
	k.put(pattern(10, 1), 0)
	at := k.rxProducer % k.rx.size
	k.put(pattern(10, 2), 0)
	k.rx.data[at+3] = 0xFF // the length's top or lowest byte: wrong either way
	k.rx.data[at+0] = 0xFF
	k.show()
	handled := 0
	err := q.Run(t.Context(), func(b *Batch) error {
		for range b.Frames() {
			handled++
		}
		if _, ok := b.Next(); ok {
			t.Error("Next goes on after the break")
		}
		return nil
	})
	if err != ErrRingBroken || handled != 1 {
		t.Errorf("%v after %d frames, want ErrRingBroken after 1", err, handled)
	}
}

func TestBrokenTx(t *testing.T) {
	q, k := newFake(t)
	errs := make(chan error, 1)
	go func() {
		for {
			if err := q.Send(make([]byte, 60000)); err != nil {
				errs <- err
				return
			}
		}
	}()
	asleep(&q.spaceGate)
	k.tx.consumer.Store(k.txConsumer + 1<<31)
	k.txSpace.Signal()
	if err := <-errs; err != ErrRingBroken {
		t.Errorf("Send: %v, want ErrRingBroken", err)
	}
}

func TestMalformedAreCounted(t *testing.T) {
	q, k := newFake(t)
	k.put(pattern(1, 1), 0)
	k.rx.data[(k.rxProducer-64)%k.rx.size+0] = 0
	k.rx.data[(k.rxProducer-64)%k.rx.size+3] = 0
	k.put(pattern(5, 1), 0)
	k.show()
	if n, err := q.Read(make([]byte, 10)); n != 5 || err != nil {
		t.Errorf("Read: %d, %v, want the second frame", n, err)
	}
	if s, _ := q.Stats(); s.Malformed != 1 {
		t.Errorf("Malformed = %d, want 1", s.Malformed)
	}
}
