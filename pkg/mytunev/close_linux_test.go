// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// closings are the places that Close of a queue may be called from while a function of that
// queue is running: on its goroutine, and on others that it waits for.
var closings = map[string]func(t *testing.T, q *Queue){
	"its own goroutine": func(t *testing.T, q *Queue) { q.Close() },
	"far down its stack": func(t *testing.T, q *Queue) {
		deeper(200, func() { q.Close() })
	},
	"a goroutine that it waits for": func(t *testing.T, q *Queue) {
		closed := make(chan error)
		go func() { closed <- q.Close() }()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	},
	"two goroutines that it waits for": func(t *testing.T, q *Queue) {
		errs := make(chan error)
		for range 2 {
			go func() { errs <- q.Device().Close() }()
		}
		if first, second := <-errs, <-errs; (first == nil) == (second == nil) || first != nil && first != ErrClosed || second != nil && second != ErrClosed {
			t.Errorf("%v and %v, want nil and ErrClosed in any order", first, second)
		}
	},
	"a Handler of another queue that it waits for": func(t *testing.T, q *Queue) {
		other, k := newFake(t)
		k.send([]byte{1})
		if err := start(t.Context(), other, func(*Batch) error { return errors.Join(q.Close(), errStop) })(); !errors.Is(err, errStop) {
			t.Error(err)
		}
	},
	"a function of another queue's SendBatch": func(t *testing.T, q *Queue) {
		other, _ := newFake(t)
		if err := other.SendBatch(func(tx *Tx) error { tx.Send([]byte{1}); return q.Close() }); err != nil {
			t.Error(err)
		}
	},
	"a cleanup of a goroutine that exits": func(t *testing.T, q *Queue) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer q.Close()
			runtime.Goexit()
		}()
		<-done
	},
}

// TestCloseFromAnywhere: Close returns wherever it is called from, what a function of the
// program has stays its own until it returns, and nothing is left once that has.
func TestCloseFromAnywhere(t *testing.T) {
	for name, closing := range closings {
		for kind, run := range map[string]func(q *Queue, inside func(tx *Tx)) error{
			"Run": func(q *Queue, inside func(tx *Tx)) error {
				return start(t.Context(), q, func(b *Batch) error { inside(&b.Tx); return nil })()
			},
			"ReadBatch": func(q *Queue, inside func(tx *Tx)) error {
				return q.ReadBatch(func(b *Batch) error { inside(&b.Tx); return nil })
			},
			"SendBatch": func(q *Queue, inside func(tx *Tx)) error {
				return q.SendBatch(func(tx *Tx) error { inside(tx); return nil })
			},
		} {
			t.Run(kind+" and "+name, func(t *testing.T) {
				q, k := newFake(t)
				k.send(pattern(10, 1))
				within(t, kind, func() {
					err := run(q, func(tx *Tx) { closeHolding(t, q, k, tx, closing) })
					if err != nil && err != ErrClosed {
						t.Error(err)
					}
				})
				if !k.unmapped.Load() {
					t.Error("the rings are still mapped")
				}
				if got := k.take(); !bytes.Equal(got, pattern(10, 1)) {
					t.Errorf("the kernel has %x, want the frame that was committed", got)
				}
			})
		}
	}
}

// closeHolding closes q while tx has memory of its ring.
func closeHolding(t *testing.T, q *Queue, k *fakeKernel, tx *Tx, closing func(*testing.T, *Queue)) {
	slot, err := tx.Reserve(10)
	if err != nil {
		t.Error(err)
	}
	closing(t, q)
	if k.unmapped.Load() {
		t.Error("unmapped while a function of the program has the ring")
	}
	copy(slot, pattern(10, 1))
	if err := tx.Commit(10); err != nil {
		t.Error(err)
	}
	if _, err := q.Read(make([]byte, 10)); err != ErrClosed {
		t.Errorf("Read: %v, want ErrClosed", err)
	}
	if err := q.Send([]byte{1}); err != ErrClosed {
		t.Errorf("Send: %v, want ErrClosed", err)
	}
	if err := q.Close(); err != ErrClosed {
		t.Errorf("a second Close: %v, want ErrClosed", err)
	}
}

// TestCloseInAPanic: by a deferred function of the Handler that panics, of its caller's, or of
// both.
func TestCloseInAPanic(t *testing.T) {
	for name, c := range map[string]struct{ within, around bool }{
		"of the Handler": {true, false}, "of its caller": {false, true}, "of both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFake(t)
			k.send(pattern(10, 1))
			within(t, "the panic", func() {
				defer func() {
					if recover() != errStop {
						t.Error("the panic was swallowed")
					}
				}()
				if c.around {
					defer q.Device().Close()
				}
				q.Run(t.Context(), func(b *Batch) error {
					if c.within {
						defer func() {
							q.Close()
							if k.unmapped.Load() {
								t.Error("unmapped before the Handler has ended")
							}
						}()
					}
					b.Reserve(10)
					panic(errStop)
				})
			})
			if !k.unmapped.Load() {
				t.Error("the rings are still mapped")
			}
		})
	}
}

// TestCloseOfSeveralQueues: those of which no Handler runs are gone when Close returns.
func TestCloseOfSeveralQueues(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	entered, leave := make(chan struct{}), make(chan struct{})
	wait := start(t.Context(), d, func(*Batch) error {
		close(entered)
		<-leave
		return nil
	})
	kernels[1].send([]byte{1})
	<-entered
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for i, k := range kernels {
		if got := k.unmapped.Load(); got != (i != 1) {
			t.Errorf("queue %d unmapped: %v", i, got)
		}
	}
	close(leave)
	if err := wait(); err != ErrClosed {
		t.Error(err)
	}
	if !kernels[1].unmapped.Load() {
		t.Error("Run returned before the rings were unmapped")
	}
}

// TestConcurrentClose: one of many does it.
func TestConcurrentClose(t *testing.T) {
	q, k := newFake(t)
	wait := start(t.Context(), q, takeAll)
	asleep(&q.framesGate)
	var group sync.WaitGroup
	var done atomic.Int32
	for range 20 {
		group.Go(func() {
			switch err := q.Close(); err {
			case nil:
				done.Add(1)
			case ErrClosed:
			default:
				t.Error(err)
			}
		})
	}
	within(t, "Close", group.Wait)
	if err := wait(); err != ErrClosed || done.Load() != 1 || !k.unmapped.Load() {
		t.Errorf("%v, closed %d times, unmapped: %v", err, done.Load(), k.unmapped.Load())
	}
}
