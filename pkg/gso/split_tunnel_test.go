// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const allFlags = header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | header.TCPFlagCwr

func mustBeFrames(t *testing.T, o overlay, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%v: %d frames, want %d", o, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%v: frame %d of %d is\n%x, want\n%x", o, i, len(got), got[i], want[i])
		}
	}
}

func TestSplitTunnel(t *testing.T) {
	for _, o := range overlays() {
		for _, c := range []struct{ payload, size int }{
			{4500, 1000}, {3000, 1000}, {1000, 1000}, {999, 1000}, {3, 1}, {1001, 1000}, {65000, 1400},
		} {
			o.inner.payload, o.inner.flags = pattern(c.payload), allFlags
			frame, v := o.super(c.size)
			before := bytes.Clone(frame)
			frames, err := split(o.outer.mode, frame, v)
			if err != nil {
				t.Fatalf("%v: %v", o, err)
			}
			mustBeFrames(t, o, frames, o.cutByHand(o.inner.payload, c.size))
			if !bytes.Equal(frame, before) {
				t.Errorf("%v: the super-packet was changed", o)
			}
		}
	}
}

// TestSplitTunnelByHand compares with a super-packet that is written out: two segments of
// TCP over IPv4, in VXLAN over IPv4, with and without the outer checksum.
func TestSplitTunnelByHand(t *testing.T) {
	frame := []byte{
		0x45, 2, 0, 114, 0xFF, 0xFF, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4, identification 65535
		0xC0, 0, 0x12, 0xB5, 0, 94, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0, // UDP to 4789, VXLAN 7
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
		0x45, 2, 0, 64, 0, 9, 0x40, 0, 64, 6, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2, // IPv4, identification 9
		0, 80, 0x9C, 0x40, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0, // TCP, ACK and PSH, to be cut every 16 bytes
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7,
	}
	v := mytunev.VNetHeader{Flags: 1, GSOType: 0x21, GSOSize: 16, CsumStart: 70, CsumOffset: 16, OuterTHOffset: 20, InnerNHOffset: 50}
	frame[3] = byte(len(frame))
	frame[25] = byte(len(frame) - 20)
	for _, sum := range []bool{false, true} {
		v.Flags = map[bool]uint8{false: 1, true: 9}[sum]
		frames, err := split(mytunev.TUN, frame, v)
		if err != nil || len(frames) != 2 {
			t.Fatalf("%d frames, %v, want 2", len(frames), err)
		}
		for i, got := range frames {
			payload := [][]byte{frame[90:106], frame[106:]}[i]
			want := append(bytes.Clone(frame[:90]), payload...)
			put := func(at int, value uint16) { binary.BigEndian.PutUint16(want[at:], value) }
			put(2, uint16(90+len(payload)))
			put(4, []uint16{65535, 0}[i])
			put(10, ^internetSum(want[:20]))
			put(24, uint16(70+len(payload)))
			put(52, uint16(40+len(payload)))
			put(54, uint16(9+i))
			put(60, ^internetSum(want[50:70]))
			put(76, uint16(1+16*i))
			want[83] = []byte{0x10, 0x18}[i]
			put(86, ^internetSum(want[62:70], []byte{0, 6, 0, byte(20 + len(payload))}, want[70:]))
			if sum {
				put(26, ^internetSum(want[12:20], []byte{0, 17, 0, byte(70 + len(payload))}, want[20:]))
			}
			if !bytes.Equal(got, want) {
				t.Errorf("checksum %v: frame %d is\n%x, want\n%x", sum, i, got, want)
			}
		}
	}
}

// TestSplitTunnelOfRarerHeaders: options of IPv4 and extension headers of IPv6, outside and
// inside, and a tunnel whose header has an odd length, as no tunnel's has.
func TestSplitTunnelOfRarerHeaders(t *testing.T) {
	// An option of either, and the length of it.
	longer := func(r recipe, frame []byte) ([]byte, uint16) {
		if r.v6 {
			return behind(r, frame, nil, element{"", 0, inUnits(5, 2, 0, 0, 1, 0)}), 8
		}
		return behind(r, frame, []byte{1, 1, 1, 0}), 4
	}
	for _, c := range []struct{ outer6, inner6, odd bool }{{false, false, false}, {true, true, false}, {false, true, true}, {true, false, true}} {
		o := overlay{sum: true, outer: recipe{v6: c.outer6, udp: true}, inner: recipe{v6: c.inner6, flags: header.TCPFlagAck}}
		o.inner.payload = pattern(250)
		super, v := o.super(100)
		frames := o.cutByHand(o.inner.payload, 100)
		var outerMore, innerMore uint16
		for _, frame := range append(pointers(frames), &super) {
			udp, _, inner := o.place(*frame)
			var within []byte
			within, innerMore = longer(o.within(), (*frame)[inner:])
			tunnel := bytes.Clone((*frame)[udp+8 : inner])
			if c.odd {
				tunnel = append(tunnel, 0xA5)
			}
			whole := slices.Concat((*frame)[:udp+8], tunnel, within)
			binary.BigEndian.PutUint16(whole[udp+4:], uint16(len(whole)-udp))
			*frame, outerMore = longer(o.outer, whole)
		}
		v.OuterTHOffset += outerMore
		v.InnerNHOffset += outerMore
		v.CsumStart += outerMore + innerMore
		if c.odd {
			v.InnerNHOffset++
			v.CsumStart++
		}
		for _, frame := range frames { // the outer sum, from nothing
			udp := int(v.OuterTHOffset)
			clear(frame[udp+6 : udp+8])
			from, to := udp-int(outerMore)-8, udp-int(outerMore)
			if c.outer6 {
				from = to - 32
			}
			pseudo := []byte{0, 17, byte((len(frame) - udp) >> 8), byte(len(frame) - udp)}
			binary.BigEndian.PutUint16(frame[udp+6:], ^internetSum(frame[from:to], pseudo, frame[udp:]))
		}
		got, err := split(mytunev.TUN, super, v)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		mustBeFrames(t, o, got, frames)
	}
}

func pointers(frames [][]byte) (all []*[]byte) {
	for i := range frames {
		all = append(all, &frames[i])
	}
	return all
}

// TestSplitTunnelOfSegmentLengths: all headers have the lengths of one segment and, without
// VNetUDPTunnelChecksum, its outer checksum. The last segment may be shorter even so.
func TestSplitTunnelOfSegmentLengths(t *testing.T) {
	for _, o := range overlays() {
		if o.inner.udp {
			continue // that is for TCP
		}
		o.inner.payload, o.inner.flags = pattern(2500), allFlags
		want := o.cutByHand(o.inner.payload, 1000)
		super, v := o.super(1000)
		headers := len(super) - 2500
		copy(super, want[0][:headers])
		v.Flags &^= mytunev.VNetUDPTunnelChecksum
		super[v.CsumStart+13] = byte(allFlags)
		got, err := split(o.outer.mode, super, v)
		if err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		mustBeFrames(t, o, got, want)
	}
}

// TestSplitTunnelEverySum: the outer checksum of a segment takes every value. It is never
// 0, which says that there is none.
func TestSplitTunnelEverySum(t *testing.T) {
	for _, o := range []overlay{
		{sum: true, outer: recipe{udp: true}, inner: recipe{flags: header.TCPFlagAck}},
		{sum: true, outer: recipe{udp: true, v6: true}, inner: recipe{udp: true, v6: true}, geneve: true},
	} {
		o.inner.payload = pattern(5)
		super, v := o.super(4)
		udp, tunnel, _ := o.place(super)
		buf := make([]byte, 300)
		var s Splitter
		zeros := 0
		for n := range 1 << 16 {
			binary.BigEndian.PutUint16(super[tunnel+4:], uint16(n))
			if err := s.Reset(o.outer.mode, super, v); err != nil {
				t.Fatal(err)
			}
			for s.Frames() > 0 {
				size, err := s.Next(buf)
				if err != nil {
					t.Fatal(err)
				}
				got := binary.BigEndian.Uint16(buf[udp+6:])
				o.sign(buf[:size], udp)
				if want := binary.BigEndian.Uint16(buf[udp+6:]); got != want {
					t.Fatalf("%v: checksum %04x, want %04x", o, got, want)
				} else if want == 0xFFFF {
					zeros++
				}
			}
		}
		if zeros == 0 {
			t.Errorf("%v: no sum was 0: the test tests nothing", o)
		}
	}
}

func TestSplitTunnelErrors(t *testing.T) {
	type edit func(frame []byte, v *mytunev.VNetHeader)
	at := func(offset int, value ...byte) edit {
		return func(frame []byte, _ *mytunev.VNetHeader) { copy(frame[offset:], value) }
	}
	head := func(f func(v *mytunev.VNetHeader)) edit {
		return func(_ []byte, v *mytunev.VNetHeader) { f(v) }
	}
	// In these, the outer UDP header is at 20, VXLAN at 28, Ethernet at 36, IP at 50.
	v4 := overlay{outer: recipe{udp: true}}
	v6 := overlay{outer: recipe{udp: true}, inner: recipe{v6: true}}
	udp := overlay{outer: recipe{udp: true}, inner: recipe{udp: true}}
	for name, c := range map[string]struct {
		o    overlay
		edit edit
		want error
	}{
		"as it is":                  {v4, head(func(v *mytunev.VNetHeader) {}), nil},
		"the other tunnel bit":      {v4, head(func(v *mytunev.VNetHeader) { v.GSOType ^= 0x60 }), nil},
		"both tunnel bits":          {v4, head(func(v *mytunev.VNetHeader) { v.GSOType |= 0x60 }), errTwoTunnels},
		"nothing within":            {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 0x20 }), errUnknownGSO},
		"ECN alone":                 {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 0xA0 }), errUnknownGSO},
		"UFO within":                {udp, head(func(v *mytunev.VNetHeader) { v.GSOType = 0x23 }), errUnknownGSO},
		"TCPv6 within is IPv4":      {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 0x24 }), errKind},
		"UDP within is TCP":         {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 0x25 }), errKind},
		"no checksum to do":         {v4, head(func(v *mytunev.VNetHeader) { v.Flags = 0 }), errUnsummed},
		"only the outer to do":      {v4, head(func(v *mytunev.VNetHeader) { v.Flags = 8 }), errUnsummed},
		"OuterTHOffset":             {v4, head(func(v *mytunev.VNetHeader) { v.OuterTHOffset++ }), errOuter},
		"OuterTHOffset 0":           {v4, head(func(v *mytunev.VNetHeader) { v.OuterTHOffset = 0 }), errOuter},
		"OuterTHOffset far":         {v4, head(func(v *mytunev.VNetHeader) { v.OuterTHOffset = 0xFFFF }), errOuter},
		"InnerNHOffset 0":           {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 0 }), errInner},
		"InnerNHOffset outside":     {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 27 }), errInner},
		"InnerNHOffset far":         {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 0xFFFF }), errInner},
		"InnerNHOffset last":        {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 2089 }), errTruncated},
		"InnerNHOffset end":         {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 2090 }), errInner},
		"InnerNHOffset too low":     {v4, head(func(v *mytunev.VNetHeader) { v.InnerNHOffset = 28 }), errVersion},
		"outer TCP":                 {v4, func(f []byte, _ *mytunev.VNetHeader) { f[9], f[32] = 6, 0x50 }, errOuter},
		"outer GRE":                 {v4, at(9, 47), errProtocol},
		"outer fragment":            {v4, at(6, 0x20), errFragment},
		"outer total length":        {v4, at(2, 0xFF, 0xFF), errLength},
		"outer UDP length":          {v4, at(24, 0, 99), errLength},
		"version within":            {v4, at(50, 0x55), errVersion},
		"fragment within":           {v4, at(56, 0x20), errFragment},
		"GRE within":                {v4, at(59, 47), errProtocol},
		"ESP within":                {v4, at(59, 50), errUnknown},
		"length within, more":       {v4, at(52, 0xFF, 0xFF), errLength},
		"length within, less":       {v4, at(52, 0, 99), errLength},
		"IPv6 length, less":         {v6, at(54, 0, 99), errLength},
		"routing within":            {v6, at(56, 43), errRouting},
		"UDP length within":         {udp, at(74, 0, 9), errLength},
		"data offset within":        {v4, at(82, 0x40), errLength},
		"SYN within":                {v4, at(83, 0x12), errFlags},
		"size 0":                    {v4, head(func(v *mytunev.VNetHeader) { v.GSOSize = 0 }), errSize},
		"CsumStart outside":         {v4, head(func(v *mytunev.VNetHeader) { v.CsumStart = 20 }), errStart},
		"CsumOffset":                {v4, head(func(v *mytunev.VNetHeader) { v.CsumOffset = 6 }), errOffset},
		"lengths of less":           {v4, func(f []byte, _ *mytunev.VNetHeader) { lengthen(f, 999) }, errLength},
		"lengths of more":           {v4, func(f []byte, _ *mytunev.VNetHeader) { lengthen(f, 1001) }, errLength},
		"lengths of a segment":      {v4, func(f []byte, _ *mytunev.VNetHeader) { lengthen(f, 1000) }, nil},
		"outer length of a segment": {v4, func(f []byte, _ *mytunev.VNetHeader) { lengthen(f[:28], 1000) }, errLength},
		"inner length of a segment": {v4, func(f []byte, _ *mytunev.VNetHeader) {
			binary.BigEndian.PutUint16(f[52:], 1040)
		}, errLength},
		"lengths of nothing": {v4, func(f []byte, v *mytunev.VNetHeader) {
			lengthen(f, 0)
			v.GSOSize = 0
		}, errSize},
	} {
		c.o.inner.payload, c.o.inner.flags = pattern(2000), header.TCPFlagAck
		frame, v := c.o.super(1000)
		c.edit(frame, &v)
		_, err := split(c.o.outer.mode, frame, v)
		if err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if err != nil && errors.Is(err, ErrMalformed) == errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v belongs to not exactly one class", name, err)
		}
	}
}

// lengthen gives all headers of a frame without options in VXLAN, as many as there are, the
// lengths of one with that payload.
func lengthen(frame []byte, payload int) {
	for at, headers := range map[int]int{2: 90, 24: 70, 52: 40} {
		if at < len(frame) {
			binary.BigEndian.PutUint16(frame[at:], uint16(headers+payload))
		}
	}
}

// TestSplitOffsetsWithoutTunnel: without a tunnel, the offsets mean nothing.
func TestSplitOffsetsWithoutTunnel(t *testing.T) {
	for _, r := range kinds() {
		r.payload = pattern(2500)
		frame, v := r.super(1000)
		v.OuterTHOffset, v.InnerNHOffset = 0xFFFF, 3
		v.Flags |= mytunev.VNetUDPTunnelChecksum
		frames, err := split(r.mode, frame, v)
		if err != nil || len(frames) != 3 {
			t.Fatalf("%v: %d frames, %v", r, len(frames), err)
		}
		checkSegments(t, r, frames, 1000)
	}
}
