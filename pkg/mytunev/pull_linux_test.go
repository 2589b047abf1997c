// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
)

// pullAll calls ReadBatch until h ends it.
func pullAll(q *Queue, h Handler) error {
	for {
		if err := q.ReadBatch(h); err != nil {
			return err
		}
	}
}

func TestReadBatch(t *testing.T) {
	const frames = 5000
	q, k := newFake(t)
	result := make(chan error, 1)
	go func() { result <- pullAll(q, collect(t, frames, testSize)) }()
	for i := range frames {
		if !k.send(pattern(testSize(i), byte(i))) {
			break
		}
	}
	if err := <-result; err != errStop {
		t.Fatal(err)
	}
	if s, err := q.Stats(); err != nil || s.Frames != frames || s.Batches == 0 || s.Wakeups > k.rxBells.Load()+1 {
		t.Errorf("%+v, %v, %d doorbells", s, err, k.rxBells.Load())
	}
}

// TestReadBatchIsOneBatch: h is called once a call, what it commits is sent when it
// returns, and what it leaves is offered again.
func TestReadBatchIsOneBatch(t *testing.T) {
	q, k := newFake(t)
	k.doze()
	k.send(pattern(1, 1), pattern(2, 2), pattern(3, 3))
	for want := range 3 {
		calls := 0
		err := q.ReadBatch(func(b *Batch) error {
			calls++
			f, ok := b.Next()
			if !ok || len(f.Data) != want+1 || b.Queue() != q {
				t.Errorf("%d bytes, %v, want frame %d", len(f.Data), ok, want)
			}
			return b.Send(f.Data)
		})
		if err != nil || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
		if got := k.take(); !bytes.Equal(got, pattern(want+1, byte(want+1))) {
			t.Errorf("sent %x", got)
		}
	}
	if k.rx.consumer.Load() != k.rxProducer {
		t.Error("the frames were not given back")
	}
}

// TestReadBatchWaitsForEach sends a frame when the one before has been handled.
func TestReadBatchWaitsForEach(t *testing.T) {
	const frames = 500
	q, k := newFake(t)
	handled, result := make(chan struct{}, 1), make(chan error, 1)
	check := collect(t, frames, testSize)
	go func() {
		result <- pullAll(q, func(b *Batch) error {
			defer func() { handled <- struct{}{} }()
			return check(b)
		})
	}()
	for i := range frames {
		k.send(pattern(testSize(i), byte(i)))
		<-handled
	}
	if err := <-result; err != errStop {
		t.Error(err)
	}
}

// TestReadBatchAfterReturn: what is kept of a batch is of no use.
func TestReadBatchAfterReturn(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(100, 1), pattern(100, 2))
	var kept *Batch
	if err := q.ReadBatch(func(b *Batch) error { kept = b; return errStop }); err != errStop {
		t.Fatal(err)
	}
	if _, ok := kept.Next(); ok {
		t.Error("Next gives a frame")
	}
	if err := kept.Send([]byte{1}); err != errExpired {
		t.Errorf("Send: %v, want %v", err, errExpired)
	}
}

// TestReadBatchPanics: the queue can be used and closed afterwards.
func TestReadBatchPanics(t *testing.T) {
	watchdog.Watch(t, watchdog.Bound)
	q, k := newFake(t)
	k.send(pattern(100, 1), pattern(50, 2))
	func() {
		defer func() {
			if recover() != errStop {
				t.Error("the panic was swallowed")
			}
		}()
		q.ReadBatch(func(b *Batch) error {
			b.Next()
			b.Reserve(10)
			panic(errStop)
		})
	}()
	if err := q.ReadBatch(func(b *Batch) error {
		if f, ok := b.Next(); !ok || !bytes.Equal(f.Data, pattern(50, 2)) {
			t.Errorf("%x, %v, want the second frame", f.Data, ok)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := q.Send([]byte{1}); err != nil {
		t.Error(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadBatchEnds: whatever ends a Read that waits ends this one.
func TestReadBatchEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(q *Queue, k *fakeKernel)
		want error
	}{
		"deadline": {func(q *Queue, k *fakeKernel) { q.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"Close":    {func(q *Queue, k *fakeKernel) { q.Close() }, ErrClosed},
		"detached": {func(q *Queue, k *fakeKernel) { k.fail(stateDetached) }, ErrDetached},
		"broken":   {func(q *Queue, k *fakeKernel) { k.rx.producer.Store(k.rxProducer + 1); k.rxBell.Signal() }, ErrRingBroken},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFake(t)
			errs := make(chan error, 3)
			for range cap(errs) { // one sleeps, the others wait for its turn
				go func() {
					errs <- q.ReadBatch(func(*Batch) error { t.Error("called without a frame"); return nil })
				}()
			}
			until(t, "the wait for a sleeper", func() bool { return k.rx.needWakeup.Load() == k.rxProducer })
			c.end(q, k)
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
		})
	}
}

// TestReadBatchNeedNotWait: with a frame there, the deadline does not matter.
func TestReadBatchNeedNotWait(t *testing.T) {
	q, k := newFake(t)
	q.SetReadDeadline(time.Unix(1, 0))
	k.send([]byte{1})
	if err := q.ReadBatch(takeAll); err != nil {
		t.Error(err)
	}
	if err := q.ReadBatch(takeAll); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
}

// TestReadBatchWaitsForAHandler: for that of another goroutine until the deadline, for
// one's own not at all.
func TestReadBatchWaitsForAHandler(t *testing.T) {
	q, k := newFake(t)
	k.send([]byte{1}, []byte{2})
	entered, leave := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- q.ReadBatch(func(b *Batch) error {
			if err := q.ReadBatch(takeAll); err != errNested {
				t.Errorf("within a Handler: %v, want %v", err, errNested)
			}
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	q.SetReadDeadline(time.Unix(1, 0))
	if err := q.ReadBatch(takeAll); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beside a Handler: %v, want os.ErrDeadlineExceeded", err)
	}
	close(leave)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestReadBatchGivesRingsUp: it waits within a function that has a tx ring, which others
// get meanwhile; with a reservation open it is refused.
func TestReadBatchGivesRingsUp(t *testing.T) {
	q, k := newFake(t)
	result := make(chan error, 1)
	go func() {
		result <- q.SendBatch(func(tx *Tx) error {
			if _, err := tx.Reserve(1); err != nil {
				return err
			}
			if err := q.ReadBatch(takeAll); err != errReserved {
				t.Errorf("with a reservation open: %v, want %v", err, errReserved)
			}
			if err := tx.Send([]byte{7}); err != nil {
				return err
			}
			return q.ReadBatch(takeAll)
		})
	}()
	if got := k.receive(1); !bytes.Equal(got[0], []byte{7}) {
		t.Errorf("shown before the wait: %v", got)
	}
	if err := q.Send([]byte{8}); err != nil {
		t.Error(err)
	}
	k.send([]byte{1})
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestCloseInsideReadBatch: Close does not wait for the function that calls it, and the
// memory stays until that has returned.
func TestCloseInsideReadBatch(t *testing.T) {
	q, k := newFake(t)
	k.send(pattern(10, 1))
	err := q.ReadBatch(func(b *Batch) error {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if f, ok := b.Next(); !ok || k.unmapped.Load() {
			t.Error("the batch ended with Close")
		} else {
			f.Data[0]++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !k.unmapped.Load() {
		t.Error("ReadBatch returned before the rings were unmapped")
	}
	if err := q.ReadBatch(takeAll); err != ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestConcurrentReadBatch: each frame comes to one of those who read in every way.
func TestConcurrentReadBatch(t *testing.T) {
	const frames = 2000
	q, k := newFake(t)
	var mu sync.Mutex
	seen := make(map[int]bool)
	see := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if seen[n] {
			t.Errorf("frame %d came twice", n)
		}
		seen[n] = true
		if len(seen) == frames {
			go q.Close()
		}
	}
	handler := func(b *Batch) error {
		for f := range b.Frames() {
			see(len(f.Data))
		}
		return nil
	}
	var group sync.WaitGroup
	for _, read := range []func() error{
		func() error { return pullAll(q, handler) },
		func() error { return pullAll(q, handler) },
		func() error { return q.Run(t.Context(), handler) },
		func() error {
			p := make([]byte, frames)
			for {
				n, err := q.Read(p)
				if err != nil {
					return err
				}
				see(n)
			}
		},
	} {
		group.Go(func() {
			if err := read(); err != ErrClosed {
				t.Error(err)
			}
		})
	}
	for i := range frames {
		if !k.send(make([]byte, i+1)) {
			break
		}
	}
	within(t, "reading everything", group.Wait)
}
