// SPDX-License-Identifier: MIT

package gso

import (
	"encoding/binary"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// An element is a header that can be put between an IP header and the next one.
type element struct {
	name   string
	number byte
	build  func(next byte) []byte
}

// inUnits builds an extension header of the general form: the next header, the length in
// units of 8 bytes behind the first.
func inUnits(content ...byte) func(byte) []byte {
	return func(next byte) []byte {
		b := append([]byte{next, 0}, content...)
		b = append(b, make([]byte, -len(b)&7)...)
		b[1] = byte(len(b)/8 - 1)
		return b
	}
}

// nothing is for protocols whose own header does not matter.
func nothing(byte) []byte { return nil }

var elements = []element{
	{"hop-by-hop", 0, inUnits(1, 4, 0, 0, 0, 0)},
	{"destination options", 60, inUnits(append([]byte{1, 12}, make([]byte, 12)...)...)},
	{"home address", 60, inUnits(append([]byte{1, 2, 0, 0, 0xC9, 16}, make([]byte, 16)...)...)},
	{"routing", 43, inUnits(2, 1, 0, 0, 0, 0)},
	{"fragment", 44, inUnits(0, 1, 0, 0, 0, 1)},
	{"atomic fragment", 44, inUnits(0, 0, 0, 0, 0, 1)},
	{"AH", 51, func(next byte) []byte { return append([]byte{next, 4}, make([]byte, 22)...) }},
	{"ESP", 50, func(byte) []byte { return make([]byte, 8) }},
	{"IPComp", 108, func(next byte) []byte { return []byte{next, 0, 0, 2} }},
	{"mobility", 135, inUnits(5, 0, 0, 0, 0, 0)},
	{"HIP", 139, inUnits(make([]byte, 38)...)},
	{"shim6", 140, inUnits(0x80, 0, 0, 0, 0, 0)},
	{"experiment", 253, inUnits()},
	{"unknown", 200, inUnits()},
	{"ICMP", 1, nothing},
	{"IGMP", 2, nothing},
	{"ICMPv6", 58, nothing},
	{"DCCP", 33, nothing},
	{"UDP-Lite", 136, nothing},
	{"no next header", 59, nothing},
	{"SCTP", 132, nothing},
	{"GRE", 47, func(byte) []byte { return []byte{0, 0, 8, 0} }},
	{"IPv4 in IP", 4, func(byte) []byte { return recipe{flags: header.TCPFlagAck}.ip(20) }},
	{"IPv6 in IP", 41, func(byte) []byte { return recipe{v6: true, flags: header.TCPFlagAck}.ip(20) }},
}

// behind puts a chain of headers, and of an IPv4 packet options, in front of the
// transport header. The lengths and the IPv4 checksum are right afterwards.
func behind(r recipe, frame, options []byte, chain ...element) []byte {
	l := r.layout()
	var extra []byte
	numbers := frame[l.ip+9]
	if r.v6 {
		numbers, options = frame[l.ip+6], nil
	}
	for _, e := range slices.Backward(chain) {
		extra = append(e.build(numbers), extra...)
		numbers = e.number
	}
	frame = slices.Concat(frame[:l.transport], options, extra, frame[l.transport:])
	if r.v6 {
		frame[l.ip+6] = numbers
		binary.BigEndian.PutUint16(frame[l.ip+4:], uint16(len(frame)-l.transport))
		return frame
	}
	ip := header.IPv4(frame[l.ip:])
	ip[9] = numbers
	ip.SetHeaderLength(uint8(20 + len(options)))
	ip.SetTotalLength(uint16(len(ip)))
	ip.SetChecksum(0)
	ip.SetChecksum(^internetSum(ip[:20+len(options)]))
	return frame
}

// TestParseToTheEnd: a header may end where the packet does.
func TestParseToTheEnd(t *testing.T) {
	r := recipe{v6: true}
	frame := behind(r, r.build(), nil, element{"", 60, inUnits(1, 4, 0, 0, 0, 0)}, element{"", 59, nothing})
	frame = frame[:48]
	frame[5] = 8
	if _, err := parsed(r.mode, frame); err != errProtocol {
		t.Errorf("%v, want %v", err, errProtocol)
	}
	for end := range frame {
		frame[5] = byte(end)
		if _, err := parsed(r.mode, frame[:end]); err == nil || err == errProtocol {
			t.Errorf("cut at %d: %v", end, err)
		}
	}
}

// TestSplitUnknownHeaders: a super-packet is not cut up if what the checksum covers
// cannot be told.
func TestSplitUnknownHeaders(t *testing.T) {
	type chain = []element
	named := func(name string) element {
		return elements[slices.IndexFunc(elements, func(e element) bool { return e.name == name })]
	}
	for name, c := range map[string]struct {
		v6      bool
		options []byte
		chain   chain
		want    error
	}{
		"no operation":         {false, []byte{1, 1, 1, 1}, nil, nil},
		"end of options":       {false, []byte{1, 0, 131, 4}, nil, nil},
		"other option":         {false, []byte{7, 4, 131, 137}, nil, nil},
		"shortest option":      {false, []byte{1, 1, 7, 2}, nil, nil},
		"loose source route":   {false, []byte{1, 131, 3, 4}, nil, errRouting},
		"strict source route":  {false, []byte{7, 2, 137, 3, 4, 0, 0, 0}, nil, errRouting},
		"option cut off":       {false, []byte{1, 1, 1, 7}, nil, errTruncated},
		"option too long":      {false, []byte{7, 5, 0, 0}, nil, errLength},
		"option of size 1":     {false, []byte{7, 1, 1, 1}, nil, errLength},
		"IPv4 with AH":         {false, nil, chain{named("AH")}, errUnknown},
		"padding":              {true, nil, chain{named("hop-by-hop"), named("destination options")}, nil},
		"home address":         {true, nil, chain{named("home address")}, errRouting},
		"home address, second": {true, nil, chain{named("hop-by-hop"), named("home address")}, errRouting},
		"one byte of padding":  {true, nil, chain{{"", 60, inUnits(0, 0, 0, 1, 1, 0)}}, nil},
		"shortest padding":     {true, nil, chain{{"", 60, inUnits(1, 2, 0, 0, 1, 0)}}, nil},
		"IPv6 option cut off":  {true, nil, chain{{"", 60, inUnits(0, 0, 0, 0, 0, 5)}}, errTruncated},
		"IPv6 option too long": {true, nil, chain{{"", 60, inUnits(5, 5, 0, 0, 0, 0)}}, errLength},
		"mobility":             {true, nil, chain{named("mobility")}, errUnknown},
	} {
		r := recipe{v6: c.v6, payload: pattern(300), flags: header.TCPFlagAck}
		frame, v := r.super(100)
		added := len(c.options)
		frame = behind(r, frame, c.options, c.chain...)
		for _, e := range c.chain {
			added += len(e.build(0))
		}
		v.CsumStart += uint16(added)
		frames, err := split(r.mode, frame, v)
		if err != c.want || err == nil && len(frames) != 3 {
			t.Errorf("%s: %d frames, %v, want %v", name, len(frames), err, c.want)
		}
	}
}
