// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// joiner returns a Coalescer that joins all that it can.
func joiner(mode mytunev.Mode) *Coalescer {
	c := NewCoalescer(mode)
	c.JoinTunnels(TunnelConfig{Checksum: true})
	return c
}

// isTunnel reports whether a super-packet of a tunnel was sent.
func isTunnel(s sent) bool { return s.vnet.GSOType&tunnelTypes != 0 }

func anyTunnel(all []sent) bool { return slices.ContainsFunc(all, isTunnel) }

func TestCoalesceTunnel(t *testing.T) {
	for _, o := range overlays() {
		c := joiner(o.outer.mode)
		for range 2 { // a Coalescer is used again
			for _, sizes := range [][]int{{1000, 1000, 1000, 1000, 500}, {100, 100}, {9, 1}} {
				o.inner.flags = header.TCPFlagAck
				frames := o.parts(sizes...)
				all := coalesce(t, c, mytunev.VNetHeader{}, frames...)
				if len(all) != 1 {
					t.Fatalf("%v, %v: %d frames, want a super-packet", o, sizes, len(all))
				}
				whole := o
				whole.inner.payload = joined(sizes)
				data, v := whole.super(sizes[0])
				if all[0].vnet != v || !bytes.Equal(all[0].data, data) {
					t.Errorf("%v, %v: %+v\n%x, want %+v\n%x", o, sizes, all[0].vnet, all[0].data, v, data)
				}
				mustExpand(t, o.outer, all, frames)
			}
		}
	}
}

// TestCoalesceTunnelIfAsked: who has not said that the device takes such super-packets
// gets none, nor any with a checksum to be computed outside.
func TestCoalesceTunnelIfAsked(t *testing.T) {
	for _, o := range overlays() {
		frames := o.parts(100, 100, 100)
		never, unsummed := NewCoalescer(o.outer.mode), NewCoalescer(o.outer.mode)
		unsummed.JoinTunnels(TunnelConfig{})
		for c, want := range map[*Coalescer]bool{never: false, unsummed: !o.sum, joiner(o.outer.mode): true} {
			all := coalesce(t, c, mytunev.VNetHeader{}, frames...)
			if anyTunnel(all) != want {
				t.Errorf("%v, %+v: joined as a tunnel's %v, want %v", o, c.tunnels, !want, want)
			}
			mustKeep(t, o.outer.mode, frames, all)
			// What is not joined as a tunnel's is joined as any other datagrams.
			if count := map[bool]int{true: 1, false: 3}[want || o.sum]; len(all) != count {
				t.Errorf("%v, %+v: %d frames, want %d", o, c.tunnels, len(all), count)
			}
		}
	}
}

func TestCoalesceTunnelPorts(t *testing.T) {
	none := []uint16{}
	for _, c := range []struct {
		config TunnelConfig
		port   uint16
		geneve bool
		want   bool
	}{
		{TunnelConfig{}, 4789, false, true},
		{TunnelConfig{}, 6081, true, true},
		{TunnelConfig{}, 6081, false, false},
		{TunnelConfig{}, 4789, true, false},
		{TunnelConfig{}, 8472, false, false},
		{TunnelConfig{VXLANPorts: none}, 4789, false, false},
		{TunnelConfig{GenevePorts: none}, 6081, true, false},
		{TunnelConfig{VXLANPorts: []uint16{8472, 65535}}, 65535, false, true},
		{TunnelConfig{VXLANPorts: []uint16{8472, 65535}}, 4789, false, false},
		{TunnelConfig{GenevePorts: []uint16{1}}, 1, true, true},
		{TunnelConfig{VXLANPorts: []uint16{7}, GenevePorts: []uint16{7}}, 7, false, true},
		{TunnelConfig{VXLANPorts: []uint16{7}, GenevePorts: []uint16{7}}, 7, true, false},
	} {
		o := overlay{geneve: c.geneve, outer: recipe{udp: true}}
		frames := o.parts(100, 100)
		for _, f := range frames {
			binary.BigEndian.PutUint16(f[22:], c.port)
		}
		coalescer := NewCoalescer(o.outer.mode)
		coalescer.JoinTunnels(c.config)
		if len(c.config.VXLANPorts) > 0 {
			c.config.VXLANPorts[0] = 9 // is the caller's
		}
		if got := anyTunnel(coalesce(t, coalescer, mytunev.VNetHeader{}, frames...)); got != c.want {
			t.Errorf("port %d, Geneve %v, %+v: joined %v, want %v", c.port, c.geneve, c.config, got, c.want)
		}
	}
}

// TestCoalesceTunnelNot changes one thing in the second of three frames that would fit. The
// frame must go through as it is, and the third must not overtake it.
func TestCoalesceTunnelNot(t *testing.T) {
	// In these, the outer UDP header is at 20, the tunnel's at 28, Ethernet at 36, IP at 50.
	v4 := overlay{sum: true, outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	unsummed := overlay{outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	df := overlay{outer: recipe{udp: true, df: true}, inner: recipe{df: true, flags: header.TCPFlagAck}}
	udp := overlay{outer: recipe{udp: true}, inner: recipe{udp: true}}
	v6 := overlay{outer: recipe{udp: true}, inner: recipe{v6: true, udp: true}}
	around6 := overlay{outer: recipe{udp: true, v6: true}, inner: recipe{udp: true}}
	geneve := overlay{geneve: true, options: make([]byte, 4), outer: recipe{udp: true}, inner: recipe{udp: true}}
	for name, c := range map[string]struct {
		o    overlay
		at   int  // of the byte to change
		with byte // is or-ed to it exclusively
		keep bool // do not repair the checksums
	}{
		"outer TOS": {v4, 1, 1, false}, "outer identification": {v4, 5, 1, false}, "outer DF": {v4, 6, 0x40, false},
		"outer TTL": {v4, 8, 1, false}, "outer IP checksum": {v4, 10, 1, true}, "source port": {v4, 21, 1, false},
		"outer UDP checksum": {v4, 26, 1, true}, "an outer UDP checksum": {unsummed, 26, 1, true},
		"outer identification with DF": {df, 5, 0x10, false}, "outer evil bit": {unsummed, 6, 0x80, false},
		"VXLAN flag": {v4, 28, 0x80, false}, "VXLAN network": {v4, 34, 1, false}, "VXLAN reserved": {v4, 35, 1, false},
		"MAC within": {v4, 41, 1, false}, "EtherType within": {v4, 48, 8, false},
		"TOS": {v4, 51, 1, false}, "length": {v4, 53, 1, true}, "identification": {v4, 55, 1, false},
		"DF": {v4, 56, 0x40, false}, "evil bit": {v4, 56, 0x80, false}, "fragment": {v4, 56, 0x20, false}, "TTL": {v4, 58, 1, false},
		"identification with DF": {df, 55, 0x10, false},
		"IP checksum":            {unsummed, 60, 1, true}, "source": {v4, 65, 4, false}, "destination": {v4, 69, 4, false},
		"source port within": {v4, 71, 1, false}, "destination port within": {v4, 73, 1, false},
		"sequence number": {v4, 77, 1, false}, "acknowledgement": {v4, 81, 1, false}, "window": {v4, 85, 1, false},
		"TCP checksum": {unsummed, 86, 1, true}, "payload": {unsummed, 95, 1, true}, "payload, with outer sum": {v4, 95, 1, true},
		"UDP checksum within": {udp, 76, 1, true}, "UDP length within": {udp, 75, 1, true},
		"flow label": {v6, 53, 1, false}, "hop limit": {v6, 57, 1, false}, "IPv6 address": {v6, 73, 4, false},
		"outer flow label": {around6, 3, 1, false}, "outer hop limit": {around6, 7, 1, false},
		"Geneve option": {geneve, 36, 1, false}, "Geneve network": {geneve, 34, 1, false}, "Geneve critical": {geneve, 29, 0x40, false},
		"Geneve protocol": {geneve, 30, 1, false},
	} {
		frames := c.o.parts(100, 100, 100)
		frames[1][c.at] ^= c.with
		if !c.keep {
			c.o.repair(frames[1])
		}
		all := coalesce(t, joiner(c.o.outer.mode), mytunev.VNetHeader{}, frames...)
		mustKeep(t, c.o.outer.mode, frames, all)
		if find(all, frames[1]) < 0 {
			t.Errorf("%s: the frame was changed or joined", name)
		}
	}
}

// TestCoalesceTunnelNever: frames that are alike, and each of which is of a kind that is not
// joined as a tunnel's.
func TestCoalesceTunnelNever(t *testing.T) {
	vxlan := overlay{outer: recipe{udp: true}, inner: recipe{udp: true}}
	geneve := overlay{geneve: true, outer: recipe{udp: true}, inner: recipe{udp: true}}
	bare := overlay{geneve: true, bare: true, outer: recipe{udp: true}, inner: recipe{udp: true}}
	later := overlay{geneve: true, options: make([]byte, 0x40*4), outer: recipe{udp: true}, inner: recipe{udp: true}}
	extended := overlay{outer: recipe{udp: true}, inner: recipe{v6: true, extension: true, udp: true}}
	for name, c := range map[string]struct {
		o    overlay
		at   int
		with byte
		want bool
	}{
		"VXLAN": {vxlan, 29, 0, true}, "Geneve": {geneve, 29, 0, true}, "bare Geneve": {bare, 29, 0, true},
		"group policy": {vxlan, 28, 0x80, true}, "group policy's source": {vxlan, 31, 9, true},
		"no instance": {vxlan, 28, 0x08, false}, "generic protocol extension": {vxlan, 28, 0x04, false},
		"remote checksum": {vxlan, 29, 0x20, false}, "flag of the future": {vxlan, 29, 0x80, false},
		"ARP": {vxlan, 49, 6, false}, "VLAN without IP": {vxlan, 48, 0x81, false},
		"critical option": {geneve, 29, 0x40, true}, "control": {geneve, 29, 0x80, false},
		"Geneve flag of the future": {geneve, 29, 1, false}, "Geneve version": {later, 29, 0, false},
		"Geneve options beyond the end": {geneve, 28, 0x3F, false}, "MPLS in Geneve": {bare, 31, 0x47, false},
		"Geneve says IPv6": {bare, 30, 0x8E, false}, "hop-by-hop": {extended, 29, 0, false},
		"TTL within": {vxlan, 58, 7, true},
	} {
		frames := c.o.parts(100, 100)
		for _, f := range frames {
			f[c.at] ^= c.with
			if !c.o.inner.extension {
				c.o.repair(f)
			}
		}
		all := coalesce(t, joiner(c.o.outer.mode), mytunev.VNetHeader{}, frames...)
		if anyTunnel(all) != c.want {
			t.Errorf("%s: joined %v, want %v", name, !c.want, c.want)
		}
		mustKeep(t, c.o.outer.mode, frames, all)
	}
}

// TestCoalesceTunnelCut: datagrams to a tunnel's port that end within any of its headers.
func TestCoalesceTunnelCut(t *testing.T) {
	for _, o := range overlays() {
		whole := o.parts(1)[0]
		udp, tunnel, _ := o.place(whole)
		for end := tunnel; end < len(whole); end++ {
			payload := o.outer
			payload.payload = whole[tunnel:end]
			frame := payload.build()
			copy(frame[udp:udp+4], whole[udp:]) // the ports
			o.outer.udp, o.sum = true, true
			o.sign(frame, udp)
			var p, outer packet
			if err := outer.parse(o.outer.mode, frame); err != nil {
				t.Fatal(err)
			}
			c := joiner(o.outer.mode)
			if c.tunnels.parseWithin(&p, &outer, frame) {
				t.Errorf("%v: a packet was found in %d bytes of %d", o, end, len(whole))
			}
			frames := [][]byte{frame, frame}
			mustKeep(t, o.outer.mode, frames, coalesce(t, c, mytunev.VNetHeader{}, frames...))
		}
	}
}

// TestCoalesceTunnelEveryBit changes each bit of the second frame's headers, with sums that
// are right again and with those that were there. Whatever was joined comes back as it was.
func TestCoalesceTunnelEveryBit(t *testing.T) {
	for i, o := range overlays() {
		frames := o.parts(40, 40, 40)
		headers := len(frames[0]) - 40
		c := joiner(o.outer.mode)
		for bit := i % 8; bit < 8*headers; bit += 1 + i%7 {
			for _, repaired := range []bool{false, true} {
				changed := bytes.Clone(frames[1])
				changed[bit/8] ^= 1 << (bit % 8)
				if repaired {
					o.repair(changed)
				}
				added := [][]byte{frames[0], changed, frames[2]}
				mustKeep(t, o.outer.mode, added, coalesce(t, c, mytunev.VNetHeader{}, added...))
			}
		}
	}
}

// TestCoalesceTunnelPadding: what is behind the packet in a tunnel belongs to the datagram;
// behind the datagram, it is Ethernet's and nobody's.
func TestCoalesceTunnelPadding(t *testing.T) {
	for _, sum := range []bool{false, true} {
		testTunnelPadding(t, overlay{sum: sum, outer: recipe{mode: mytunev.TAP, udp: true}, inner: recipe{flags: header.TCPFlagAck}})
	}
}

func testTunnelPadding(t *testing.T, o overlay) {
	frames := o.parts(10, 1)
	last := o.part(1, 2, 10, pattern(1))
	inner, udp := last.wrap(append(last.within().build(), 0, 0, 0, 0, 0))
	if o.sum {
		last.sign(inner, udp)
	}
	for name, c := range map[string]struct {
		last []byte
		want bool
	}{"none": {frames[1], true}, "outside": {append(bytes.Clone(frames[1]), 0, 0), true}, "inside": {inner, false}} {
		added := [][]byte{frames[0], c.last}
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
		if anyTunnel(all) != c.want {
			t.Errorf("%v, padding %s: joined %v, want %v", o, name, !c.want, c.want)
		}
		mustKeep(t, o.outer.mode, added, all)
	}
}

// TestCoalesceTunnelKeepsOrder puts something of the tunnel's own flow between frames that
// fit. Nothing may overtake it, although another flow within the tunnel might.
func TestCoalesceTunnelKeepsOrder(t *testing.T) {
	o := overlay{outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	frames := o.parts(100, 100, 100, 100)
	other := o
	other.inner.port++
	plain := o.outer
	plain.port, plain.payload = o.outer.port, []byte("no tunnel")
	query := plain.build()
	copy(query[20:24], frames[0][20:24])
	repair(plain, query)
	edited := func(edit func(f []byte)) []byte {
		f := bytes.Clone(frames[3])
		edit(f)
		o.repair(f)
		return f
	}
	for name, between := range map[string][]byte{
		"another flow within": other.parts(100)[0],
		"ARP":                 edited(func(f []byte) { f[49] = 6 }),
		"a fragment":          edited(func(f []byte) { f[56] = 0x20 }),
		"ESP":                 edited(func(f []byte) { f[59] = 50 }),
		"SYN":                 edited(func(f []byte) { f[83] = 2 }),
		"no tunnel":           query,
	} {
		added := [][]byte{frames[0], frames[1], between, frames[2], frames[3]}
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
		mustKeep(t, o.outer.mode, added, all)
		if len(all) != 3 || !isTunnel(all[0]) || isTunnel(all[1]) || !isTunnel(all[2]) || !bytes.Equal(all[1].data, between) {
			t.Errorf("%s: %d frames, want it between two super-packets", name, len(all))
		}
	}
}

// TestCoalesceTunnelFlows: tunnels between the same two hosts, each with a flow, are joined
// side by side.
func TestCoalesceTunnelFlows(t *testing.T) {
	const flows, rounds = 20, 5
	for _, o := range overlays() {
		var added [][]byte
		parts := map[int][][]byte{}
		for i := range flows {
			o.outer.port, o.inner.port = uint16(40000+i), uint16(i)
			parts[i] = o.parts(slices.Repeat([]int{60}, rounds)...)
		}
		for round := range rounds {
			for i := range flows {
				added = append(added, parts[i][round])
			}
		}
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
		if len(all) != flows {
			t.Errorf("%v: %d frames of %d, want %d", o, len(all), len(added), flows)
		}
		mustKeep(t, o.outer.mode, added, all)
	}
}

func TestCoalesceTunnelLimits(t *testing.T) {
	for _, o := range overlays() {
		frames := o.parts(slices.Repeat([]int{1400}, 100)...)
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != 3 {
			t.Errorf("%v: %d frames, want 3", o, len(all))
		}
		mustExpand(t, o.outer, all, frames)
		want := 1
		if o.inner.udp {
			want = 2
		}
		if all = coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, o.parts(slices.Repeat([]int{10}, 100)...)...); len(all) != want {
			t.Errorf("%v: %d frames of small ones, want %d", o, len(all), want)
		}
	}
	// To the byte: it is the outer packet that has a limit.
	o := overlay{outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	for last, want := range map[int]int{65445 - 40000: 1, 65446 - 40000: 2} {
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, o.parts(40000, last)...)
		if len(all) != want {
			t.Errorf("%d bytes: %d frames, want %d", 40000+last+90, len(all), want)
		}
	}
}

// TestCoalesceTunnelIdentification: both headers count, each in its own way.
func TestCoalesceTunnelIdentification(t *testing.T) {
	for _, c := range []struct {
		df           bool
		outer, inner []uint16
		want         int
	}{
		{false, []uint16{65535, 0, 1}, []uint16{7, 8, 9}, 1},
		{false, []uint16{5, 5, 5}, []uint16{7, 8, 9}, 3},
		{false, []uint16{5, 6, 7}, []uint16{7, 7, 7}, 3},
		{true, []uint16{0, 0, 0}, []uint16{7, 8, 9}, 1},
		{true, []uint16{5, 6, 7}, []uint16{0, 0, 0}, 1},
		{true, []uint16{0, 0, 0}, []uint16{0, 0, 0}, 1},
		{true, []uint16{0, 0, 1}, []uint16{0, 0, 0}, 2},
		{true, []uint16{0, 0, 0}, []uint16{0, 0, 1}, 2},
		{true, []uint16{0, 1, 1}, []uint16{4, 5, 6}, 2},
		{true, []uint16{0, 1, 0}, []uint16{4, 5, 6}, 2},
		{true, []uint16{0, 0, 2}, []uint16{4, 5, 6}, 2},
		{true, []uint16{4, 5, 6}, []uint16{0, 0, 2}, 2},
		{true, []uint16{0, 1, 2}, []uint16{4, 6, 7}, 2},
	} {
		o := overlay{outer: recipe{udp: true, df: c.df}, inner: recipe{udp: true, df: c.df}}
		o.inner.payload = pattern(100)
		var frames [][]byte
		for i := range c.outer {
			o.outer.id, o.inner.id = c.outer[i], c.inner[i]
			frames = append(frames, o.build())
		}
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != c.want {
			t.Errorf("DF %v, %v, %v: %d frames, want %d", c.df, c.outer, c.inner, len(all), c.want)
		}
		mustKeep(t, o.outer.mode, frames, all)
	}
}

// TestCoalesceTunnelWithMetadata adds frames one of whose checksums is not there, or not to
// be looked at.
func TestCoalesceTunnelWithMetadata(t *testing.T) {
	for _, o := range overlays() {
		frames := o.parts(100, 100)
		udp, _, inner := o.place(frames[0])
		at := inner + o.within().layout().transport
		field := uint16(map[bool]int{false: 16, true: 6}[o.inner.udp])
		innerUndone := mytunev.VNetHeader{Flags: 1, CsumStart: uint16(at), CsumOffset: field}
		outerUndone := mytunev.VNetHeader{Flags: 1, CsumStart: uint16(udp), CsumOffset: 6}
		damage := func(f []byte) { f[len(f)-1] ^= 1 }
		unsumInner := func(f []byte) {
			binary.BigEndian.PutUint16(f[at+int(field):], o.within().pseudoSum(f[inner:], len(f)-at))
		}
		unsumOuter := func(f []byte) { binary.BigEndian.PutUint16(f[udp+6:], o.outer.pseudoSum(f, len(f)-udp)) }
		nothing := func([]byte) {}
		for name, c := range map[string]struct {
			edit func(f []byte)
			vnet mytunev.VNetHeader
			want bool
		}{
			"nothing known":              {nothing, mytunev.VNetHeader{}, true},
			"damage":                     {damage, mytunev.VNetHeader{}, false},
			"the outer one valid":        {nothing, mytunev.VNetHeader{Flags: 2}, true},
			"the outer one is, damage":   {damage, mytunev.VNetHeader{Flags: 2}, false},
			"both valid, which is a lie": {damage, mytunev.VNetHeader{Flags: 2 | 8}, true},
			"tunnel flag alone, damage":  {damage, mytunev.VNetHeader{Flags: 8}, false},
			"inner undone":               {unsumInner, innerUndone, true},
			"inner undone and damage":    {func(f []byte) { unsumInner(f); f[udp+8+4] ^= 1 }, innerUndone, !o.sum},
			"outer undone":               {unsumOuter, outerUndone, true},
			"outer undone, damage":       {func(f []byte) { unsumOuter(f); damage(f) }, outerUndone, false},
			"wrong offset":               {unsumInner, mytunev.VNetHeader{Flags: 1, CsumStart: uint16(at), CsumOffset: field + 2}, false},
			"somewhere else undone":      {nothing, mytunev.VNetHeader{Flags: 1, CsumStart: 2}, false},
			"wrong start":                {unsumInner, mytunev.VNetHeader{Flags: 1, CsumStart: uint16(at + 2), CsumOffset: field}, false},
			"GSOECN":                     {nothing, mytunev.VNetHeader{GSOType: mytunev.GSOECN}, false},
		} {
			added := [][]byte{bytes.Clone(frames[0]), bytes.Clone(frames[1])}
			for _, f := range added {
				c.edit(f)
			}
			all := coalesce(t, joiner(o.outer.mode), c.vnet, added...)
			if anyTunnel(all) != c.want {
				t.Errorf("%v, %s: joined %v, want %v", o, name, !c.want, c.want)
			}
			if name == "inner undone" {
				mustExpand(t, o.outer, all, frames)
			}
		}
	}
}

// TestCoalesceTunnelOuterUndone: a checksum that was to be computed is one that there is.
// Even if the sum of the pseudo header is missing, as it may be elsewhere.
func TestCoalesceTunnelOuterUndone(t *testing.T) {
	o := overlay{sum: true, outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	want := o.parts(100, 100, 50)
	c := joiner(o.outer.mode)
	v := mytunev.VNetHeader{Flags: 1, CsumStart: 20, CsumOffset: 6}
	for _, sum := range []uint16{o.outer.pseudoSum(want[0], len(want[0])-20), 0} {
		for _, frame := range want {
			f := bytes.Clone(frame)
			binary.BigEndian.PutUint16(f[26:], sum)
			c.Add(f, v)
		}
		all := coalesce(t, c, v)
		if len(all) != 1 {
			t.Errorf("%d frames, want 1", len(all))
		}
		mustExpand(t, o.outer, all, want)
	}
}

// TestCoalesceTunnelChecksumComesAndGoes: frames of a tunnel with and without a checksum
// outside do not become one.
func TestCoalesceTunnelChecksumComesAndGoes(t *testing.T) {
	o := overlay{outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	without := o.parts(100, 100, 100, 100)
	o.sum = true
	with := o.parts(100, 100, 100, 100)
	for _, added := range [][][]byte{{with[0], with[1], without[2], without[3]}, {without[0], without[1], with[2], with[3]}} {
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
		if len(all) != 2 || !isTunnel(all[0]) || !isTunnel(all[1]) {
			t.Errorf("%d frames, want two super-packets", len(all))
		}
		mustKeep(t, o.outer.mode, added, all)
	}
}

// TestCoalesceTunnelPortOfTCP: a port is a tunnel's only in UDP.
func TestCoalesceTunnelPortOfTCP(t *testing.T) {
	o := overlay{outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	stream := recipe{flags: header.TCPFlagAck}
	var added [][]byte
	for i, f := range o.parts(100, 100) {
		part := stream.part(i, 2, i*len(f[28:]), f[28:])
		frame := part.build()
		binary.BigEndian.PutUint16(frame[22:], 4789)
		repair(part, frame)
		added = append(added, frame)
	}
	all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
	if len(all) != 1 || all[0].vnet.GSOType != mytunev.GSOTCPv4 {
		t.Errorf("%d frames, the first %+v, want a super-packet of TCP", len(all), all[0].vnet)
	}
	mustKeep(t, o.outer.mode, added, all)
}

// TestCoalesceTunnelInnerUDPWithoutChecksum: it has none, and joining would give it one,
// whichever checksum is still to be computed. All that these add up to is right with 0.
func TestCoalesceTunnelInnerUDPWithoutChecksum(t *testing.T) {
	o := overlay{outer: recipe{udp: true}, inner: recipe{udp: true}}
	frames := o.parts(100, 100)
	for _, f := range frames {
		zeroSum(o.within(), f[36:])
		f[76], f[77] = 0, 0
	}
	for _, v := range []mytunev.VNetHeader{{}, {Flags: 2 | 8}, {Flags: 1, CsumStart: 20, CsumOffset: 6}} {
		if all := coalesce(t, joiner(o.outer.mode), v, frames...); anyTunnel(all) {
			t.Errorf("%+v: joined, and got a checksum", v)
		}
	}
}

// TestCoalesceTunnelOtherZero: where a TCP checksum is 0, 0xFFFF is as right, and would come
// back as 0.
func TestCoalesceTunnelOtherZero(t *testing.T) {
	for _, sum := range []bool{false, true} {
		o := overlay{sum: sum, outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
		frames := o.parts(4, 4)
		zeroSum(o.within(), frames[1][36:])
		o.repair(frames[1])
		for _, other := range []byte{0, 0xFF} {
			frames[1][86], frames[1][87] = other, other
			all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
			if anyTunnel(all) != (other == 0) {
				t.Errorf("outer checksum %v, TCP checksum %x: joined %v", sum, frames[1][86:88], other != 0)
			}
			mustKeep(t, o.outer.mode, frames, all)
		}
	}
}

// TestCoalesceTunnelOuterZero: an outer checksum that is 0 is stored as 0xFFFF, and comes back.
func TestCoalesceTunnelOuterZero(t *testing.T) {
	o := overlay{sum: true, outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}}
	frames := o.parts(4, 4)
	for _, f := range frames {
		clear(f[32:34]) // of the network's number
		o.repair(f)
		copy(f[32:34], f[26:28])
		o.repair(f)
		if !bytes.Equal(f[26:28], []byte{0xFF, 0xFF}) {
			t.Fatalf("outer checksum %x: the test tests nothing", f[26:28])
		}
	}
	all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, frames...)
	if len(all) != 1 {
		t.Errorf("%d frames, want 1", len(all))
	}
	mustExpand(t, o.outer, all, frames)
}

// TestCoalesceTunnelSuperPackets: one that comes whole goes through whole, and is cut up for
// a device that takes none.
func TestCoalesceTunnelSuperPackets(t *testing.T) {
	for _, o := range overlays() {
		o.inner.payload, o.inner.flags = pattern(300), header.TCPFlagAck
		super, v := o.super(100)
		want := o.cutByHand(o.inner.payload, 100)
		c := joiner(o.outer.mode)
		c.Add(super, v)
		all := coalesce(t, c, mytunev.VNetHeader{}, want...)
		if all[0].vnet != v || !bytes.Equal(all[0].data, super) || len(all) != 2 {
			t.Errorf("%v: %d frames, the first %+v, want the super-packet as it was, then another", o, len(all), all[0].vnet)
		}
		for _, tx := range []*recorder{{plain: true}, {longest: len(want[0])}} {
			c.Add(super, v)
			for _, frame := range want {
				c.Add(frame, mytunev.VNetHeader{})
			}
			if err := c.Flush(tx); err != nil {
				t.Fatal(err)
			}
			mustBePlain(t, o.outer, tx.all, slices.Concat(want, want))
		}
	}
}

// TestCoalesceTunnelHash: the hash of the first frame goes along.
func TestCoalesceTunnelHash(t *testing.T) {
	o := overlay{outer: recipe{udp: true}, inner: recipe{udp: true}}
	c := joiner(o.outer.mode)
	for _, f := range o.parts(100, 100) {
		c.AddFrame(mytunev.Frame{Data: f, Hash: 7, HashValid: true})
	}
	if all := coalesce(t, c, mytunev.VNetHeader{}); len(all) != 1 || all[0].hash != 7 {
		t.Errorf("%d frames, hash %d", len(all), all[0].hash)
	}
}

// TestCoalesceTunnelInTunnel: what is within a tunnel within a tunnel is payload.
func TestCoalesceTunnelInTunnel(t *testing.T) {
	for _, innerSum := range []bool{false, true} {
		o := overlay{sum: true, outer: recipe{udp: true}}
		within := overlay{sum: innerSum, outer: recipe{mode: mytunev.TAP, udp: true}, inner: recipe{flags: header.TCPFlagAck}}
		var added [][]byte
		for i, f := range within.parts(100, 100) {
			o.outer.id = uint16(i)
			frame, udp := o.wrap(f)
			o.sign(frame, udp)
			added = append(added, frame)
		}
		all := coalesce(t, joiner(o.outer.mode), mytunev.VNetHeader{}, added...)
		if anyTunnel(all) != innerSum || innerSum && all[0].vnet.GSOType != mytunev.GSOUDPL4|mytunev.GSOUDPTunnelIPv4 {
			t.Errorf("checksum within %v: %d frames, the first %+v", innerSum, len(all), all[0].vnet)
		}
		mustKeep(t, o.outer.mode, added, all)
	}
}
