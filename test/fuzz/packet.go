// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mytun/mytun/test/device"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// sides are the addresses of the interface of a name: its own, the process's.
func sides(name uint64) *device.Link {
	a := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, byte(name), last}) }
	b := func(last byte) netip.Addr {
		return netip.AddrFrom16([16]byte{0xfd, 0x99, 3: byte(name), 15: last})
	}
	return &device.Link{
		MTU: 1500, Host4: a(1), Peer4: a(2), Host6: b(1), Peer6: b(2),
		HostMAC: net.HardwareAddr{2, 0, 0, 0, byte(name), 1}, PeerMAC: net.HardwareAddr{2, 0, 0, 0, byte(name), 2},
	}
}

// Sizes of the segments that super-packets claim: a usual one, and the smallest
// that TCP has.
const (
	gsoSize     = 1000
	gsoSizeTiny = 8
)

// packet is a packet for the kernel with about size bytes of payload, and what a
// process that is honest would say of it. File i sends for the device "fzJ" with
// J the last bit of i.
func (w *world) packet(file uint64, what, claim string, size int) device.VnetFrame {
	l := sides(file & 1)
	l.TAP = w.isTAP(file)
	if u, ok := envelopes[what]; ok {
		return enveloped(l, u, claim, min(size, envelopedMax))
	}
	var frame []byte
	switch what {
	case "udp4", "udp6":
		frame = l.Frame(what == "udp6", device.Datagram{SrcPort: 5555, DstPort: 5556, Payload: make([]byte, min(size, 65000))})
	case "tcp4", "tcp6":
		frame = tcp(l, what == "tcp6", min(size, 65000))
	case "routed":
		l.Host4 = beyondSink
		frame = tcp(l, false, min(size, 65000))
	case "fragment":
		frame = l.Frame(false, device.Datagram{SrcPort: 5555, DstPort: 5556, Payload: make([]byte, min(size, 65000))})
		frame[l.LinkHeader()+6] = 0x20 // more fragments
	case "ipip":
		inner := l.Frame(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: make([]byte, min(size, 64000))})
		frame = ip(l, false, 4, inner[l.LinkHeader():])
	case "arp", "vlan":
		frame = ethernet(l, what, size)
	case "zeros":
		frame = make([]byte, size)
	default:
		frame = device.Pattern(uint64(size), size)
	}
	return device.VnetFrame{Vnet: honest(l, what, claim, len(frame)), Data: frame}
}

// ip is an IP packet that carries anything.
func ip(l *device.Link, ipv6 bool, protocol uint8, payload []byte) []byte {
	frame := l.Frame(ipv6, device.Datagram{Payload: payload})
	start := l.LinkHeader() + device.IPHeader(ipv6)
	copy(frame[start:], payload)
	frame = frame[:start+len(payload)]
	packet := frame[l.LinkHeader():]
	if ipv6 {
		header.IPv6(packet).SetNextHeader(protocol)
		header.IPv6(packet).SetPayloadLength(uint16(len(payload)))
		return frame
	}
	h := header.IPv4(packet)
	packet[9] = protocol
	h.SetTotalLength(uint16(len(packet)))
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return frame
}

// tcp is a segment that belongs to no connection.
func tcp(l *device.Link, ipv6 bool, size int) []byte {
	segment := make([]byte, header.TCPMinimumSize+size)
	header.TCP(segment).Encode(&header.TCPFields{
		SrcPort: 5555, DstPort: 5556, SeqNum: 1, AckNum: 1, DataOffset: header.TCPMinimumSize,
		Flags: header.TCPFlagAck, WindowSize: 1000,
	})
	return ip(l, ipv6, uint8(header.TCPProtocolNumber), segment)
}

// ethernet is an Ethernet frame that carries no IP at once.
func ethernet(l *device.Link, what string, size int) []byte {
	frame := make([]byte, header.EthernetMinimumSize+size)
	kind := tcpip.NetworkProtocolNumber(header.ARPProtocolNumber)
	if what == "vlan" {
		kind = 0x8100
		if size >= 4 {
			binary.BigEndian.PutUint16(frame[header.EthernetMinimumSize+2:], 0x0800)
		}
	}
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(l.PeerMAC), DstAddr: tcpip.LinkAddress(l.HostMAC), Type: kind,
	})
	return frame
}

// honest is the header of a frame that is what it claims to be, if it can be.
func honest(l *device.Link, what, claim string, length int) device.VnetHeader {
	if claim == "plain" {
		return device.VnetHeader{}
	}
	isTCP, ipv6 := what == "tcp4" || what == "tcp6" || what == "routed", what == "udp6" || what == "tcp6"
	start := l.LinkHeader() + device.IPHeader(ipv6)
	v := device.VnetHeader{Flags: device.VnetNeedsCsum, CsumStart: uint16(start), CsumOffset: 6}
	headers := start + header.UDPMinimumSize
	if isTCP {
		v.CsumOffset, headers = header.TCPChecksumOffset, start+header.TCPMinimumSize
	}
	gso := map[string]uint8{
		"tcp4": device.GSOTCPv4, "tcp6": device.GSOTCPv6, "udp": device.GSOUDPL4, "ecn": device.GSOTCPv4 | device.GSOECN,
		"tiny": device.GSOTCPv4,
	}[claim]
	if gso != 0 {
		v.GSOType, v.GSOSize, v.HdrLen = gso, gsoSize, uint16(min(headers, length))
	}
	if claim == "tiny" {
		v.GSOSize = gsoSizeTiny
	}
	return v
}
