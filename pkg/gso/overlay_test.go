// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/mytun/mytun/pkg/mytunev"
)

// An overlay is a frame of a UDP tunnel to be built. It shares nothing with what is tested:
// lengths are counted, and sums added up, from the bytes alone.
type overlay struct {
	outer   recipe // its payload is the tunnel's; mode is the frame's
	sum     bool   // the outer UDP header has a checksum
	geneve  bool   // in place of VXLAN
	options []byte // of Geneve
	bare    bool   // Geneve without an Ethernet header within
	inner   recipe // its mode is told by bare
}

func (o overlay) String() string {
	text := o.outer.String() + map[bool]string{false: "", true: " checksum"}[o.sum]
	text += map[bool]string{false: ", VXLAN", true: ", Geneve"}[o.geneve]
	if len(o.options) > 0 {
		text += " with options"
	}
	return text + ", " + o.within().String()
}

// within is the recipe of the frame in the tunnel.
func (o overlay) within() recipe {
	o.inner.mode = mytunev.TAP
	if o.geneve && o.bare {
		o.inner.mode, o.inner.vlan = mytunev.TUN, false
	}
	return o.inner
}

// overlays are all kinds of tunnels that the package knows, around all kinds of packets.
func overlays() []overlay {
	var all []overlay
	option := []byte{0x01, 0x02, 0x80, 2, 1, 2, 3, 4, 5, 6, 7, 8}
	for _, tunnel := range []overlay{
		{}, {geneve: true}, {geneve: true, options: option}, {geneve: true, options: option, bare: true},
	} {
		for i, link := range []recipe{{}, {mode: mytunev.TAP}, {mode: mytunev.TAP, vlan: true}, {v6: true}, {mode: mytunev.TAP, v6: true}} {
			for _, inner := range kinds()[4*(i%3) : 4*(i%3)+4] {
				one := tunnel
				one.outer, one.inner = link, inner
				one.outer.udp, one.outer.port, one.outer.id, one.outer.df = true, 50000, 65500, i%2 == 0
				all = append(all, one)
				one.sum = true
				all = append(all, one)
			}
		}
	}
	return all
}

// header builds what stands between the outer UDP header and the frame within.
func (o overlay) header() []byte {
	if !o.geneve {
		return []byte{8, 0, 0, 0, 0, 0, 42, 0}
	}
	kind := []byte{0x65, 0x58}
	if o.bare {
		kind = map[bool][]byte{false: {0x08, 0}, true: {0x86, 0xDD}}[o.inner.v6]
	}
	return slices.Concat([]byte{byte(len(o.options) / 4), 0}, kind, []byte{0, 0, 42, 0}, o.options)
}

// build makes a complete frame.
func (o overlay) build() []byte {
	frame, udp := o.wrap(o.within().build())
	if o.sum {
		o.sign(frame, udp)
	}
	return frame
}

// wrap puts the outer headers around a frame, without UDP checksum, and tells where the
// UDP header is.
func (o overlay) wrap(inner []byte) (frame []byte, udp int) {
	payload := append(o.header(), inner...)
	frame = append(o.outer.link(), o.outer.ip(8+len(payload))...)
	udp = len(frame)
	for _, field := range []int{int(o.outer.port), map[bool]int{false: 4789, true: 6081}[o.geneve], 8 + len(payload), 0} {
		frame = binary.BigEndian.AppendUint16(frame, uint16(field))
	}
	return append(frame, payload...), udp
}

// sign gives the outer UDP header the checksum that its sender would have computed.
func (o overlay) sign(frame []byte, udp int) {
	clear(frame[udp+6 : udp+8])
	pseudo := o.outer.pseudoSum(frame, len(frame)-udp)
	sum := ^internetSum(binary.BigEndian.AppendUint16(nil, pseudo), frame[udp:])
	if sum == 0 {
		sum = 0xFFFF
	}
	binary.BigEndian.PutUint16(frame[udp+6:], sum)
}

// super makes a super-packet with segments of size bytes, and its VNetHeader, as the
// kernel would.
func (o overlay) super(size int) ([]byte, mytunev.VNetHeader) {
	r := o.within()
	inner, v := r.super(size)
	frame, udp := o.wrap(inner)
	behind := len(frame) - len(inner)
	v.CsumStart += uint16(behind)
	v.HdrLen += uint16(behind)
	v.OuterTHOffset, v.InnerNHOffset = uint16(udp), uint16(behind+len(r.link()))
	v.GSOType |= map[bool]uint8{false: 0x20, true: 0x40}[o.outer.v6]
	if o.sum {
		v.Flags |= 8
		binary.BigEndian.PutUint16(frame[udp+6:], o.outer.pseudoSum(frame, len(frame)-udp))
	}
	return frame, v
}

// part is the overlay of segment number i, of count, with that payload, at bytes behind
// the first one's.
func (o overlay) part(i, count, at int, payload []byte) overlay {
	o.outer.id += uint16(i)
	o.inner = o.inner.part(i, count, at, payload)
	return o
}

// parts builds frames of one flow with payloads of these sizes.
func (o overlay) parts(sizes ...int) [][]byte {
	var all [][]byte
	sent := 0
	for i, n := range sizes {
		all = append(all, o.part(i, len(sizes), sent, pattern(n)).build())
		sent += n
	}
	return all
}

// place says where a frame of an overlay has what.
func (o overlay) place(frame []byte) (udp, tunnel, inner int) {
	udp = o.outer.layout().transport
	return udp, udp + 8, udp + 8 + len(o.header())
}

// repair makes all sums and lengths of a frame right again, the inner ones first.
func (o overlay) repair(frame []byte) {
	udp, _, inner := o.place(frame)
	signByHand(o.within(), frame[inner:])
	if ip := frame[o.outer.layout().ip:udp]; !o.outer.v6 {
		clear(ip[10:12])
		binary.BigEndian.PutUint16(ip[10:], ^internetSum(ip))
	}
	if o.sum {
		o.sign(frame, udp)
	}
}

// cutByHand cuts a super-packet up by the definition.
func (o overlay) cutByHand(payload []byte, size int) [][]byte {
	var all [][]byte
	for i, part := range slices.Collect(slices.Chunk(payload, size)) {
		all = append(all, bytes.Clone(o.part(i, (len(payload)+size-1)/size, i*size, part).build()))
	}
	return all
}
