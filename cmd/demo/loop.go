// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"math"
	"sync/atomic"

	"github.com/mytun/mytun/pkg/mytunev"
)

// errCount ends the loop when -count replies were sent.
var errCount = errors.New("count reached")

// A tally counts frames.
type tally struct {
	frames            [verdicts]uint64
	received, replied uint64 // bytes
}

// A sharedTally is a tally that one goroutine adds to while others look.
type sharedTally struct {
	frames            [verdicts]atomic.Uint64
	received, replied atomic.Uint64
	_                 [64]byte // each queue on cache lines of its own
}

func (s *sharedTally) add(t *tally) {
	for v := range t.frames {
		if t.frames[v] > 0 {
			s.frames[v].Add(t.frames[v])
		}
	}
	s.received.Add(t.received)
	s.replied.Add(t.replied)
}

// A loop answers the frames of all queues of a device.
type loop struct {
	responder *responder
	left      atomic.Int64  // echo replies still to be sent
	tallies   []sharedTally // by queue
}

// newLoop makes a loop that ends after count echo replies, if count is not 0.
func newLoop(r *responder, queues int, count int64) *loop {
	l := &loop{responder: r, tallies: make([]sharedTally, queues)}
	if count == 0 {
		count = math.MaxInt64
	}
	l.left.Store(count)
	return l
}

// handle is the mytunev.Handler: it answers one batch.
func (l *loop) handle(b *mytunev.Batch) error {
	var t tally
	defer l.tallies[b.Queue().Index()].add(&t)
	for f, ok := b.Next(); ok; f, ok = b.Next() {
		if err := l.one(b, f.Data, &t); err != nil {
			return err
		}
	}
	return nil
}

// A transmitter is what a loop needs of a batch to send answers.
type transmitter interface {
	Reserve(n int) ([]byte, error)
	WaitSpace(n int) error
	Commit(n int) error
}

// one answers one frame.
func (l *loop) one(tx transmitter, frame []byte, t *tally) error {
	n, v := l.responder.answer(frame)
	left := int64(1)
	if v.echo() {
		if left = l.left.Add(-1); left < 0 {
			return errCount // another queue sent the last one
		}
	}
	if n > 0 {
		if err := reply(tx, frame[:n]); err != nil {
			return err
		}
	}
	t.frames[v]++
	t.received += uint64(len(frame))
	t.replied += uint64(n)
	if left == 0 {
		return errCount
	}
	return nil
}

// reply copies frame into the tx ring and waits for room if there is none, so
// that the kernel holds back its requests rather than lose the replies.
func reply(tx transmitter, frame []byte) error {
	slot, err := tx.Reserve(len(frame))
	for err == mytunev.ErrFull {
		if err = tx.WaitSpace(len(frame)); err == nil {
			slot, err = tx.Reserve(len(frame))
		}
	}
	if err != nil {
		return err
	}
	return tx.Commit(copy(slot, frame))
}

// tally returns the sum over all queues.
func (l *loop) tally() tally {
	var sum tally
	for i := range l.tallies {
		t := &l.tallies[i]
		for v := range sum.frames {
			sum.frames[v] += t.frames[v].Load()
		}
		sum.received += t.received.Load()
		sum.replied += t.replied.Load()
	}
	return sum
}

// packets is the number of all frames.
func (t *tally) packets() uint64 {
	var n uint64
	for _, frames := range t.frames {
		n += frames
	}
	return n
}

// answers is the number of answered frames.
func (t *tally) answers() uint64 {
	var n uint64
	for v, frames := range t.frames {
		if verdict(v).answered() {
			n += frames
		}
	}
	return n
}

func (t tally) sub(earlier tally) tally {
	for v := range t.frames {
		t.frames[v] -= earlier.frames[v]
	}
	t.received -= earlier.received
	t.replied -= earlier.replied
	return t
}
