// SPDX-License-Identifier: MIT

package mytunev

import (
	"runtime"
	"testing"
	"time"
	"weak"
)

// hold has another goroutine be inside a function that has the tx ring, until give is called.
func hold(t *testing.T, q *Queue) (give func()) {
	t.Helper()
	held, end, ended := make(chan error), make(chan struct{}), make(chan error)
	go func() {
		ended <- q.SendBatch(func(tx *Tx) error {
			held <- tx.Send([]byte("held"))
			<-end
			return nil
		})
	}()
	if err := <-held; err != nil {
		t.Error(err)
	}
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestSendAboveAPanic: a deferred function runs on top of the stack that a panic, or the end of the
// goroutine, has left behind, and may wait there.
func TestSendAboveAPanic(t *testing.T) {
	for way, end := range map[string]func(){"panic": func() { panic(errStop) }, "exit": runtime.Goexit} {
		for name, call := range map[string]func(q *Queue){
			"SendBatch": func(q *Queue) { q.SendBatch(func(*Tx) error { end(); return nil }) },
			"Run":       func(q *Queue) { q.Run(t.Context(), func(*Batch) error { end(); return nil }) },
			"ReadBatch": func(q *Queue) { q.ReadBatch(func(*Batch) error { end(); return nil }) },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				q, k := newFake(t)
				k.send([]byte("frame"))
				give := hold(t, q)
				sent := make(chan error, 1)
				go func() {
					defer func() {
						recover()
						sent <- q.Send([]byte("afterwards"))
					}()
					call(q)
				}()
				for q.txTurn.waiters.Load() == 0 {
					runtime.Gosched()
				}
				give()
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestReadBatchAfterAPanic: what is left of the first call on a stack is not taken for the second.
func TestReadBatchAfterAPanic(t *testing.T) {
	q, k := newFake(t)
	k.send([]byte("frame"), []byte("another"))
	var first, second *callback
	func() {
		defer func() {
			recover()
			q.ReadBatch(func(b *Batch) error {
				second = b.call
				if own := ownCallbacks(); len(own) != 1 || own[0] != second {
					t.Errorf("inside %d callbacks, want the second call's alone", len(own))
				}
				return nil
			})
		}()
		q.ReadBatch(func(b *Batch) error {
			b.Next()
			first = b.call
			panic(errStop)
		})
	}()
	if first == second || first == nil {
		t.Error("both calls have one number")
	}
}

// TestNumberAfterAPanic: while it is on a stack it is nobody else's, and then it is free.
func TestNumberAfterAPanic(t *testing.T) {
	var left weak.Pointer[callback]
	func() {
		defer func() {
			recover()
			for range 10 {
				runtime.GC()
				if c := left.Value(); c == nil || newCallback().path == c.path {
					t.Fatal("its number was given away")
				}
			}
		}()
		c := newCallback()
		left = weak.Make(c)
		c.call(nil, nil, func(*Tx) error { panic(errStop) })
	}()
	for end := time.Now().Add(10 * time.Second); left.Value() != nil; runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("a callback that is on no stack was not freed")
		}
	}
}
