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
		f.Add(r.mode == mytunev.TAP, frame, v.Flags, v.GSOType, v.GSOSize, v.CsumStart, v.CsumOffset)
		f.Add(r.mode == mytunev.TAP, frame, v.Flags, uint8(0), uint16(0), v.CsumStart, v.CsumOffset)
	}
	f.Fuzz(func(t *testing.T, tap bool, frame []byte, flags, kind uint8, size, start, offset uint16) {
		v := mytunev.VNetHeader{Flags: flags, GSOType: kind, GSOSize: size, CsumStart: start, CsumOffset: offset}
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

// FuzzCoalesce makes frames of a few flows, changes bytes in them, and joins what
// can be joined. Cut up again, each flow is what it was, in its order.
func FuzzCoalesce(f *testing.F) {
	f.Add(uint8(0), []byte{0, 100, 0, 0, 0, 100, 0, 0, 1, 50, 0, 0, 0, 100, 0, 0})
	f.Add(uint8(1), []byte{0, 100, 0, 0, 0, 100, 8, 1, 0, 50, 36, 255, 0, 100, 0, 0})
	f.Add(uint8(6), []byte{2, 9, 0, 0, 2, 9, 0, 0, 2, 9, 20, 7, 3, 9, 0, 0})
	f.Fuzz(func(t *testing.T, kind uint8, script []byte) {
		r := kinds()[int(kind)%len(kinds())]
		frames := play(r, script)
		c := NewCoalescer(r.mode)
		want := make(map[string][][]byte)
		for _, frame := range frames {
			c.Add(frame, mytunev.VNetHeader{})
			want[flowOf(r, frame)] = append(want[flowOf(r, frame)], frame)
		}
		for _, s := range coalesce(t, c, mytunev.VNetHeader{}) {
			got, err := split(r.mode, s.data, s.vnet)
			if err != nil {
				t.Fatal(err)
			}
			for _, frame := range got {
				flow := flowOf(r, frame)
				if len(want[flow]) == 0 || !same(r, frame, want[flow][0]) {
					t.Fatalf("%v: %x, want %x", r, frame, want[flow])
				}
				want[flow] = want[flow][1:]
			}
		}
		for flow, left := range want {
			if len(left) != 0 {
				t.Fatalf("%v: %d frames of %x got lost", r, len(left), flow)
			}
		}
	})
}

// play makes a frame of each four bytes: flow and repair, size of the payload, byte to
// change, and how.
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
		frame[int(script[2])%len(frame)] ^= script[3]
		if script[0]&4 != 0 {
			repair(one, frame)
		}
		frames = append(frames, frame)
	}
	return frames
}

// flowOf returns the part of a frame from which flows are told apart, wherever a
// changed frame has its ports: frames that differ in it are of different flows.
func flowOf(r recipe, frame []byte) string {
	p, err := parsed(r.mode, frame)
	if err != nil {
		return err.Error()
	}
	return string(p.addresses(frame)) + string(frame[p.l4:p.l4+4]) + string(rune(p.proto)) + string(frame[:p.l3])
}

// same reports whether two frames are equal, but for the identification of a packet
// that must not be fragmented and the padding behind a packet.
func same(r recipe, a, b []byte) bool {
	p, err := parsed(r.mode, b)
	if err != nil || len(a) == len(b) && bytes.Equal(a, b) {
		return bytes.Equal(a, b)
	}
	a, b = bytes.Clone(a[:min(len(a), p.end)]), bytes.Clone(b[:p.end])
	if ip := header.IPv4(b[p.l3:]); !p.v6 && ip.Flags() == header.IPv4FlagDontFragment {
		for _, f := range [][]byte{a, b} {
			header.IPv4(f[p.l3:]).SetID(0)
			header.IPv4(f[p.l3:]).SetChecksum(0)
		}
	}
	return bytes.Equal(a, b)
}
