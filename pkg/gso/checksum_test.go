// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Sums of 16 bits have two representations of zero, which an update by difference
// can confuse. These tests go through all sums that there are, and compare with sums
// that are computed from nothing, by the definition (RFC 1071).

// internetSum is the sum, not its complement, of data in words of 16 bits.
func internetSum(parts ...[]byte) uint16 {
	var n uint64
	for _, b := range parts {
		for i := range b {
			n += uint64(b[i]) << (8 * (1 - i&1))
		}
	}
	for n > 0xFFFF {
		n = n>>16 + n&0xFFFF
	}
	return uint16(n)
}

// A layout says where a frame of a recipe has what.
type layout struct{ ip, transport, field int }

func (r recipe) layout() layout {
	l := layout{ip: len(r.link())}
	l.transport = l.ip + 20
	if r.v6 {
		l.transport = l.ip + 40
	}
	l.field = l.transport + 16
	if r.udp {
		l.field = l.transport + 6
	}
	return l
}

// pseudoSum is the sum of the pseudo header in front of length bytes.
func (r recipe) pseudoSum(frame []byte, length int) uint16 {
	from, protocol := r.layout().ip+12, byte(6)
	if r.v6 {
		from = r.layout().ip + 8
	}
	if r.udp {
		protocol = 17
	}
	rest := binary.BigEndian.AppendUint32(nil, uint32(length))
	return internetSum(frame[from:r.layout().transport], append(rest, 0, protocol))
}

// checkSums fails the test unless both checksums of a frame are what its sender would
// have computed, bit for bit.
func checkSums(t *testing.T, r recipe, frame []byte) {
	t.Helper()
	l := r.layout()
	if ip := bytes.Clone(frame[l.ip:l.transport]); !r.v6 {
		ip[10], ip[11] = 0, 0
		if got, want := binary.BigEndian.Uint16(frame[l.ip+10:]), ^internetSum(ip); got != want {
			t.Fatalf("%v: header checksum %04x, want %04x: %x", r, got, want, frame)
		}
	}
	transport := bytes.Clone(frame[l.transport:])
	clear(transport[l.field-l.transport:][:2])
	want := ^(internetSum(binary.BigEndian.AppendUint16(nil, r.pseudoSum(frame, len(transport))), transport))
	if r.udp && want == 0 {
		want = 0xFFFF
	}
	if got := binary.BigEndian.Uint16(frame[l.field:]); got != want {
		t.Fatalf("%v: checksum %04x, want %04x: %x", r, got, want, frame)
	}
}

// sumKinds are TCP and UDP over IPv4 and IPv6.
func sumKinds() []recipe { return kinds()[:4] }

// TestSplitEverySum: the payloads of a super-packet's two segments add up to everything,
// and the first one's identification and sequence number are everything.
func TestSplitEverySum(t *testing.T) {
	for _, r := range sumKinds() {
		r.payload = make([]byte, 7)
		buf := make([]byte, 200)
		var s Splitter
		frame, v := r.super(4)
		l := r.layout()
		for n := range 1 << 16 {
			for _, at := range []int{len(frame) - 7, len(frame) - 3} {
				binary.BigEndian.PutUint16(frame[at:], uint16(n))
			}
			if !r.v6 {
				binary.BigEndian.PutUint16(frame[l.ip+4:], uint16(n))
			}
			if !r.udp {
				binary.BigEndian.PutUint16(frame[l.transport+6:], uint16(n))
			}
			if err := s.Reset(r.mode, frame, v); err != nil {
				t.Fatal(err)
			}
			for s.Frames() > 0 {
				size, err := s.Next(buf)
				if err != nil {
					t.Fatal(err)
				}
				checkSums(t, r, buf[:size])
			}
		}
	}
}

// TestSplitEveryLength: segments and last ones of all lengths that a super-packet can have.
func TestSplitEveryLength(t *testing.T) {
	for _, r := range sumKinds() {
		r.payload = pattern(maxPacket - 80)
		frame, v := r.super(1)
		buf := make([]byte, len(frame))
		var s Splitter
		for size := 1; size <= len(r.payload); size += 1 + size/100 {
			v.GSOSize = uint16(size)
			if err := s.Reset(r.mode, frame, v); err != nil {
				t.Fatal(err)
			}
			for s.Frames() > 1 {
				s.at += size // to the last one, whose length is what is left
				s.index++
			}
			n, err := s.Next(buf)
			if err != nil {
				t.Fatal(err)
			}
			checkSums(t, r, buf[:n])
		}
	}
}

// TestCoalesceEverySum: what is joined has every address and every payload, and with
// those every checksum and every sum of a pseudo header. The latter is what the kernel
// is given, and what comes out, cut up again, is what went in.
func TestCoalesceEverySum(t *testing.T) {
	for _, r := range sumKinds() {
		l, c, tx := r.layout(), NewCoalescer(r.mode), &sink{}
		frames := r.parts(4, 4)
		for n := range 1 << 16 {
			for _, frame := range frames {
				binary.BigEndian.PutUint16(frame[l.transport-2:], uint16(n))
				binary.BigEndian.PutUint16(frame[len(frame)-2:], uint16(n<<3))
				signByHand(r, frame)
				c.Add(frame, mytunev.VNetHeader{})
			}
			if err := c.Flush(tx); err != nil {
				t.Fatal(err)
			}
			super := tx.slot[:len(frames[0])+4]
			if got, want := binary.BigEndian.Uint16(super[l.field:]), r.pseudoSum(super, len(super)-l.transport); got != want {
				t.Fatalf("%v: the pseudo header's sum %04x, want %04x: %x", r, got, want, super)
			}
			if ip := super[l.ip:l.transport]; !r.v6 && internetSum(ip) != 0xFFFF {
				t.Fatalf("%v: header checksum: %x", r, ip)
			}
			var s Splitter
			v := mytunev.VNetHeader{GSOType: tx.vnet.GSOType, GSOSize: tx.vnet.GSOSize}
			if err := s.Reset(r.mode, super, v); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 200)
			for i := range frames {
				if size, err := s.Next(buf); err != nil || !bytes.Equal(buf[:size], frames[i]) {
					t.Fatalf("%v: %v, %x comes back as %x", r, err, frames[i], buf[:size])
				}
			}
		}
	}
}

// signByHand makes the checksums of a frame right, as checkSums wants them.
func signByHand(r recipe, frame []byte) {
	l := r.layout()
	if ip := frame[l.ip:l.transport]; !r.v6 {
		clear(ip[10:12])
		binary.BigEndian.PutUint16(ip[10:], ^internetSum(ip))
	}
	transport := frame[l.transport:]
	clear(frame[l.field : l.field+2])
	sum := ^internetSum(binary.BigEndian.AppendUint16(nil, r.pseudoSum(frame, len(transport))), transport)
	if r.udp && sum == 0 {
		sum = 0xFFFF
	}
	binary.BigEndian.PutUint16(frame[l.field:], sum)
}

// zeroSum changes the last two bytes of a frame's payload so that its checksum is 0, or
// 0xFFFF where 0 says that there is none.
func zeroSum(r recipe, frame []byte) {
	l := r.layout()
	clear(frame[len(frame)-2:])
	signByHand(r, frame)
	copy(frame[len(frame)-2:], frame[l.field:l.field+2])
	signByHand(r, frame)
}

// TestCoalesceOtherZero: where a checksum is 0, a sender may have stored 0xFFFF, which is
// as right. It would come back as 0, so such a frame is not joined.
func TestCoalesceOtherZero(t *testing.T) {
	for _, r := range sumKinds() {
		l, c := r.layout(), NewCoalescer(r.mode)
		frames := r.parts(4, 4)
		zeroSum(r, frames[1])
		all := coalesce(t, c, mytunev.VNetHeader{}, frames...)
		if len(all) != 1 {
			t.Errorf("%v: checksum %x: %d frames, want 1", r, frames[1][l.field:l.field+2], len(all))
		}
		mustExpand(t, r, all, frames)
		if r.udp {
			continue
		}
		if !bytes.Equal(frames[1][l.field:l.field+2], []byte{0, 0}) {
			t.Fatalf("%v: checksum %x: the test tests nothing", r, frames[1][l.field:l.field+2])
		}
		frames[1][l.field], frames[1][l.field+1] = 0xFF, 0xFF
		all = coalesce(t, c, mytunev.VNetHeader{}, frames...)
		if len(all) != 2 {
			t.Errorf("%v: checksum ffff: %d frames, want 2", r, len(all))
		}
		mustExpand(t, r, all, frames)
	}
}

// TestCoalesceOtherZeroOfIPv4 is the same for the header's checksum.
func TestCoalesceOtherZeroOfIPv4(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck}
	r.id = header.IPv4(r.parts(4)[0]).Checksum() - 1 // and the second packet's sum is 0
	for checksum, want := range map[uint16]int{0: 1, 0xFFFF: 2} {
		frames := r.parts(4, 4)
		if ip := header.IPv4(frames[1]); ip.Checksum() != 0 {
			t.Fatalf("checksum %04x: the test tests nothing", ip.Checksum())
		}
		header.IPv4(frames[1]).SetChecksum(checksum)
		all := coalesce(t, NewCoalescer(r.mode), mytunev.VNetHeader{}, frames...)
		if len(all) != want {
			t.Errorf("checksum %04x: %d frames, want %d", checksum, len(all), want)
		}
		mustExpand(t, r, all, frames)
	}
}

// TestChecksumOfEverySeed: with every sum of a pseudo header, the checksum verifies, and is
// never the 0 by which UDP says that there is none.
func TestChecksumOfEverySeed(t *testing.T) {
	v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, CsumStart: 2, CsumOffset: 4}
	for _, body := range [][]byte{make([]byte, 8), make([]byte, 9), {0: 0xFF, 1: 0xFF, 7: 0}, pattern(21)} {
		for n := range 1 << 16 {
			frame := append([]byte{0xAA, 0xBB}, body...)
			binary.BigEndian.PutUint16(frame[6:], uint16(n))
			want := ^internetSum(frame[2:])
			if want == 0 {
				want = 0xFFFF
			}
			if err := Checksum(frame, v); err != nil || binary.BigEndian.Uint16(frame[6:]) != want {
				t.Fatalf("%x with %04x: %v, %x, want %04x", body, n, err, frame[6:8], want)
			}
		}
	}
}
