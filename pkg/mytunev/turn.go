// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
)

// The states of a turn.
const (
	free    uint32 = iota
	brief          // had for the time of a copy
	lent           // had while a function of the program runs, for as long as it likes
	passed         // on its way to one of those who wait
	leaving        // lent, and ended when it is given back
	ended          // nobody gets it any more
)

// A turn is the right to use one ring: a lock that can be waited for with a context
// and a deadline, and that tells whether its end is near.
//
// It is passed to those who wait before who had it can take it again. A token is
// in wake, or has just been taken out, exactly while the state is passed. Who waits
// counts himself in waiters and then looks at the state; who releases sets the
// state and then looks at waiters: one of the two sees the other.
type turn struct {
	state   atomic.Uint32
	waiters atomic.Int32
	wake    chan struct{}
	left    func() // called once, when the turn has ended
}

func newTurn(left func()) turn { return turn{wake: make(chan struct{}, 1), left: left} }

// try takes the turn if it is free.
func (t *turn) try(as uint32) bool { return t.state.CompareAndSwap(free, as) }

// release gives the turn back.
func (t *turn) release() {
	if t.state.Swap(free) == leaving {
		t.end()
		return
	}
	if t.waiters.Load() > 0 && t.state.CompareAndSwap(free, passed) {
		t.wake <- struct{}{}
	}
}

// wait takes the turn, waiting for it until q, ctx or d end. The caller has nothing
// that the one who has the turn could be waiting for.
func (t *turn) wait(as uint32, q *Queue, ctx context.Context, d *deadline) error {
	t.waiters.Add(1)
	defer t.waiters.Add(-1)
	for !t.try(as) {
		over, changed := d.state()
		if over {
			return os.ErrDeadlineExceeded
		}
		select {
		case <-t.wake:
			t.state.Store(as)
			return nil
		case <-q.done:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
	return nil
}

// end ends the turn, and waits for no function of the program: if it is lent, it ends when it
// is given back. The queue is closed, so who takes it now gives it back without having lent
// it to anybody.
func (t *turn) end() {
	t.waiters.Add(1)
	defer t.waiters.Add(-1)
	if !t.try(ended) {
		if t.state.CompareAndSwap(lent, leaving) {
			return
		}
		<-t.wake
		t.state.Store(ended)
	}
	t.left()
}

// insist takes the turn for a caller that has what others may be waiting for. It
// waits for no function of the program: if the turn is lent it fails with refusal.
func (t *turn) insist(as uint32, q *Queue, refusal error) error {
	for !t.try(as) {
		select {
		case <-t.wake:
			t.state.Store(as)
			return nil
		case <-q.done:
			return ErrClosed
		default:
		}
		if t.state.Load() == lent {
			return refusal
		}
		runtime.Gosched()
	}
	return nil
}
