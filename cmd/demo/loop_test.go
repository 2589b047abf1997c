// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A fakeRing is a transmitter that keeps what is sent.
type fakeRing struct {
	sent  [][]byte
	slot  []byte
	full  int   // how often in a row there is no room, even after a wait
	waits int   // how often somebody waited
	err   error // of Reserve or, if there is no room, of WaitSpace
}

func (f *fakeRing) Reserve(n int) ([]byte, error) {
	if f.full > 0 {
		return nil, mytunev.ErrFull
	}
	f.slot = make([]byte, n)
	return f.slot, f.err
}

func (f *fakeRing) WaitSpace(int) error {
	f.waits++
	f.full--
	return f.err
}

func (f *fakeRing) Commit(n int) error {
	f.sent = append(f.sent, f.slot[:n])
	return nil
}

func TestLoop(t *testing.T) {
	l, tx := newLoop(newResponder(false), 2, 0), &fakeRing{}
	left := ping4(own4, nil)
	frames := [][]byte{ping4(other4, data(8)), left, ping6(other6, data(9)), {0x50}}
	var received int
	var sum tally
	for _, frame := range frames {
		received += len(frame)
		if err := l.one(tx, slices.Clone(frame), &sum); err != nil {
			t.Fatal(err)
		}
	}
	if len(tx.sent) != 2 || tx.waits != 0 {
		t.Fatalf("%d answers, %d waits, want 2 answers", len(tx.sent), tx.waits)
	}
	for i, frame := range [][]byte{frames[0], frames[2]} {
		newResponder(false).answer(frame)
		if !bytes.Equal(tx.sent[i], frame) {
			t.Errorf("answer %d is\n%x, want\n%x", i, tx.sent[i], frame)
		}
	}
	l.tallies[0].add(&sum)
	l.tallies[1].add(&sum)
	all := l.tally()
	want := tally{received: uint64(2 * received), replied: uint64(2 * (len(frames[0]) + len(frames[2])))}
	want.frames[echo4], want.frames[echo6], want.frames[ignoredAddress], want.frames[ignoredInvalid] = 2, 2, 2, 2
	if all != want || all.packets() != 8 || all.answers() != 4 {
		t.Errorf("%+v with %d packets and %d answers, want %+v", all, all.packets(), all.answers(), want)
	}
}

// TestLoopCount: the echo reply that is the last ends the loop, whatever else comes
// meanwhile, and there is none after it.
func TestLoopCount(t *testing.T) {
	l, tx := newLoop(newResponder(true), 1, 2), &fakeRing{}
	var sum tally
	for i, c := range []struct {
		frame []byte
		want  error
		sent  int
	}{
		{ethernet(responderMAC, 0x0800, ping4(other4, nil)), nil, 1},
		{ethernet(everyone, 0x0806, arp(1, own4, other4)), nil, 2},
		{ethernet(responderMAC, 0x0800, ping4(own4, nil)), nil, 2},
		{ethernet(responderMAC, 0x86dd, ping6(other6, nil)), errCount, 3},
		{ethernet(responderMAC, 0x0800, ping4(other4, nil)), errCount, 3},
	} {
		if err := l.one(tx, c.frame, &sum); err != c.want || len(tx.sent) != c.sent {
			t.Errorf("frame %d: %v, %d answers, want %v, %d", i, err, len(tx.sent), c.want, c.sent)
		}
	}
	if sum.frames[echo4]+sum.frames[echo6] != 2 || sum.frames[arpRequest] != 1 {
		t.Errorf("counted %+v, want two echo replies", sum)
	}
}

// TestLoopWaits for room however often others take it, and ends when that is in vain.
func TestLoopWaits(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		full, waits, sent int
		err               error
	}{{0, 0, 1, nil}, {1, 1, 1, nil}, {3, 3, 1, nil}, {0, 0, 0, broken}, {2, 1, 0, broken}} {
		var sum tally
		tx := &fakeRing{full: c.full, err: c.err}
		err := newLoop(newResponder(false), 1, 0).one(tx, ping4(other4, nil), &sum)
		if err != c.err || tx.waits != c.waits || len(tx.sent) != c.sent || sum.packets() != uint64(c.sent) {
			t.Errorf("full %d times, error %v: %v, %d waits, %d answers, %d counted", c.full, c.err, err, tx.waits, len(tx.sent), sum.packets())
		}
	}
}
