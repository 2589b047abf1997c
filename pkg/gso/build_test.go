// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A recipe is a frame to be built. Its zero value, but for the payload, is TCP over
// IPv4 on a TUN device.
type recipe struct {
	mode      mytunev.Mode
	vlan      bool
	v6        bool
	udp       bool
	extension bool // IPv6: a hop-by-hop header
	options   []byte
	payload   []byte

	port  uint16
	seq   uint32
	id    uint16
	df    bool
	flags header.TCPFlags
}

func (r recipe) String() string {
	text := r.mode.String()
	if r.vlan {
		text += " VLAN"
	}
	text += map[bool]string{false: " IPv4", true: " IPv6"}[r.v6]
	if r.extension {
		text += " hop-by-hop"
	}
	return text + map[bool]string{false: " TCP", true: " UDP"}[r.udp]
}

// kinds are all kinds of frames that the package knows.
func kinds() []recipe {
	var all []recipe
	for _, r := range []recipe{{}, {mode: mytunev.TAP}, {mode: mytunev.TAP, vlan: true}} {
		for i := range 4 {
			r.v6, r.udp = i&1 != 0, i&2 != 0
			r.port, r.seq, r.id, r.flags = 4000, 1<<32-1500, 65534, header.TCPFlagAck
			if !r.udp {
				r.options = []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
			}
			all = append(all, r)
		}
	}
	return all
}

// build makes a complete frame: lengths and checksums are right.
func (r recipe) build() []byte {
	transport := r.transport()
	frame := append(r.link(), r.ip(len(transport))...)
	l4 := len(frame)
	frame = append(frame, transport...)
	proto := header.TCPProtocolNumber
	if r.udp {
		proto = header.UDPProtocolNumber
	}
	src, dst := r.addresses()
	sum := header.PseudoHeaderChecksum(proto, src, dst, uint16(len(transport)))
	sum = ^checksum.Checksum(transport, sum)
	if r.udp {
		if sum == 0 {
			sum = 0xFFFF
		}
		header.UDP(frame[l4:]).SetChecksum(sum)
	} else {
		header.TCP(frame[l4:]).SetChecksum(sum)
	}
	return frame
}

func (r recipe) link() []byte {
	if r.mode == mytunev.TUN {
		return nil
	}
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if r.vlan {
		frame = append(frame, 0x81, 0, 0x20, 7)
	}
	if r.v6 {
		return append(frame, 0x86, 0xDD)
	}
	return append(frame, 8, 0)
}

func (r recipe) addresses() (src, dst tcpip.Address) {
	if r.v6 {
		return tcpip.AddrFrom16([16]byte{0xFD, 15: 1}), tcpip.AddrFrom16([16]byte{0xFD, 15: 2})
	}
	return tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), tcpip.AddrFrom4([4]byte{10, 0, 0, 2})
}

func (r recipe) ip(length int) []byte {
	src, dst := r.addresses()
	proto := header.TCPProtocolNumber
	if r.udp {
		proto = header.UDPProtocolNumber
	}
	if !r.v6 {
		ip := header.IPv4(make([]byte, header.IPv4MinimumSize))
		fields := &header.IPv4Fields{TOS: 4, TotalLength: uint16(len(ip) + length), ID: r.id, TTL: 64,
			Protocol: uint8(proto), SrcAddr: src, DstAddr: dst}
		if r.df {
			fields.Flags = header.IPv4FlagDontFragment
		}
		ip.Encode(fields)
		ip.SetChecksum(^ip.CalculateChecksum())
		return ip
	}
	ip := header.IPv6(make([]byte, header.IPv6MinimumSize))
	fields := &header.IPv6Fields{TrafficClass: 4, FlowLabel: 77, PayloadLength: uint16(length),
		TransportProtocol: proto, HopLimit: 64, SrcAddr: src, DstAddr: dst}
	ip.Encode(fields)
	if r.extension {
		ip.SetNextHeader(hopByHop)
		ip.SetPayloadLength(uint16(8 + length))
		ip = append(ip, uint8(proto), 0, 1, 4, 0, 0, 0, 0)
	}
	return ip
}

func (r recipe) transport() []byte {
	if r.udp {
		udp := header.UDP(make([]byte, header.UDPMinimumSize))
		udp.Encode(&header.UDPFields{SrcPort: r.port, DstPort: 80, Length: uint16(len(udp) + len(r.payload))})
		return append(udp, r.payload...)
	}
	tcp := header.TCP(make([]byte, header.TCPMinimumSize))
	tcp.Encode(&header.TCPFields{SrcPort: r.port, DstPort: 80, SeqNum: r.seq, AckNum: 99, Flags: r.flags,
		DataOffset: uint8(len(tcp) + len(r.options)), WindowSize: 512})
	return append(append(tcp, r.options...), r.payload...)
}

// super makes a super-packet with segments of size bytes, and its VNetHeader, as the
// kernel would: the checksum is that of the pseudo header only.
func (r recipe) super(size int) ([]byte, mytunev.VNetHeader) {
	frame := r.build()
	p, err := parsed(r.mode, frame)
	if err != nil {
		panic(err)
	}
	checksum.Put(frame[p.l4+p.checksumOffset():], p.pseudo(frame, p.end-p.l4))
	v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, GSOType: p.gsoType(), HdrLen: uint16(p.payload),
		GSOSize: uint16(size), CsumStart: uint16(p.l4), CsumOffset: uint16(p.checksumOffset())}
	if !r.udp && r.flags.Contains(header.TCPFlagCwr) {
		v.GSOType |= mytunev.GSOECN
	}
	return frame, v
}

func parsed(mode mytunev.Mode, frame []byte) (p packet, err error) {
	err = p.parse(mode, frame)
	return p, err
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i + i>>8)
	}
	return p
}

// check fails the test unless a frame is fit for a wire. It uses gVisor's functions
// alone, so that it shares nothing with what is tested.
func check(t *testing.T, r recipe, frame []byte) {
	t.Helper()
	packet := frame[len(r.link()):]
	var src, dst tcpip.Address
	var transport []byte
	if r.v6 {
		ip := header.IPv6(packet)
		if !ip.IsValid(len(ip)) || int(ip.PayloadLength()) != len(ip)-header.IPv6MinimumSize {
			t.Fatalf("IPv6 packet of %d bytes is not valid: %x", len(packet), packet)
		}
		src, dst, transport = ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()
		if r.extension {
			transport = transport[8:]
		}
	} else {
		ip := header.IPv4(packet)
		if !ip.IsValid(len(ip)) || int(ip.TotalLength()) != len(ip) || !ip.IsChecksumValid() {
			t.Fatalf("IPv4 packet of %d bytes is not valid: %x", len(packet), packet)
		}
		src, dst, transport = ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()
	}
	if r.udp {
		udp := header.UDP(transport)
		if int(udp.Length()) != len(udp) || udp.Checksum() == 0 ||
			!udp.IsChecksumValid(src, dst, checksum.Checksum(udp.Payload(), 0)) {
			t.Fatalf("UDP datagram is not valid: %x", transport)
		}
		return
	}
	tcp := header.TCP(transport)
	if !tcp.IsChecksumValid(src, dst, checksum.Checksum(tcp.Payload(), 0), uint16(len(tcp.Payload()))) {
		t.Fatalf("TCP checksum is not right: %x", transport)
	}
}

// split returns all frames of a super-packet, and checks what Splitter says of them.
func split(mode mytunev.Mode, frame []byte, v mytunev.VNetHeader) ([][]byte, error) {
	var s Splitter
	if err := s.Reset(mode, frame, v); err != nil {
		if n, next := s.Next(make([]byte, 100)); n != 0 || next != io.EOF || s.Frames() != 0 {
			return nil, fmt.Errorf("after a failed Reset: %d, %v, %d frames left", n, next, s.Frames())
		}
		return nil, err
	}
	var all [][]byte
	for left := s.Frames(); ; left-- {
		size := s.Size()
		if s.Frames() != left || (left == 0) != (size == 0) {
			return nil, fmt.Errorf("%d frames of %d bytes left, want %d", s.Frames(), size, left)
		}
		if n, err := s.Next(make([]byte, max(size, 1)-1)); size > 0 && (n != 0 || err != io.ErrShortBuffer) {
			return nil, fmt.Errorf("Next with a short buffer: %d, %v", n, err)
		}
		buf := make([]byte, size+3)
		n, err := s.Next(buf)
		if err == io.EOF && left == 0 {
			return all, nil
		}
		if err != nil || n != size || !bytes.Equal(buf[n:], []byte{0, 0, 0}) {
			return nil, errors.Join(fmt.Errorf("Next: %d bytes, want %d, then %x", n, size, buf[n:]), err)
		}
		all = append(all, buf[:n])
	}
}
