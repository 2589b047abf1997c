// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// TCPPeer is the process's side of a TCP connection to the kernel, no more of
// one than tests need: it sends what it is told to, once, and does not look at
// what comes back. The receiver's window is at least WindowMin bytes.
type TCPPeer struct {
	Link *Link
	IPv6 bool
	Conn net.Conn // the kernel's side

	Answer Header // of the frame with which the kernel answered the first

	source, destination uint16
	sequence, ack       uint32
}

// WindowMin is how many bytes of a new connection a receiver that has read all
// before certainly takes.
const WindowMin = 48 << 10

// DialTCP connects to a listener on the kernel's side, through the first queue.
// It is closed at the end of the test.
func (l *Link) DialTCP(t testing.TB, ipv6 bool, source uint16) *TCPPeer {
	t.Helper()
	address := netip.AddrPortFrom(l.Host(ipv6), 0)
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := &TCPPeer{Link: l, IPv6: ipv6, source: source, sequence: 1000,
		destination: listener.Addr().(*net.TCPAddr).AddrPort().Port()}
	p.handshake(t)
	listener.SetDeadline(time.Now().Add(Deadline))
	if p.Conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	p.Conn.SetDeadline(time.Now().Add(Deadline))
	t.Cleanup(func() { p.Conn.Close() })
	return p
}

func (p *TCPPeer) handshake(t testing.TB) {
	t.Helper()
	q := p.Link.Queue()
	q.SendVnet(t, VnetHeader{}, p.frame(header.TCPFlagSyn, nil, false))
	p.sequence++
	h, frame := q.Receive(t, func(_ Header, frame []byte) bool {
		s, err := dissect(frame, p.Link.LinkHeader())
		return err == nil && s.protocol == uint8(header.TCPProtocolNumber) &&
			header.TCP(frame[s.transport:]).DestinationPort() == p.source
	})
	answer := header.TCP(frame[p.Link.LinkHeader()+IPHeader(p.IPv6):])
	if answer.Flags() != header.TCPFlagSyn|header.TCPFlagAck {
		t.Fatalf("answer to SYN: flags %v", answer.Flags())
	}
	p.Answer, p.ack = h, answer.SequenceNumber()+1
	q.SendVnet(t, VnetHeader{}, p.frame(header.TCPFlagAck, nil, false))
}

// frame is a segment with the next sequence number. Its checksum is complete,
// or only that of the pseudo-header.
func (p *TCPPeer) frame(flags header.TCPFlags, payload []byte, partial bool) []byte {
	l := p.Link
	start := l.LinkHeader() + IPHeader(p.IPv6)
	frame := make([]byte, start+header.TCPMinimumSize+len(payload))
	if l.TAP {
		l.putEthernet(frame, p.IPv6)
	}
	putIP(frame[l.LinkHeader():], l.Peer(p.IPv6), l.Host(p.IPv6), header.TCPProtocolNumber)
	tcp := header.TCP(frame[start:])
	tcp.Encode(&header.TCPFields{
		SrcPort: p.source, DstPort: p.destination, SeqNum: p.sequence, AckNum: p.ack,
		DataOffset: header.TCPMinimumSize, Flags: flags, WindowSize: 0xffff,
	})
	copy(tcp.Payload(), payload)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, tcpipAddress(l.Peer(p.IPv6)),
		tcpipAddress(l.Host(p.IPv6)), uint16(len(tcp)))
	tcp.SetChecksum(sum)
	if !partial {
		VnetHeader{CsumStart: uint16(start), CsumOffset: header.TCPChecksumOffset}.FillChecksum(frame)
	}
	return frame
}

// Segment is the next plain segment with its checksum.
func (p *TCPPeer) Segment(payload []byte) []byte {
	frame := p.frame(header.TCPFlagAck, payload, false)
	p.sequence += uint32(len(payload))
	return frame
}

// Super is the next segment as a super-packet, to be cut into pieces of mss
// bytes of payload.
func (p *TCPPeer) Super(payload []byte, mss uint16) (VnetHeader, []byte) {
	frame := p.frame(header.TCPFlagAck|header.TCPFlagPsh, payload, true)
	p.sequence += uint32(len(payload))
	start := p.Link.LinkHeader() + IPHeader(p.IPv6)
	v := VnetHeader{
		Flags: VnetNeedsCsum, GSOType: GSOTCPv4, HdrLen: uint16(start + header.TCPMinimumSize), GSOSize: mss,
		CsumStart: uint16(start), CsumOffset: header.TCPChecksumOffset,
	}
	if p.IPv6 {
		v.GSOType = GSOTCPv6
	}
	return v, frame
}

// SuperDatagram is a UDP super-packet from the process's side, to be cut into
// datagrams of size bytes of payload.
func (l *Link) SuperDatagram(ipv6 bool, d Datagram, size uint16) (VnetHeader, []byte) {
	frame := l.Frame(ipv6, d)
	start := l.LinkHeader() + IPHeader(ipv6)
	udp := header.UDP(frame[start:])
	udp.SetChecksum(pseudoSum(l.Peer(ipv6), l.Host(ipv6), len(udp)))
	return VnetHeader{
		Flags: VnetNeedsCsum, GSOType: GSOUDPL4, HdrLen: uint16(start + header.UDPMinimumSize), GSOSize: size,
		CsumStart: uint16(start), CsumOffset: 6,
	}, frame
}

// DropAll takes all frames that are in the rx ring now, and forgets them.
func (q *Queue) DropAll() {
	for h, _, ok := q.Peek(); ok; h, _, ok = q.Peek() {
		q.Next(h)
	}
	q.Release()
}
