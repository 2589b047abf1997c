// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// FuzzSplit: whatever a frame and its VNetHeader say, a Splitter and Checksum stay
// within the frame, and each frame that comes out is as long as was announced.
func FuzzSplit(f *testing.F) {
	for _, r := range kinds() {
		r.payload = pattern(300)
		frame, v := r.super(100)
		addSplit(f, r.mode, frame, v)
		v.GSOType, v.GSOSize = 0, 0
		addSplit(f, r.mode, frame, v)
	}
	for _, o := range overlays() {
		o.inner.payload = pattern(300)
		frame, v := o.super(100)
		addSplit(f, o.outer.mode, frame, v)
	}
	f.Fuzz(func(t *testing.T, tap bool, frame []byte, flags, kind uint8, size, start, offset, outer, inner uint16) {
		v := mytunev.VNetHeader{Flags: flags, GSOType: kind, GSOSize: size, CsumStart: start, CsumOffset: offset,
			OuterTHOffset: outer, InnerNHOffset: inner}
		before := bytes.Clone(frame)
		if frames, err := split(modeOf(tap), frame, v); err == nil && len(frames) == 0 {
			t.Error("no error and no frame")
		}
		if !bytes.Equal(frame, before) {
			t.Error("the frame was changed")
		}
		Checksum(frame, v)
	})
}

func addSplit(f *testing.F, mode mytunev.Mode, frame []byte, v mytunev.VNetHeader, more ...any) {
	f.Add(append([]any{mode == mytunev.TAP, frame, v.Flags, v.GSOType, v.GSOSize, v.CsumStart, v.CsumOffset,
		v.OuterTHOffset, v.InnerNHOffset}, more...)...)
}

// FuzzRoundTrip: a super-packet that is cut up and joined again is what it was.
func FuzzRoundTrip(f *testing.F) {
	for i := range kinds() {
		f.Add(uint8(i), pattern(1000+i), uint16(100), uint32(1<<32-300), uint16(65534), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte, size uint16, seq uint32, id uint16, df bool) {
		r := kinds()[int(kind)%len(kinds())]
		r.payload, r.seq, r.id, r.df = payload, seq, id, df
		segments := (len(payload) + int(size) - 1) / max(int(size), 1)
		if size == 0 || segments < 2 || len(payload) > 60000 || r.udp && segments > maxSegments {
			return
		}
		super, v := r.super(int(size))
		frames, err := split(r.mode, super, v)
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range frames {
			check(t, r, frame)
		}
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != 1 || all[0].vnet != v || !bytes.Equal(all[0].data, super) {
			t.Errorf("%v: %d frames, the first %+v\n%x, want %+v\n%x", r, len(all), all[0].vnet, all[0].data, v, super)
		}
	})
}

// FuzzCoalesce makes frames of a few flows, puts headers in front of theirs, changes bytes
// in them, and joins what can be joined. Cut up again, each flow is what it was, in its
// order.
func FuzzCoalesce(f *testing.F) {
	f.Add(uint8(0), []byte{0, 100, 0, 0, 0, 100, 0, 0, 1, 50, 0, 0, 0, 100, 0, 0})
	f.Add(uint8(1), []byte{0, 100, 0, 0, 0, 100, 8, 1, 0, 50, 36, 255, 0, 100, 0, 0})
	f.Add(uint8(6), []byte{2, 9, 0, 0, 2, 9, 0, 0, 2, 9, 20, 7, 3, 9, 0, 0})
	for i := range elements {
		one := byte(i+1) << 3
		f.Add(uint8(1), []byte{0, 100, 0, 0, one, 0, 0, 0, 0, 100, 0, 0})
		f.Add(uint8(3), []byte{0, 100, 0, 0, one, 100, 0, 0, 0, 100, 0, 0})
		f.Add(uint8(6), []byte{0, 100, 0, 0, one, 100, 0, 0, 0, 100, 0, 0})
	}
	f.Fuzz(func(t *testing.T, kind uint8, script []byte) {
		r := kinds()[int(kind)%len(kinds())]
		frames := play(r, script)
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		mustKeep(t, r.mode, frames, all)
	})
}

// play makes a frame of each four bytes: flow, repair and one of the elements; size of the
// payload; byte to change, and how.
func play(r recipe, script []byte) [][]byte {
	var next [4]struct {
		seq uint32
		id  uint16
	}
	var frames [][]byte
	for ; len(script) >= 4; script = script[4:] {
		flow := &next[script[0]&3]
		one := r
		one.port, one.seq, one.id, one.payload = uint16(script[0]&3), flow.seq, flow.id, pattern(int(script[1]))
		one.flags = header.TCPFlagAck
		flow.seq += uint32(script[1])
		flow.id++
		frame := one.build()
		if e := int(script[0] >> 3); e > 0 {
			frame = behind(one, frame, nil, elements[(e-1)%len(elements)])
		}
		frame[int(script[2])%len(frame)] ^= script[3]
		if script[0]&4 != 0 && script[0]>>3 == 0 {
			repair(one, frame)
		}
		frames = append(frames, frame)
	}
	return frames
}
