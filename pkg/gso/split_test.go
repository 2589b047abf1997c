// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestSplit(t *testing.T) {
	all := kinds()
	extended := all[1]
	extended.extension = true
	for _, r := range append(all, extended) {
		for _, c := range []struct{ payload, size, frames int }{
			{4500, 1000, 5}, {3000, 1000, 3}, {1000, 1000, 1}, {999, 1000, 1}, {3, 1, 3}, {1001, 1000, 2}, {65000, 1400, 47},
		} {
			r.payload = pattern(c.payload)
			r.flags = header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | header.TCPFlagCwr
			frame, v := r.super(c.size)
			before := bytes.Clone(frame)
			frames, err := split(r.mode, frame, v)
			if err != nil || len(frames) != c.frames {
				t.Fatalf("%v: %d bytes by %d: %d frames, %v, want %d", r, c.payload, c.size, len(frames), err, c.frames)
			}
			if !bytes.Equal(frame, before) {
				t.Errorf("%v: the super-packet was changed", r)
			}
			checkSegments(t, r, frames, c.size)
		}
	}
}

// checkSegments compares frames with what the recipe makes of each.
func checkSegments(t *testing.T, r recipe, frames [][]byte, size int) {
	t.Helper()
	payload := r.payload
	for i, got := range frames {
		want := r.part(i, len(frames), i*size, payload[:min(size, len(payload))])
		payload = payload[len(want.payload):]
		check(t, r, got)
		if !bytes.Equal(got, want.build()) {
			t.Fatalf("%v: frame %d of %d is\n%x, want\n%x", r, i, len(frames), got, want.build())
		}
	}
}

// part is the recipe of segment number i, of count, with that payload, at bytes behind the
// first one's.
func (r recipe) part(i, count, at int, payload []byte) recipe {
	r.payload = payload
	r.seq += uint32(at)
	r.id += uint16(i)
	if i > 0 {
		r.flags &^= header.TCPFlagCwr
	}
	if i < count-1 {
		r.flags &^= header.TCPFlagFin | header.TCPFlagPsh
	}
	return r
}

// TestSplitWithoutChecksumFlag: the sums are computed from nothing in any case.
func TestSplitWithoutChecksumFlag(t *testing.T) {
	for _, r := range kinds() {
		r.payload = pattern(5000)
		frame, v := r.super(1200)
		v.Flags, v.CsumStart, v.CsumOffset, v.HdrLen = 0, 0, 0, 0
		frames, err := split(r.mode, frame, v)
		if err != nil {
			t.Fatalf("%v: %v", r, err)
		}
		checkSegments(t, r, frames, 1200)
	}
}

func TestSplitOfWholeFrames(t *testing.T) {
	for _, r := range kinds() {
		r.payload = pattern(777)
		want := r.build()
		for _, v := range []mytunev.VNetHeader{{}, {Flags: mytunev.VNetDataValid}, {GSOType: mytunev.GSOECN}} {
			frames, err := split(r.mode, want, v)
			if err != nil || len(frames) != 1 || !bytes.Equal(frames[0], want) {
				t.Errorf("%v, %+v: %d frames, %v", r, v, len(frames), err)
			}
		}
		frame, v := r.super(0)
		v.GSOType = mytunev.GSONone
		frames, err := split(r.mode, frame, v)
		if err != nil || len(frames) != 1 || !bytes.Equal(frames[0], want) {
			t.Errorf("%v without checksum: %d frames, %v", r, len(frames), err)
		}
	}
	if frames, err := split(mytunev.TUN, []byte{0xFF}, mytunev.VNetHeader{}); err != nil || len(frames) != 1 {
		t.Errorf("a frame that is no IP: %d frames, %v", len(frames), err)
	}
}

// TestSplitOfRarerHeaders: a service provider's VLAN tag, and destination options.
func TestSplitOfRarerHeaders(t *testing.T) {
	for _, r := range []recipe{
		{mode: mytunev.TAP, vlan: true, v6: true, flags: header.TCPFlagAck},
		{mode: mytunev.TAP, vlan: true, v6: true, extension: true, udp: true},
	} {
		r.payload = pattern(3000)
		frame, v := r.super(1000)
		frame[12], frame[13] = 0x88, 0xA8
		if r.extension {
			frame[18+6] = destinationOptions
		}
		frames, err := split(r.mode, frame, v)
		if err != nil || len(frames) != 3 {
			t.Fatalf("%v: %d frames, %v", r, len(frames), err)
		}
		for _, f := range frames {
			if !bytes.Equal(f[:20], frame[:20]) {
				t.Errorf("%v: begins with %x, want %x", r, f[:20], frame[:20])
			}
			check(t, r, f)
		}
	}
}

func TestSplitterIsUsedAgain(t *testing.T) {
	var s Splitter
	if n, err := s.Next(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("Next of the zero value: %d, %v, want io.EOF", n, err)
	}
	buf := make([]byte, 2000)
	for _, r := range kinds() {
		r.payload = pattern(5000)
		frame, v := r.super(1200)
		for range 2 { // the first time it is left in the middle
			if err := s.Reset(r.mode, frame, v); err != nil {
				t.Fatal(err)
			}
			n, err := s.Next(buf)
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, buf[:n])
		}
		if err := s.Reset(r.mode, nil, v); err == nil || s.Frames() != 0 {
			t.Errorf("an empty frame: %v, %d frames", err, s.Frames())
		}
	}
}

func TestSplitErrors(t *testing.T) {
	type edit func(frame []byte, v *mytunev.VNetHeader) []byte
	at := func(offset int, value ...byte) edit {
		return func(frame []byte, v *mytunev.VNetHeader) []byte {
			copy(frame[offset:], value)
			return frame
		}
	}
	cut := func(n int) edit { return func(frame []byte, v *mytunev.VNetHeader) []byte { return frame[:n] } }
	head := func(f func(v *mytunev.VNetHeader)) edit {
		return func(frame []byte, v *mytunev.VNetHeader) []byte { f(v); return frame }
	}
	v4, tap, udp, v6 := recipe{}, recipe{mode: mytunev.TAP}, recipe{udp: true}, recipe{v6: true}
	vlan := recipe{mode: mytunev.TAP, vlan: true}
	for name, c := range map[string]struct {
		r    recipe
		edit edit
		want error
	}{
		"no frame":              {v4, cut(0), errTruncated},
		"half an Ethernet":      {tap, cut(13), errTruncated},
		"half a VLAN tag":       {vlan, cut(17), errTruncated},
		"half an IPv4 header":   {v4, cut(19), errTruncated},
		"half an IPv6 header":   {v6, cut(39), errTruncated},
		"Ethernet alone":        {tap, cut(14), errTruncated},
		"cut in the payload":    {v4, cut(1000), errLength},
		"IPv6 cut":              {v6, cut(1000), errLength},
		"padded":                {v4, func(f []byte, _ *mytunev.VNetHeader) []byte { return append(f, 0) }, errLength},
		"version":               {v4, at(0, 0x55), errVersion},
		"version in Ethernet":   {tap, at(14, 0x60), errVersion},
		"version 4 as IPv6":     {recipe{mode: mytunev.TAP, v6: true}, at(14, 0x45), errVersion},
		"ARP":                   {tap, at(12, 8, 6), errEtherType},
		"two VLAN tags":         {vlan, at(16, 0x81, 0), errEtherType},
		"IHL 4":                 {v4, at(0, 0x44), errLength},
		"IHL above the length":  {v4, func(f []byte, _ *mytunev.VNetHeader) []byte { f[0] = 0x4F; f[2], f[3] = 0, 59; return f }, errLength},
		"total length 0":        {v4, at(2, 0, 0), errLength},
		"total length too long": {v4, at(2, 0xFF, 0xFF), errLength},
		"payload length":        {v6, at(4, 0xFF, 0xFF), errLength},
		"IPv4 fragment":         {v4, at(6, 0x20, 0), errFragment},
		"IPv4 last fragment":    {v4, at(6, 0, 1), errFragment},
		"IPv6 fragment":         {v6, at(6, 44), errFragment},
		"IPv6 routing":          {v6, at(6, 43), errRouting},
		"hop-by-hop too long":   {v6, func(f []byte, _ *mytunev.VNetHeader) []byte { f[6], f[40], f[41] = 0, 6, 255; return f }, errTruncated},
		"ICMP":                  {v4, at(9, 1), errProtocol},
		"IPv6 no next":          {v6, at(6, 59), errProtocol},
		"data offset 4":         {v4, at(32, 0x40), errLength},
		"UDP length":            {udp, at(24, 0, 9), errLength},
		"UDP length 0":          {udp, at(24, 0, 0), errLength},
		"SYN":                   {v4, at(33, 0x12), errFlags},
		"RST":                   {v4, at(33, 0x04), errFlags},
		"URG":                   {v4, at(33, 0x30), errFlags},
		"size 0":                {v4, head(func(v *mytunev.VNetHeader) { v.GSOSize = 0 }), errSize},
		"UFO":                   {udp, head(func(v *mytunev.VNetHeader) { v.GSOType = mytunev.GSOUDP }), errUnknownGSO},
		"kind 9":                {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 9 }), errUnknownGSO},
		"TCPv6 over IPv4":       {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = mytunev.GSOTCPv6 }), errKind},
		"TCP as UDP":            {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = mytunev.GSOUDPL4 }), errKind},
		"CsumStart":             {v4, head(func(v *mytunev.VNetHeader) { v.CsumStart++ }), errStart},
		"CsumStart far":         {v4, head(func(v *mytunev.VNetHeader) { v.CsumStart = 0xFFFF }), errStart},
		"CsumOffset":            {v4, head(func(v *mytunev.VNetHeader) { v.CsumOffset = 6 }), errOffset},
		"whole, CsumStart far":  {v4, head(func(v *mytunev.VNetHeader) { v.GSOType = 0; v.CsumStart = 0xFFFF }), errField},
	} {
		c.r.payload, c.r.flags = pattern(2000), header.TCPFlagAck
		frame, v := c.r.super(1000)
		frame = c.edit(frame, &v)
		_, err := split(c.r.mode, frame, v)
		if err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if errors.Is(err, ErrMalformed) == errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v belongs to not exactly one class", name, err)
		}
	}
	empty := recipe{}
	frame, v := empty.super(1000)
	if _, err := split(mytunev.TUN, frame, v); err != errNoPayload {
		t.Errorf("no payload: %v, want %v", err, errNoPayload)
	}
	if !errors.Is(errProtocol, errors.ErrUnsupported) || errors.Is(errSize, errors.ErrUnsupported) {
		t.Error("ErrUnsupported alone is errors.ErrUnsupported")
	}
}

func TestChecksum(t *testing.T) {
	for _, r := range kinds() {
		for size := range 40 {
			r.payload = pattern(size)
			frame, v := r.super(0)
			if err := Checksum(frame, v); err != nil || !bytes.Equal(frame, r.build()) {
				t.Fatalf("%v, %d bytes: %v\n%x, want\n%x", r, size, err, frame, r.build())
			}
		}
	}
}

// TestChecksumZero: a UDP sum that comes out as 0 is stored as 0xFFFF.
func TestChecksumZero(t *testing.T) {
	r := recipe{udp: true, payload: []byte{0, 0}}
	frame := r.build()
	copy(frame[28:], frame[26:28]) // the payload takes the sum to 0
	for _, whole := range []bool{true, false} {
		f := bytes.Clone(frame)
		p, _ := parsed(mytunev.TUN, f)
		putField(f, p)
		v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, CsumStart: 20, CsumOffset: 6}
		if !whole {
			v.GSOType, v.GSOSize = mytunev.GSOUDPL4, 100
		}
		frames, err := split(mytunev.TUN, f, v)
		if err != nil || frames[0][26] != 0xFF || frames[0][27] != 0xFF {
			t.Errorf("%x, %v, want a checksum of 0xFFFF", frames, err)
		}
	}
}

func putField(f []byte, p packet) {
	sum := p.pseudo(f, p.end-p.l4)
	f[26], f[27] = byte(sum>>8), byte(sum)
}

func TestChecksumErrors(t *testing.T) {
	frame := make([]byte, 30)
	for _, c := range []struct {
		start, offset uint16
		bad           bool
	}{
		{20, 8, false}, {28, 0, false}, {0, 28, false},
		{20, 9, true}, {29, 0, true}, {30, 0, true}, {0xFFFF, 0xFFFF, true}, {31, 0, true},
	} {
		v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, CsumStart: c.start, CsumOffset: c.offset}
		clear(frame)
		err := Checksum(frame, v)
		if c.bad != (err != nil) || c.bad && (!errors.Is(err, ErrMalformed) || !bytes.Equal(frame, make([]byte, 30))) {
			t.Errorf("%+v: %v, %x", c, err, frame)
		}
	}
	if err := Checksum(nil, mytunev.VNetHeader{CsumStart: 100}); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}
