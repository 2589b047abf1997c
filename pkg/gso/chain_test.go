// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
)

// Frames of a few flows behind chains of headers, most of which the package does not
// know. The flow of a frame is told by a parser that shares nothing with the package and
// knows more: all that RFC 7045 lists.

// anyFlow is the flow of a frame that may be of any.
const anyFlow = "cannot be told"

// ipOf returns where the IP header of a frame is and which EtherType it has, that of the
// version on a TUN device; 0 if the frame ends before.
func ipOf(mode mytunev.Mode, frame []byte) (at int, kind uint16) {
	if mode == mytunev.TUN && len(frame) > 0 {
		return 0, map[byte]uint16{4: 0x0800, 6: 0x86DD}[frame[0]>>4]
	}
	for at = 12; len(frame) >= at+2; at += 4 {
		if kind = binary.BigEndian.Uint16(frame[at:]); kind != 0x8100 && kind != 0x88A8 {
			return at + 2, kind
		}
	}
	return 0, 0
}

// flowByHand returns addresses, protocol and ports of a frame, wherever they are, or
// anyFlow.
func flowByHand(mode mytunev.Mode, frame []byte) string {
	at, kind := ipOf(mode, frame)
	packet := frame[at:]
	switch {
	case kind == 0x0800 && len(packet) >= 20 && packet[0]>>4 == 4:
		size, length := int(packet[0]&15)*4, int(packet[2])<<8|int(packet[3])
		fragment := packet[6]&0x3F | packet[7]
		if size < 20 || size > length || length > len(packet) || fragment != 0 {
			return anyFlow
		}
		return transportFlow(packet[12:20], packet[9], packet[size:length])
	case kind == 0x86DD && len(packet) >= 40 && packet[0]>>4 == 6:
		length := int(packet[4])<<8 | int(packet[5])
		if 40+length > len(packet) {
			return anyFlow
		}
		return transportFlow(packet[8:40], packet[6], packet[40:40+length])
	case kind == 0 || kind == 0x0800 || kind == 0x86DD:
		return anyFlow
	}
	return fmt.Sprintf("EtherType %04x", kind)
}

// transportFlow goes past extension headers.
func transportFlow(addresses []byte, number byte, rest []byte) string {
	for {
		size := 0
		switch number {
		case 6, 17:
			if len(rest) < 4 {
				return anyFlow
			}
			return fmt.Sprintf("%x %d %x", addresses, number, rest[:4])
		case 1, 2, 4, 33, 41, 47, 58, 59, 132, 136:
			return fmt.Sprintf("%x %d", addresses, number)
		case 51:
			size = 4
		case 0, 43, 60, 135, 139, 140:
			size = 8
		}
		if size == 0 || len(rest) < 2 {
			return anyFlow
		}
		if size *= int(rest[1]) + 1; number == 51 {
			size += 4
		}
		if size > len(rest) {
			return anyFlow
		}
		number, rest = rest[0], rest[size:]
	}
}

// mustKeep fails the test unless what was sent stands for the frames that were added:
// each is there, unchanged; those of a flow are in their order; and one whose flow cannot
// be told has all on the same side as before.
func mustKeep(t *testing.T, mode mytunev.Mode, added [][]byte, all []sent) {
	t.Helper()
	waiting := make(map[string][]int)
	for i, frame := range added {
		flow := flowByHand(mode, frame)
		waiting[flow] = append(waiting[flow], i)
	}
	place, last := 0, -1
	for _, s := range all {
		frames := [][]byte{s.data}
		joined := s.vnet.GSOType != mytunev.GSONone
		if joined {
			var err error
			if frames, err = split(mode, s.data, s.vnet); err != nil {
				t.Fatalf("%v: %x", err, s.data)
			}
		}
		for _, frame := range frames {
			flow := flowByHand(mode, frame)
			if len(waiting[flow]) == 0 {
				t.Fatalf("flow %s: %x was sent, and never added", flow, frame)
			}
			i := waiting[flow][0]
			waiting[flow] = waiting[flow][1:]
			if !bytes.Equal(frame, added[i]) && !(joined && equivalent(mode, s.vnet, frame, added[i])) {
				t.Fatalf("flow %s: frame %d is\n%x, want\n%x", flow, i, frame, added[i])
			}
			if flow == anyFlow && (i != place || last > i) {
				t.Fatalf("frame %d, whose flow cannot be told, was sent as number %d, after frame %d", i, place, last)
			}
			place, last = place+1, max(last, i)
		}
	}
	for flow, left := range waiting {
		if len(left) != 0 {
			t.Fatalf("flow %s: frames %d got lost", flow, left)
		}
	}
}

// equivalent reports whether two frames are equal but for what joining may change: the
// padding behind a packet, and the identification of one that must not be fragmented,
// within a tunnel too. v is the super-packet's.
func equivalent(mode mytunev.Mode, v mytunev.VNetHeader, a, b []byte) bool {
	at, kind := ipOf(mode, b)
	end := at + 40 + int(binary.BigEndian.Uint16(b[at+4:]))
	if kind == 0x0800 {
		end = at + int(binary.BigEndian.Uint16(b[at+2:]))
	}
	a, b = bytes.Clone(a), bytes.Clone(b[:end])
	places := []int{at}
	if v.GSOType&tunnelTypes != 0 {
		places = append(places, int(v.InnerNHOffset))
	}
	for _, at := range places {
		if b[at]>>4 == 4 && b[at+6] == 0x40 && len(a) == len(b) {
			if internetSum(a[at:at+20]) != 0xFFFF {
				return false
			}
			copy(a[at+4:at+6], b[at+4:])
			copy(a[at+10:at+12], b[at+10:])
		}
	}
	return bytes.Equal(a, b)
}

// TestCoalesceAround puts one frame of a flow, behind something, between two others that
// fit together. If it may be of their flow, it must stay between them.
func TestCoalesceAround(t *testing.T) {
	others := []string{"ICMP", "IGMP", "ICMPv6", "DCCP", "UDP-Lite", "no next header", "SCTP", "GRE", "IPv4 in IP", "IPv6 in IP"}
	for _, r := range kinds() {
		for _, e := range elements {
			middle := r
			middle.payload, middle.id = pattern(100), r.id+7
			frames := r.parts(100, 100)
			between := behind(middle, middle.build(), nil, e)
			want := 3
			if slices.Contains(others, e.name) {
				want = 2
			}
			added := [][]byte{frames[0], between, frames[1]}
			all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, added...)
			mustKeep(t, r.mode, added, all)
			if len(all) != want {
				t.Errorf("%v around %s: %d frames, want %d", r, e.name, len(all), want)
			}
		}
	}
}

// TestCoalesceAroundOptions is the same for what else a flow may have in between.
func TestCoalesceAroundOptions(t *testing.T) {
	r := recipe{mode: mytunev.TAP, vlan: true, udp: true}
	frames := r.parts(100, 100, 100)
	edited := func(edit func(frame []byte) []byte) []byte { return edit(bytes.Clone(frames[2])) }
	for name, between := range map[string][]byte{
		"IPv4 options":      behind(r, frames[2], []byte{1, 1, 1, 0}),
		"source route":      behind(r, frames[2], []byte{1, 131, 7, 4, 10, 0, 0, 9}),
		"strict route":      behind(r, frames[2], []byte{137, 7, 4, 10, 0, 0, 9, 0}),
		"option cut off":    behind(r, frames[2], []byte{1, 1, 1, 7}),
		"option too long":   behind(r, frames[2], []byte{7, 9, 0, 0}),
		"option of size 1":  behind(r, frames[2], []byte{7, 1, 0, 0}),
		"two VLAN tags":     edited(func(f []byte) []byte { return slices.Concat(f[:12], []byte{0x88, 0xA8, 0, 5}, f[12:]) }),
		"no VLAN tag":       edited(func(f []byte) []byte { return slices.Delete(f, 12, 16) }),
		"another priority":  edited(func(f []byte) []byte { f[14] ^= 0x40; return f }),
		"another router":    edited(func(f []byte) []byte { f[11] ^= 1; return f }),
		"cut off":           edited(func(f []byte) []byte { return f[:len(f)-1] }),
		"PPPoE":             edited(func(f []byte) []byte { return append([]byte{f[0], 11: 0, 12: 0x88, 13: 0x64}, f[18:]...) }),
		"half a VLAN tag":   edited(func(f []byte) []byte { return f[:15] }),
		"half an Ethernet":  edited(func(f []byte) []byte { return f[:13] }),
		"UDP length":        edited(func(f []byte) []byte { f[18+25]--; return f }),
		"wrong UDP sum":     edited(func(f []byte) []byte { f[18+26]++; return f }),
		"no UDP sum at all": edited(func(f []byte) []byte { f[18+26], f[18+27] = 0, 0; return f }),
	} {
		added := [][]byte{frames[0], between, frames[1]}
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, added...)
		if len(all) != 3 {
			t.Errorf("%s: %d frames, want 3", name, len(all))
		}
		mustKeep(t, r.mode, added, all)
	}
}

// TestCoalesceChains plays flows whose frames change their headers at random.
func TestCoalesceChains(t *testing.T) {
	const rounds, length = 150, 40
	for i, r := range kinds() {
		joined := 0
		for round := range rounds {
			random := rand.New(rand.NewPCG(uint64(i), uint64(round)))
			var added [][]byte
			flows := make([]recipe, 3)
			for port := range flows {
				flows[port] = r
				flows[port].port, flows[port].df = uint16(port), random.IntN(2) == 0
			}
			for range length {
				added = append(added, nextOfFlow(random, &flows[random.IntN(len(flows))]))
			}
			all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, added...)
			mustKeep(t, r.mode, added, all)
			joined += len(added) - len(all)
		}
		if joined < rounds {
			t.Errorf("%v: %d frames joined others: the test tests nothing", r, joined)
		}
	}
}

// nextOfFlow makes the next frame of a flow, one in three with something in its headers.
func nextOfFlow(random *rand.Rand, flow *recipe) []byte {
	one := *flow
	one.payload = pattern([]int{100, 100, 100, 60, 0}[random.IntN(5)])
	flow.seq += uint32(len(one.payload))
	flow.id++
	frame := one.build()
	if random.IntN(3) != 0 {
		return frame
	}
	var chain []element
	for range random.IntN(4) {
		chain = append(chain, elements[random.IntN(len(elements))])
	}
	options := [][]byte{nil, nil, {1, 1, 1, 0}, {131, 3, 4, 0}}[random.IntN(4)]
	frame = behind(one, frame, options, chain...)
	if one.mode == mytunev.TAP {
		switch random.IntN(4) {
		case 0:
			frame = slices.Concat(frame[:12], []byte{0x81, 0, 0, byte(random.IntN(3))}, frame[12:])
		case 1:
			frame[6] ^= byte(random.IntN(2))
		case 2:
			frame = append(frame, make([]byte, random.IntN(9))...)
		}
	}
	return frame
}
