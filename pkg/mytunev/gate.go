// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"os"
)

// A sleeper blocks until the kernel signals one of the queue's events.
type sleeper interface {
	// wait returns after a signal, after a kick, or when the file reports
	// that it is of no more use, which alone is an error. Signals and kicks
	// that come while nobody waits end the next wait. One goroutine at a time.
	wait() error

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
}

func newGate(s sleeper) gate {
	return gate{sleeper: s, turn: make(chan struct{}, 1)}
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

// sleep waits at g for what arm asks for. It may return early: the caller looks
// again in any case. It fails when the queue, ctx or d end.
func (q *Queue) sleep(ctx context.Context, g *gate, d *deadline, arm armFunc, n uint32) error {
	if err := g.enter(q, ctx, d); err != nil {
		return err
	}
	defer g.leave()
	return q.wait(ctx, g, d, arm, n)
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
	return q.wait(ctx, &q.framesGate, d, (*Queue).armRx, 0)
}

// wait is sleep without taking the turn, which the caller has.
func (q *Queue) wait(ctx context.Context, g *gate, d *deadline, arm armFunc, n uint32) error {
	if ready, err := arm(q, ctx, d, n); ready || err != nil {
		return err
	}
	if d.over() {
		return os.ErrDeadlineExceeded
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	failure := g.wait()
	q.counters.wakeups.Add(1)
	if failure == nil {
		return nil
	}
	// The file is of no more use, but what came before that counts.
	if ready, err := arm(q, ctx, d, n); ready || err != nil {
		return err
	}
	return failure
}
