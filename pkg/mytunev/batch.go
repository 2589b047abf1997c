// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"iter"
)

// batchFrames is how many frames a batch hands out at most: then their room
// goes back to the kernel.
const batchFrames = 256

// A Batch is a Handler's view of its queue: some frames that came, and a Tx to
// send others. It belongs to the goroutine that the Handler was called on and
// ends when the Handler returns. A Batch allocates nothing.
type Batch struct {
	// Tx sends frames on the same queue, until the Handler returns.
	Tx

	q    *Queue
	call *callback
	left int   // frames that may still be handed out
	err  error // the ring broke on the way
}

func newBatch(q *Queue, ctx context.Context) *Batch {
	s := newSender(q, ctx)
	c := newCallback()
	c.s = s
	return &Batch{Tx: s.tx, q: q, call: c}
}

// Queue returns the queue that the frames came through.
func (b *Batch) Queue() *Queue { return b.q }

// Next returns the next frame, or false when the batch has no more.
func (b *Batch) Next() (f Frame, ok bool) {
	ok = b.next(&f)
	return f, ok
}

// next is Next without a copy.
func (b *Batch) next(f *Frame) bool {
	if b.left == 0 || b.err != nil {
		return false
	}
	ok, err := b.q.rx.peek(f)
	if err != nil {
		b.err = err
	} else if ok {
		b.left--
	}
	return ok
}

// Frames returns an iterator over the frames that Next would return.
func (b *Batch) Frames() iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		var f Frame
		for b.next(&f) && yield(f) {
		}
	}
}

func (b *Batch) begin() {
	b.s.open = true
	b.left = batchFrames
	b.err = nil
}

// end publishes what was committed, gives the frames back, and rings the
// doorbell at most once for both.
func (b *Batch) end() error {
	q := b.q
	q.counters.batches.Add(1)
	q.counters.frames.Add(uint64(batchFrames - b.left))
	b.left = 0
	b.s.open = false
	return q.giveBack(b.s.endTurn(), b.err)
}
