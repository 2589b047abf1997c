// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A sent frame is what a recorder got.
type sent struct {
	data []byte
	vnet mytunev.VNetHeader
	hash uint32
}

// A recorder is a Sender that keeps what is sent.
type recorder struct {
	all   []sent
	slot  []byte
	full  int // Reserve fails so often with ErrFull, once for each WaitSpace
	waits int
	err   error // of WaitSpace and Commit

	plain   bool // is of a device without Config.Offload
	longest int  // frame that fits into the ring, if not 0
}

func (r *recorder) Reserve(n int) ([]byte, error) {
	if r.full > r.waits {
		return nil, mytunev.ErrFull
	}
	if n > cmp.Or(r.longest, maxPacket+header.EthernetMinimumSize+vlanTagSize) {
		return nil, mytunev.ErrTooLong
	}
	r.slot = bytes.Repeat([]byte{0xEE}, n)
	return r.slot, nil
}

func (r *recorder) WaitSpace(int) error { r.waits++; return r.err }

func (r *recorder) CommitVNet(n int, v mytunev.VNetHeader) error { return r.CommitHash(n, v, 0) }

func (r *recorder) CommitHash(n int, v mytunev.VNetHeader, hash uint32) error {
	if r.plain && v != (mytunev.VNetHeader{}) {
		return mytunev.ErrNotSupported
	}
	r.all = append(r.all, sent{r.slot[:n], v, hash})
	return r.err
}

// coalesce adds frames to c and returns what it sends.
func coalesce(t *testing.T, c *Coalescer, v mytunev.VNetHeader, frames ...[]byte) []sent {
	t.Helper()
	for _, f := range frames {
		c.Add(f, v)
	}
	tx, n := &recorder{}, c.Len()
	if err := c.Flush(tx); err != nil {
		t.Fatal(err)
	}
	if len(tx.all) != n || c.Len() != 0 {
		t.Errorf("Len was %d and is %d, %d frames were sent", n, c.Len(), len(tx.all))
	}
	return tx.all
}

// parts builds frames of one flow with payloads of these sizes.
func (r recipe) parts(sizes ...int) [][]byte {
	var all [][]byte
	sent := 0
	for i, n := range sizes {
		part := r
		part.payload, part.seq, part.id = pattern(n), r.seq+uint32(sent), r.id+uint16(i)
		all = append(all, part.build())
		sent += n
	}
	return all
}

// mustExpand fails the test unless the super-packets stand for these frames.
func mustExpand(t *testing.T, r recipe, all []sent, want [][]byte) {
	t.Helper()
	var got [][]byte
	for _, s := range all {
		frames, err := split(r.mode, s.data, s.vnet)
		if err != nil {
			t.Fatalf("%v: %v", r, err)
		}
		got = append(got, frames...)
	}
	if len(got) != len(want) {
		t.Fatalf("%v: %d frames, want %d", r, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%v: frame %d is\n%x, want\n%x", r, i, got[i], want[i])
		}
	}
}

func TestCoalesce(t *testing.T) {
	for _, r := range kinds() {
		c := NewCoalescer(r.mode)
		for range 2 { // a Coalescer is used again
			for _, sizes := range [][]int{{1000, 1000, 1000, 1000, 500}, {100, 100}, {9, 1}} {
				frames := r.parts(sizes...)
				all := coalesce(t, c, mytunev.VNetHeader{}, frames...)
				if len(all) != 1 {
					t.Fatalf("%v, %v: %d frames, want a super-packet", r, sizes, len(all))
				}
				whole := r
				whole.payload = joined(sizes)
				data, v := whole.super(sizes[0])
				if all[0].vnet != v || !bytes.Equal(all[0].data, data) {
					t.Errorf("%v, %v: %+v\n%x, want %+v\n%x", r, sizes, all[0].vnet, all[0].data, v, data)
				}
				mustExpand(t, r, all, frames)
			}
		}
	}
}

func joined(sizes []int) []byte {
	var p []byte
	for _, n := range sizes {
		p = append(p, pattern(n)...)
	}
	return p
}

func TestCoalesceEnds(t *testing.T) {
	for _, udp := range []bool{false, true} {
		r := recipe{udp: udp, flags: header.TCPFlagAck}
		frames := r.parts(100, 100, 50, 100, 100, 200, 200, 0, 200, 200)
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		var counts []int
		for _, s := range all {
			got, err := split(r.mode, s.data, s.vnet)
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, len(got))
		}
		if want := []int{3, 2, 2, 1, 2}; !slices.Equal(counts, want) {
			t.Errorf("%v: super-packets of %v, want %v", r, counts, want)
		}
		mustExpand(t, r, all, frames)
	}
}

func TestCoalesceFlags(t *testing.T) {
	const ack, psh, fin, cwr = header.TCPFlagAck, header.TCPFlagPsh, header.TCPFlagFin, header.TCPFlagCwr
	const ece, syn, rst, urg = header.TCPFlagEce, header.TCPFlagSyn, header.TCPFlagRst, header.TCPFlagUrg
	for _, c := range []struct {
		flags []header.TCPFlags
		want  int
	}{
		{[]header.TCPFlags{ack, ack, ack | psh}, 1},
		{[]header.TCPFlags{ack, ack | fin | psh}, 1},
		{[]header.TCPFlags{ack, ack | psh, ack}, 2},
		{[]header.TCPFlags{ack | psh, ack}, 2},
		{[]header.TCPFlags{ack | fin, ack}, 2},
		{[]header.TCPFlags{ack | cwr, ack, ack}, 1},
		{[]header.TCPFlags{ack, ack | cwr, ack}, 2},
		{[]header.TCPFlags{ack | cwr, ack | cwr}, 2},
		{[]header.TCPFlags{ack | ece, ack | ece}, 1},
		{[]header.TCPFlags{ack | ece, ack}, 2},
		{[]header.TCPFlags{ack, 0}, 2},
		{[]header.TCPFlags{syn, syn}, 2},
		{[]header.TCPFlags{ack | rst, ack | rst}, 2},
		{[]header.TCPFlags{ack | urg, ack | urg}, 2},
		{[]header.TCPFlags{ack, ack | rst, ack}, 3},
	} {
		for _, v6 := range []bool{false, true} {
			r := recipe{v6: v6}
			var frames [][]byte
			for i, flags := range c.flags {
				r.flags, r.payload, r.seq, r.id = flags, pattern(100), uint32(i*100), uint16(i)
				frames = append(frames, r.build())
			}
			all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
			if len(all) != c.want {
				t.Errorf("%v %v: %d frames, want %d", r, c.flags, len(all), c.want)
			}
			ecn := c.flags[0]&cwr != 0 && c.want == 1
			if got := all[0].vnet.GSOType&mytunev.GSOECN != 0; got != ecn {
				t.Errorf("%v %v: GSOECN %v, want %v", r, c.flags, got, ecn)
			}
			mustExpand(t, r, all, frames)
		}
	}
}

// TestCoalesceNot changes one thing in the second of three frames that would fit. It
// must go through as it is, and the third must not overtake it.
func TestCoalesceNot(t *testing.T) {
	v4, udp := recipe{flags: header.TCPFlagAck}, recipe{udp: true}
	v6, udp6 := recipe{v6: true, flags: header.TCPFlagAck}, recipe{v6: true, udp: true}
	tap := recipe{mode: mytunev.TAP, vlan: true, flags: header.TCPFlagAck}
	options := recipe{flags: header.TCPFlagAck, options: []byte{1, 1, 1, 1}}
	df := recipe{udp: true, df: true}
	for name, c := range map[string]struct {
		r    recipe
		at   int  // of the byte to change
		with byte // is or-ed to it exclusively
		keep bool // do not repair the checksums
	}{
		"TOS": {v4, 1, 1, false}, "IP identification": {v4, 5, 1, false}, "DF": {v4, 6, 0x40, false},
		"evil bit": {v4, 6, 0x80, false}, "fragment": {v4, 6, 0x20, false}, "TTL": {v4, 8, 1, false},
		"IP checksum": {v4, 10, 1, true}, "source address": {v4, 15, 4, false},
		"destination address": {v4, 19, 4, false}, "protocol": {v4, 9, 0x40, false}, "version": {v4, 0, 0x10, true},
		"IHL": {v4, 0, 1, true}, "total length": {v4, 3, 1, true},
		"sequence number": {v4, 27, 1, false}, "acknowledgement": {v4, 31, 1, false}, "window": {v4, 35, 1, false},
		"TCP checksum": {v4, 36, 1, true}, "urgent pointer": {v4, 39, 1, false}, "payload": {v4, 60, 1, true},
		"source port": {v4, 21, 1, false}, "destination port": {v4, 23, 1, false},
		"data offset": {v4, 32, 0x10, true}, "reserved TCP bits": {v4, 32, 1, false},
		"TCP option": {options, 40, 4, false},
		"MAC":        {tap, 5, 1, true}, "VLAN": {tap, 15, 1, true}, "EtherType": {tap, 17, 1, true},
		"traffic class": {v6, 1, 0x10, true}, "flow label": {v6, 3, 1, true}, "hop limit": {v6, 7, 1, true},
		"IPv6 address": {v6, 23, 4, false}, "next header": {v6, 6, 4, false}, "payload length": {v6, 5, 1, true},
		"UDP length": {udp, 25, 1, true}, "UDP checksum": {udp, 26, 1, true}, "UDP payload": {udp6, 60, 1, true},
		"UDP port": {udp, 21, 1, false}, "identification with DF": {df, 5, 0x10, false},
	} {
		frames := c.r.parts(100, 100, 100)
		frames[1][c.at] ^= c.with
		if !c.keep {
			repair(c.r, frames[1])
		}
		all := coalesce(t, NewCoalescer(c.r.mode), mytunev.VNetHeader{}, frames...)
		if i := find(all, frames[1]); i < 0 {
			t.Errorf("%s: the frame was changed or joined", name)
		} else if len(all) == 3 && !bytes.Equal(all[2].data, frames[2]) {
			t.Errorf("%s: the frames changed places", name)
		}
	}
}

// TestCoalesceNever: frames that are alike, and each of which is of a kind that is not
// joined.
func TestCoalesceNever(t *testing.T) {
	v4, extended := recipe{flags: header.TCPFlagAck}, recipe{v6: true, extension: true, flags: header.TCPFlagAck}
	for name, c := range map[string]struct {
		r    recipe
		edit func(frame []byte) []byte
	}{
		"evil bit":   {v4, func(f []byte) []byte { f[6] |= 0x80; return f }},
		"hop-by-hop": {extended, func(f []byte) []byte { return f }},
		"IP options": {v4, func(f []byte) []byte {
			f[0]++
			f[3] += 4
			return append(append(f[:20:20], 1, 1, 1, 1), f[20:]...)
		}},
	} {
		frames := c.r.parts(100, 100)
		for i := range frames {
			frames[i] = c.edit(frames[i])
			if !c.r.v6 {
				p, err := parsed(c.r.mode, frames[i])
				if err != nil {
					t.Fatal(err)
				}
				p.setLength(frames[i], p.end)
			}
			check(t, c.r, frames[i])
		}
		if all := coalesce(t, NewCoalescer(c.r.mode), mytunev.VNetHeader{}, frames...); len(all) != 2 {
			t.Errorf("%s: %d frames, want 2", name, len(all))
		}
	}
}

// TestCoalesceTellsFlowsApart: each frame would continue any of the others, but for
// what makes it another flow.
func TestCoalesceTellsFlowsApart(t *testing.T) {
	const frames = 250 // more than there are buckets
	c := NewCoalescer(mytunev.TUN)
	for i := range frames {
		r := recipe{udp: true, df: true, payload: pattern(100)}
		f := r.build()
		f[15] = byte(i)
		repair(r, f)
		c.Add(f, mytunev.VNetHeader{})
	}
	if all := coalesce(t, c, mytunev.VNetHeader{}); len(all) != frames {
		t.Errorf("%d addresses: %d frames", frames, len(all))
	}
	tcp, udp := recipe{flags: header.TCPFlagAck, payload: pattern(100)}, recipe{udp: true, payload: pattern(100), id: 1}
	if all := coalesce(t, c, mytunev.VNetHeader{}, tcp.build(), udp.build()); len(all) != 2 {
		t.Errorf("TCP and UDP: %d frames, want 2", len(all))
	}
}

// TestCoalesceKeepsOrderAcrossLinks: a flow that takes another router for one frame, or
// another VLAN, is still the same flow.
func TestCoalesceKeepsOrderAcrossLinks(t *testing.T) {
	r := recipe{mode: mytunev.TAP, vlan: true, udp: true, df: true, payload: pattern(100)}
	for _, at := range []int{5, 11, 14, 15} {
		frames := [][]byte{r.build(), r.build(), r.build()}
		frames[1][at] ^= 1
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != 3 || !bytes.Equal(all[1].data, frames[1]) {
			t.Errorf("byte %d changed in the second of three: %d frames, or in another order", at, len(all))
		}
	}
}

// find returns the place of a frame among what was sent on its own.
func find(all []sent, frame []byte) int {
	for i, s := range all {
		if s.vnet == (mytunev.VNetHeader{}) && bytes.Equal(s.data, frame) {
			return i
		}
	}
	return -1
}

// repair makes the checksums of a frame right again.
func repair(r recipe, frame []byte) {
	p := packet{l3: len(r.link()), v6: r.v6, proto: protoTCP, end: len(frame)}
	p.l4 = p.l3 + header.IPv4MinimumSize
	if r.v6 {
		p.l4 = p.l3 + header.IPv6MinimumSize
	}
	if r.udp {
		p.proto = protoUDP
	}
	p.setLength(frame, p.end)
	field := p.l4 + p.checksumOffset()
	sum := p.pseudo(frame, p.end-p.l4)
	frame[field], frame[field+1] = byte(sum>>8), byte(sum)
	if err := Checksum(frame, mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum,
		CsumStart: uint16(p.l4), CsumOffset: uint16(p.checksumOffset())}); err != nil {
		panic(err)
	}
}

func TestCoalesceIdentification(t *testing.T) {
	for _, c := range []struct {
		df   bool
		ids  []uint16
		want int
	}{
		{false, []uint16{65535, 0, 1}, 1},
		{false, []uint16{7, 7, 7}, 3},
		{false, []uint16{7, 6, 5}, 3},
		{true, []uint16{7, 8, 9}, 1},
		{true, []uint16{0, 0, 0}, 1},
		{true, []uint16{0, 0, 1}, 2},
		{true, []uint16{0, 1, 1}, 2},
		{true, []uint16{5, 5, 7}, 2},
		{true, []uint16{65535, 65535, 65535, 65535}, 1},
		{true, []uint16{0, 2, 4}, 3},
	} {
		var frames [][]byte
		r := recipe{udp: true, df: c.df, payload: pattern(100)}
		for _, r.id = range c.ids {
			frames = append(frames, r.build())
		}
		if all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...); len(all) != c.want {
			t.Errorf("DF %v, %v: %d frames, want %d", c.df, c.ids, len(all), c.want)
		}
	}
}

// TestCoalesceSameIdentification: of packets that must not be fragmented and all have the
// same identification, that is all that does not come back.
func TestCoalesceSameIdentification(t *testing.T) {
	for _, udp := range []bool{false, true} {
		r := recipe{udp: udp, df: true, id: 65535, flags: header.TCPFlagAck}
		want := r.parts(100, 100, 50)
		added := make([][]byte, len(want))
		for i, frame := range want {
			added[i] = bytes.Clone(frame)
			header.IPv4(added[i]).SetID(65535)
			signByHand(r, added[i])
		}
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, added...)
		if len(all) != 1 {
			t.Errorf("%v: %d frames, want 1", r, len(all))
		}
		mustExpand(t, r, all, want)
	}
}

func TestCoalesceLimits(t *testing.T) {
	for _, r := range kinds() {
		sizes := make([]int, 100)
		for i := range sizes {
			sizes[i] = 1400
		}
		frames := r.parts(sizes...)
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != 3 { // 46 of 1400 bytes are less than 64 KiB
			t.Errorf("%v: %d frames, want 3", r, len(all))
		}
		mustExpand(t, r, all, frames)
		for i := range sizes {
			sizes[i] = 10
		}
		want := 1
		if r.udp {
			want = 2 // of up to 64 datagrams
		}
		if all = coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, r.parts(sizes...)...); len(all) != want {
			t.Errorf("%v: %d frames of small ones, want %d", r, len(all), want)
		}
	}
	// To the byte.
	r := recipe{flags: header.TCPFlagAck}
	for last, want := range map[int]int{65495 - 40000: 1, 65496 - 40000: 2} {
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, r.parts(40000, last)...)
		if len(all) != want {
			t.Errorf("%d bytes: %d frames, want %d", 40000+last+40, len(all), want)
		}
	}
}

// TestCoalesceSegments: Linux 6.1 takes 64 datagrams in one, and no more.
func TestCoalesceSegments(t *testing.T) {
	for count, want := range map[int][]int{64: {64}, 65: {64, 1}, 129: {64, 64, 1}} {
		r := recipe{udp: true}
		var got []int
		for _, s := range coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, r.parts(slices.Repeat([]int{10}, count)...)...) {
			frames, err := split(r.mode, s.data, s.vnet)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, len(frames))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d datagrams: super-packets of %v, want %v", count, got, want)
		}
	}
}

func TestCoalesceFlows(t *testing.T) {
	const flows, rounds = 300, 5
	c := NewCoalescer(mytunev.TUN)
	want := make(map[uint16][][]byte)
	var frames [][]byte
	for i := range rounds {
		for port := range uint16(flows) {
			r := recipe{v6: port%2 == 0, udp: port%3 == 0, flags: header.TCPFlagAck, port: port,
				payload: pattern(64), seq: uint32(64 * i), id: uint16(i)}
			f := r.build()
			frames = append(frames, f)
			want[port] = append(want[port], f)
		}
	}
	all := coalesce(t, c, mytunev.VNetHeader{}, frames...)
	if len(all) >= len(frames) {
		t.Errorf("%d frames of %d: nothing was joined", len(all), len(frames))
	}
	for _, s := range all {
		got, err := split(mytunev.TUN, s.data, s.vnet)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := parsed(mytunev.TUN, s.data)
		port := uint16(s.data[p.l4])<<8 | uint16(s.data[p.l4+1])
		for _, f := range got {
			if !bytes.Equal(f, want[port][0]) {
				t.Fatalf("flow %d: %x, want %x", port, f, want[port][0])
			}
			want[port] = want[port][1:]
		}
	}
	for port, left := range want {
		if len(left) != 0 {
			t.Errorf("flow %d: %d frames got lost", port, len(left))
		}
	}
}

// TestCoalesceBarrier: what belongs to no flow, and what may belong to any.
func TestCoalesceBarrier(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck}
	icmp := r.parts(100)[0]
	icmp[9] = 1
	fragment := r.parts(100)[0]
	fragment[6] = 0x20
	for name, c := range map[string]struct {
		between []byte
		want    int
	}{"ICMP": {icmp, 2}, "fragment": {fragment, 3}, "garbage": {[]byte{0x45}, 3}} {
		frames := r.parts(100, 100, 100)
		coalescer := NewCoalescer(r.mode)
		all := coalesce(t, coalescer, mytunev.VNetHeader{}, frames[0], frames[1], c.between, frames[2])
		if len(all) != c.want || !bytes.Equal(all[1].data, c.between) {
			t.Errorf("%s: %d frames, want %d", name, len(all), c.want)
		}
		if all = coalesce(t, coalescer, mytunev.VNetHeader{}, frames...); len(all) != 1 {
			t.Errorf("%s: %d frames after the next Flush, want 1", name, len(all))
		}
	}
}

// TestCoalescePadding: short Ethernet frames are padded, and the padding is not part
// of what is joined.
func TestCoalescePadding(t *testing.T) {
	r := recipe{mode: mytunev.TAP, flags: header.TCPFlagAck}
	frames := r.parts(10, 1)
	padded := append(bytes.Clone(frames[1]), 0, 0, 0, 0, 0)
	all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames[0], padded)
	if len(all) != 1 {
		t.Fatalf("%d frames, want 1", len(all))
	}
	mustExpand(t, r, all, frames)
	if all = coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, padded); find(all, padded) != 0 {
		t.Error("alone, the padded frame was changed")
	}
}

// TestCoalesceWithMetadata adds frames whose checksum is not there, or not to be
// looked at.
func TestCoalesceWithMetadata(t *testing.T) {
	for _, r := range kinds() {
		frames := r.parts(100, 100)
		var v mytunev.VNetHeader
		c := NewCoalescer(r.mode)
		for i := range frames {
			part := r
			part.payload, part.seq, part.id = pattern(100), r.seq+uint32(100*i), r.id+uint16(i)
			var frame []byte
			frame, v = part.super(0)
			v.GSOType = mytunev.GSONone
			c.Add(frame, v)
		}
		all := coalesce(t, c, v)
		if len(all) != 1 {
			t.Errorf("%v without checksums: %d frames, want 1", r, len(all))
		}
		mustExpand(t, r, all, frames)

		for _, f := range frames { // damage that DataValid denies
			f[len(f)-1] ^= 1
		}
		if all = coalesce(t, c, mytunev.VNetHeader{Flags: mytunev.VNetDataValid}, frames...); len(all) != 1 {
			t.Errorf("%v with DataValid: %d frames, want 1", r, len(all))
		}
		for _, wrong := range []mytunev.VNetHeader{
			{Flags: v.Flags, CsumStart: v.CsumStart, CsumOffset: v.CsumOffset + 1},
			{Flags: v.Flags, CsumStart: v.CsumStart + 1, CsumOffset: v.CsumOffset},
		} {
			all = coalesce(t, c, wrong, frames...)
			if len(all) != 2 || all[0].vnet != wrong || !bytes.Equal(all[0].data, frames[0]) {
				t.Errorf("%v, %+v: %d frames, want 2", r, wrong, len(all))
			}
		}
	}
}

func TestCoalesceUDPWithoutChecksum(t *testing.T) {
	frames := recipe{udp: true}.parts(100, 100)
	for _, f := range frames {
		f[26], f[27] = 0, 0
	}
	if all := coalesce(t, NewCoalescer(mytunev.TUN), mytunev.VNetHeader{}, frames...); len(all) != 2 {
		t.Errorf("%d frames, want 2: they would have got a checksum", len(all))
	}
}

func TestCoalesceSuperPackets(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck, df: true, payload: pattern(300)}
	super, v := r.super(100)
	r.seq = 300 // all that tells that it is no frame to be continued is GSOType
	after := r.parts(100, 100)
	c := NewCoalescer(r.mode)
	c.Add(super, v)
	all := coalesce(t, c, mytunev.VNetHeader{}, after...)
	if len(all) != 2 || all[0].vnet != v || !bytes.Equal(all[0].data, super) {
		t.Errorf("%d frames, the first %+v, want the super-packet as it was, then another", len(all), all[0].vnet)
	}
}

func TestFlushErrors(t *testing.T) {
	c := NewCoalescer(mytunev.TUN)
	add := func() {
		for _, f := range (recipe{flags: header.TCPFlagAck}).parts(100, 100, 10, 100) {
			c.Add(f, mytunev.VNetHeader{})
		}
	}
	broken := errors.New("broken")
	add()
	tx := &recorder{err: broken}
	if err := c.Flush(tx); err != broken || len(tx.all) != 1 || c.Len() != 0 {
		t.Errorf("Commit fails: %v, %d sent, %d left", err, len(tx.all), c.Len())
	}
	add()
	tx = &recorder{full: 1}
	if err := c.Flush(tx); err != nil || tx.waits != 1 || len(tx.all) != 2 {
		t.Errorf("full once: %v, %d waits, %d sent", err, tx.waits, len(tx.all))
	}
	add()
	tx = &recorder{full: 1, err: broken}
	if err := c.Flush(tx); err != broken || len(tx.all) != 0 || c.Len() != 0 {
		t.Errorf("WaitSpace fails: %v, %d sent, %d left", err, len(tx.all), c.Len())
	}
	c.Add(make([]byte, 1<<17), mytunev.VNetHeader{})
	if err := c.Flush(&recorder{}); err != mytunev.ErrTooLong {
		t.Errorf("too long: %v", err)
	}
	if err := c.Flush(nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}

func TestAddFrameKeepsTheHash(t *testing.T) {
	c := NewCoalescer(mytunev.TUN)
	for _, f := range (recipe{flags: header.TCPFlagAck}).parts(100, 100) {
		c.AddFrame(mytunev.Frame{Data: f, Hash: 7, HashValid: true})
	}
	c.AddFrame(mytunev.Frame{Data: []byte{1}, Hash: 8})
	if all := coalesce(t, c, mytunev.VNetHeader{}); len(all) != 2 || all[0].hash != 7 || all[1].hash != 0 {
		t.Errorf("%+v", all)
	}
}
