// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// overlayOf makes an overlay of the bits of a number. Options are Geneve's, as far as they
// are whole and fit.
func overlayOf(kind uint16, options []byte) overlay {
	bit := func(n int) bool { return kind>>n&1 != 0 }
	o := overlay{sum: bit(0), geneve: bit(1), bare: bit(2)}
	o.outer = recipe{mode: modeOf(bit(3)), vlan: bit(4), v6: bit(5), df: bit(6), udp: true, port: 50000, id: 65534}
	o.inner = recipe{vlan: bit(7), v6: bit(8), udp: bit(9), df: bit(10), flags: header.TCPFlagAck, port: 4000, seq: 1<<32 - 300, id: 9}
	if !o.inner.udp && bit(11) {
		o.inner.options = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	}
	const most = 63 * 4
	if o.geneve {
		o.options = options[:min(len(options)&^3, most)]
	}
	return o
}

// FuzzTunnelRoundTrip: a tunnel's super-packet is cut up as by the definition, and joined
// again is what it was.
func FuzzTunnelRoundTrip(f *testing.F) {
	for i := range uint16(64) {
		f.Add(i<<6|i, pattern(int(i)), pattern(1000+int(i)), uint16(100), uint32(1<<32-300), uint16(65534), i)
	}
	f.Fuzz(func(t *testing.T, kind uint16, options, payload []byte, size uint16, seq uint32, outerID, innerID uint16) {
		o := overlayOf(kind, options)
		o.outer.id, o.inner.id, o.inner.seq, o.inner.payload = outerID, innerID, seq, payload
		segments := (len(payload) + int(size) - 1) / max(int(size), 1)
		if size == 0 || segments < 2 || len(payload) > 60000 || o.inner.udp && segments > maxSegments {
			return
		}
		super, v := o.super(int(size))
		frames, err := split(o.outer.mode, super, v)
		if err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		mustBeFrames(t, o, frames, o.cutByHand(payload, int(size)))
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != 1 || all[0].vnet != v || !bytes.Equal(all[0].data, super) {
			t.Errorf("%v: %d frames, the first %+v\n%x, want %+v\n%x", o, len(all), all[0].vnet, all[0].data, v, super)
		}
	})
}

// FuzzCoalesceTunnels makes frames of a few flows in a few tunnels, changes bytes in them,
// and joins what can be joined. Cut up again, each flow is what it was, in its order.
func FuzzCoalesceTunnels(f *testing.F) {
	for i := range uint16(64) {
		f.Add(i<<6|i, pattern(8), []byte{0, 100, 0, 0, 0, 100, 0, 0, 1, 50, 0, 0, 0, 100, 0, 0})
		f.Add(i<<6|i, pattern(8), []byte{8, 100, 53, 1, 8, 100, 55, 255, 16, 100, 28, 8, 24, 100, 34, 1})
	}
	f.Fuzz(func(t *testing.T, kind uint16, options, script []byte) {
		o := overlayOf(kind, options)
		frames := playTunnels(o, script)
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
		mustKeep(t, o.outer.mode, frames, all)
	})
}

// playTunnels makes a frame of each four bytes: tunnel, flow within, and what else is to be
// done; size of the payload; byte to change, and how.
func playTunnels(o overlay, script []byte) [][]byte {
	const tunnels, repaired, within, plain, padded = 3, 4, 8, 16, 32 // bits of the first byte
	var next [8]struct {
		seq uint32
		id  uint16
	}
	var ids [4]uint16
	var frames [][]byte
	for ; len(script) >= 4; script = script[4:] {
		what := script[0]
		flow, id := &next[(what&tunnels)|(what&within)>>1], &ids[what&tunnels]
		one := o
		one.outer.port += uint16(what & tunnels)
		one.inner.port += uint16(what & within)
		one.outer.id, one.inner.id, one.inner.seq = one.outer.id+*id, one.inner.id+flow.id, one.inner.seq+flow.seq
		one.inner.payload = pattern(int(script[1]))
		flow.seq += uint32(script[1])
		flow.id++
		*id++
		frame := one.build()
		if what&plain != 0 {
			one.outer.payload = pattern(int(script[1]))
			frame = one.outer.build()
		}
		at := int(script[2]) % len(frame)
		frame[at] ^= script[3]
		if what&repaired != 0 && what&plain == 0 {
			one.repair(frame)
		}
		if what&padded != 0 && o.outer.mode == mytunev.TAP {
			frame = append(frame, make([]byte, script[2]%8)...)
		}
		frames = append(frames, frame)
	}
	return frames
}

// TestCoalesceTunnelScripts plays random scripts whose frames mostly fit: of FuzzCoalesceTunnels,
// what can be had without a fuzzer.
func TestCoalesceTunnelScripts(t *testing.T) {
	const rounds, length = 1500, 40
	joined, added := 0, 0
	for round := range rounds {
		random := rand.New(rand.NewPCG(1, uint64(round)))
		o := overlayOf(uint16(random.Uint32()), pattern(random.IntN(30)))
		var script []byte
		for range length {
			step := []byte{byte(random.IntN(2)), 100, 0, 0}
			switch random.IntN(8) {
			case 0:
				step = []byte{byte(random.Uint32()), byte(random.IntN(150)), byte(random.Uint32()), 1 << random.IntN(8)}
			case 1:
				step[0] |= byte(random.IntN(64))
			}
			script = append(script, step...)
		}
		frames := playTunnels(o, script)
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
		mustKeep(t, o.outer.mode, frames, all)
		for _, s := range all {
			if isTunnel(s) {
				joined++
			}
		}
		added += len(frames)
	}
	if joined < added/20 {
		t.Errorf("%d super-packets of %d frames: the test tests nothing", joined, added)
	}
}
