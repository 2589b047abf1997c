// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"os"
)

// A sleeper blocks until the kernel signals one of the queue's events.
type sleeper interface {
	// wait calls ready, and unless that reports true returns after a signal, after
	// a kick, or when it finds that it is of no more use, which alone is an error.
	// No signal and no kick is lost that comes after ready was called; of one that
	// came before, ready has to find what it was about. One goroutine at a time.
	wait(ready func() bool) error

	// kick ends a wait. It is safe for concurrent use, also after close.
	kick()

	// close frees what wait uses. The caller knows that nobody waits.
	close() error
}

// A gate lets one goroutine at a time sleep. An edge in epoll wakes one waiter:
// if two waited, the one that is woken could be content with what it finds and
// go away, and leave the other asleep beside a ring that is not empty.
type gate struct {
	sleeper
	turn chan struct{} // holds a token while someone has the turn

	// Of who has the turn. It is kept here because what a sleeper is given would
	// be in the heap, once for each wait.
	wish  wish
	ready func() bool // wish.granted
}

func (g *gate) init(s sleeper) {
	g.sleeper = s
	g.turn = make(chan struct{}, 1)
	g.ready = g.wish.granted
}

// enter takes the turn, waiting for it until q, ctx or d end.
func (g *gate) enter(q *Queue, ctx context.Context, d *deadline) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	default:
	}
	for {
		passed, changed := d.state()
		if passed {
			return os.ErrDeadlineExceeded
		}
		select {
		case g.turn <- struct{}{}:
			return nil
		case <-q.done:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (g *gate) leave() { <-g.turn }

// An armFunc asks the kernel to signal, and reports true if what was to be
// waited for is there already.
type armFunc func(q *Queue, ctx context.Context, d *deadline, n uint32) (bool, error)

// A wish is what somebody waits for, and until when.
type wish struct {
	q   *Queue
	ctx context.Context
	d   *deadline
	arm armFunc
	n   uint32

	slept bool  // it was not granted at once
	err   error // why there is nothing to wait for
}

// granted asks the kernel to signal, and reports true if there is no reason to wait
// for that. Close, a context and a deadline end before they kick, so that of a kick
// that came too early the end is found here.
func (w *wish) granted() bool {
	ready, err := w.arm(w.q, w.ctx, w.d, w.n)
	switch {
	case ready || err != nil:
	case w.d.over():
		err = os.ErrDeadlineExceeded
	default:
		err = w.ctx.Err()
	}
	w.err = err
	w.slept = !ready && err == nil
	return !w.slept
}

// sleep waits at g for what arm asks for. It may return early: the caller looks
// again in any case. It fails when the queue, ctx or d end.
func (q *Queue) sleep(ctx context.Context, g *gate, d *deadline, arm armFunc, n uint32) error {
	if err := g.enter(q, ctx, d); err != nil {
		return err
	}
	defer g.leave()
	return g.wait(wish{q: q, ctx: ctx, d: d, arm: arm, n: n})
}

// sleepForFrames is sleep for who waits for frames. Who has the turn looks on for a
// while first: of several goroutines that wait, one does.
func (q *Queue) sleepForFrames(ctx context.Context, d *deadline) error {
	if err := q.framesGate.enter(q, ctx, d); err != nil {
		return err
	}
	defer q.framesGate.leave()
	if q.lookOn(ctx, d) {
		return nil
	}
	return q.framesGate.wait(wish{q: q, ctx: ctx, d: d, arm: (*Queue).armRx})
}

// wait is sleep without taking the turn, which the caller has.
func (g *gate) wait(w wish) error {
	g.wish = w
	defer func() { g.wish = wish{} }()
	failure := g.sleeper.wait(g.ready)
	if g.wish.slept {
		w.q.counters.wakeups.Add(1)
	}
	if failure == nil || g.wish.err != nil {
		return g.wish.err
	}
	// The sleeper is of no more use, but what came before that counts.
	if g.ready(); !g.wish.slept {
		return g.wish.err
	}
	return failure
}
