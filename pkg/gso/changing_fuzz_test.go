// SPDX-License-Identifier: MIT

package gso

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
)

// Frames may be in ring memory that the other side still writes to. Whatever it
// writes and whenever, no call may panic, nor leave the slices that it was given.

// A change is a place in the frame and what it becomes.
const changeSize = 3

// change writes the next few changes of a script into frame and returns the rest.
func change(frame, script []byte) []byte {
	const atOnce = 4
	for range atOnce {
		if len(script) < changeSize || len(frame) == 0 {
			return nil
		}
		frame[(int(script[0])<<8|int(script[1]))%len(frame)] = script[2]
		script = script[changeSize:]
	}
	return script
}

func modeOf(tap bool) mytunev.Mode {
	if tap {
		return mytunev.TAP
	}
	return mytunev.TUN
}

// FuzzSplitChanging: the frame changes between any two calls of a Splitter. How many
// frames come out of it, and how long they are, was settled by Reset.
func FuzzSplitChanging(f *testing.F) {
	for _, r := range kinds() {
		r.payload = pattern(300)
		frame, v := r.super(100)
		addSplit(f, r.mode, frame, v, []byte{})
		addSplit(f, r.mode, frame, v, []byte{0, 0, 0xF, 0, 6, 255, 0, 32, 0xF0, 0, 46, 0xF0})
		v.GSOType, v.GSOSize = 0, 0
		addSplit(f, r.mode, frame, v, []byte{0, 2, 255, 0, 3, 255, 0, 4, 255, 0, 5, 255})
	}
	for _, o := range overlays() {
		o.inner.payload = pattern(300)
		frame, v := o.super(100)
		addSplit(f, o.outer.mode, frame, v, []byte{0, 0, 0xF, 0, 6, 255, 0, 26, 0xF0, 0, 27, 0xF0, 0, 50, 0xFF, 0, 24, 0xFF})
	}
	f.Fuzz(func(t *testing.T, tap bool, frame []byte, flags, kind uint8, size, start, offset, outer, inner uint16, script []byte) {
		v := mytunev.VNetHeader{Flags: flags, GSOType: kind, GSOSize: size, CsumStart: start, CsumOffset: offset,
			OuterTHOffset: outer, InnerNHOffset: inner}
		var s Splitter
		if s.Reset(modeOf(tap), frame, v) != nil {
			return
		}
		buf := make([]byte, len(frame))
		for left := s.Frames(); left > 0; left-- {
			script = change(frame, script)
			want := s.Size()
			n, err := s.Next(buf)
			if err != nil || n != want || n == 0 || s.Frames() != left-1 {
				t.Fatalf("%d bytes, %v, want %d; %d frames left, want %d", n, err, want, s.Frames(), left-1)
			}
		}
		if n, err := s.Next(buf); n != 0 || err != io.EOF {
			t.Fatalf("%d, %v, want the end", n, err)
		}
	})
}

// FuzzCoalesceChanging: frames of any content, or almost good ones, that change
// between the calls of a Coalescer. As many come out as Len said, none longer than
// what went in.
func FuzzCoalesceChanging(f *testing.F) {
	f.Add(uint8(0), []byte{0, 100, 0, 0, 0, 100, 0, 0, 0, 100, 0, 0}, []byte{0, 0, 0x4F, 0, 2, 255, 0, 32, 0xF0}, uint8(0), uint16(0))
	f.Add(uint8(1), []byte{0, 100, 0, 0, 0, 100, 0, 0}, []byte{0, 6, 0, 0, 4, 255, 0, 5, 255}, uint8(mytunev.VNetDataValid), uint16(0))
	f.Add(uint8(5), []byte{4, 100, 3, 9, 0, 100, 0, 0}, []byte{0, 13, 0, 0, 40, 255}, uint8(mytunev.VNetNeedsChecksum), uint16(20))
	f.Fuzz(func(t *testing.T, kind uint8, content, script []byte, flags uint8, start uint16) {
		r := kinds()[int(kind)%len(kinds())]
		v := mytunev.VNetHeader{Flags: flags, CsumStart: start, CsumOffset: uint16(kind)}
		addChanging(t, NewCoalescer(r.mode), append(play(r, content), content), script, v)
	})
}

// FuzzCoalesceTunnelsChanging is the same for frames of tunnels.
func FuzzCoalesceTunnelsChanging(f *testing.F) {
	f.Add(uint16(0), []byte{0, 100, 0, 0, 0, 100, 0, 0, 0, 100, 0, 0}, []byte{0, 0, 0x4F, 0, 2, 255, 0, 28, 0xF0}, uint8(0), uint16(0))
	f.Add(uint16(6), []byte{0, 100, 0, 0, 0, 100, 0, 0}, []byte{0, 28, 0xFF, 0, 50, 255, 0, 53, 255}, uint8(mytunev.VNetDataValid|mytunev.VNetUDPTunnelChecksum), uint16(0))
	f.Add(uint16(31), []byte{4, 100, 3, 9, 0, 100, 0, 0}, []byte{0, 29, 0, 0, 82, 255}, uint8(mytunev.VNetNeedsChecksum), uint16(70))
	f.Fuzz(func(t *testing.T, kind uint16, content, script []byte, flags uint8, start uint16) {
		o := overlayOf(kind, []byte{1, 2, 0x80, 0})
		v := mytunev.VNetHeader{Flags: flags, CsumStart: start, CsumOffset: kind % 32}
		addChanging(t, joiner(o.outer.mode), append(playTunnels(o, content), content), script, v)
	})
}

// addChanging adds frames to c that change meanwhile.
func addChanging(t *testing.T, c *Coalescer, frames [][]byte, script []byte, v mytunev.VNetHeader) {
	in := 0
	frames = slices.DeleteFunc(frames, func(f []byte) bool { return len(f) == 0 }) // which is an error of its own
	for i, frame := range frames {
		c.Add(frame, v)
		in += len(frame)
		script = change(frames[i/2], script)
	}
	tx, n := &recorder{}, c.Len()
	if err := c.Flush(tx); err != nil && !errors.Is(err, mytunev.ErrTooLong) {
		t.Fatal(err)
	}
	out := 0
	for _, s := range tx.all {
		out += len(s.data)
	}
	if len(tx.all) != n || out > in {
		t.Fatalf("%d frames of %d bytes in all went in, %d of %d came out, Len was %d", len(frames), in, len(tx.all), out, n)
	}
}
