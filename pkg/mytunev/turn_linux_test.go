// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// takeTurn takes a turn that is about to be free, for as long as a test likes.
func takeTurn(t *testing.T, turn *turn) {
	t.Helper()
	until(t, "the turn", func() bool { return turn.try(brief) })
}

// lentTo runs f while a function given to SendBatch has q's tx ring.
func lentTo(t *testing.T, q *Queue, f func()) {
	t.Helper()
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- q.SendBatch(func(tx *Tx) error {
			_, err := tx.Reserve(1)
			close(inside)
			<-leave
			return err
		})
	}()
	<-inside
	f()
	close(leave)
	if err := <-done; err != nil && err != ErrClosed {
		t.Error(err)
	}
}

// TestWaitForARingThatIsLent: a context, a deadline and Close end it, and the turn goes
// to those who still wait.
func TestWaitForARingThatIsLent(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(q *Queue, cancel func())
		want error
	}{
		"context":  {func(q *Queue, cancel func()) { cancel() }, context.Canceled},
		"deadline": {func(q *Queue, cancel func()) { q.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"Close":    {func(q *Queue, cancel func()) { go q.Close() }, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFake(t)
			k.send([]byte{1})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			lentTo(t, q, func() {
				wait := start(ctx, q, func(b *Batch) error { return b.Send([]byte{1}) })
				until(t, "the wait for the ring", func() bool { return q.txTurn.waiters.Load() == 1 })
				c.end(q, cancel)
				if err := wait(); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
			if c.want == ErrClosed {
				return
			}
			q.SetWriteDeadline(time.Time{})
			if err := q.Send([]byte{2}); err != nil {
				t.Error(err)
			}
			if state := q.txTurn.state.Load(); state != free {
				t.Errorf("the turn is left in state %d", state)
			}
		})
	}
}

// TestTurnIsPassedOn: those who wait get the turn before who has it can take it again.
func TestTurnIsPassedOn(t *testing.T) {
	q, _ := newFake(t)
	got := make(chan error)
	lentTo(t, q, func() {
		go func() { got <- q.txTurn.wait(brief, q, t.Context(), nil) }()
		until(t, "the wait for the turn", func() bool { return q.txTurn.waiters.Load() == 1 })
	})
	if q.txTurn.try(lent) {
		t.Error("taken while somebody waited")
	}
	if err := <-got; err != nil || q.txTurn.state.Load() != brief {
		t.Errorf("%v, state %d", err, q.txTurn.state.Load())
	}
	q.txTurn.release()
}
