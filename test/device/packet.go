// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Datagram is a UDP datagram as a frame carries it.
type Datagram struct {
	SrcPort, DstPort uint16
	Payload          []byte
}

// IPHeader is the length of the IP header of a family.
func IPHeader(ipv6 bool) int {
	if ipv6 {
		return header.IPv6MinimumSize
	}
	return header.IPv4MinimumSize
}

// LinkHeader is the length of the link header: none on a TUN device.
func (l *Link) LinkHeader() int {
	if l.TAP {
		return header.EthernetMinimumSize
	}
	return 0
}

// MaxPayload is the longest UDP payload that fits the MTU.
func (l *Link) MaxPayload(ipv6 bool) int {
	return l.MTU - IPHeader(ipv6) - header.UDPMinimumSize
}

// Frame is a UDP datagram from the process's side to the kernel's.
func (l *Link) Frame(ipv6 bool, d Datagram) []byte {
	frame := make([]byte, l.LinkHeader()+IPHeader(ipv6)+header.UDPMinimumSize+len(d.Payload))
	packet := frame
	if l.TAP {
		l.putEthernet(frame, ipv6)
		packet = frame[header.EthernetMinimumSize:]
	}
	src, dst := l.Peer(ipv6), l.Host(ipv6)
	putIP(packet, src, dst, header.UDPProtocolNumber)
	putUDP(packet[IPHeader(ipv6):], src, dst, d)
	return frame
}

func (l *Link) putEthernet(frame []byte, ipv6 bool) {
	kind := header.IPv4ProtocolNumber
	if ipv6 {
		kind = header.IPv6ProtocolNumber
	}
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(l.PeerMAC),
		DstAddr: tcpip.LinkAddress(l.HostMAC),
		Type:    kind,
	})
}

func putIP(packet []byte, src, dst netip.Addr, protocol tcpip.TransportProtocolNumber) {
	if src.Is6() {
		header.IPv6(packet).Encode(&header.IPv6Fields{
			PayloadLength:     uint16(len(packet) - header.IPv6MinimumSize),
			TransportProtocol: protocol, HopLimit: 64,
			SrcAddr: tcpipAddress(src), DstAddr: tcpipAddress(dst),
		})
		return
	}
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(protocol),
		Flags:   header.IPv4FlagDontFragment, // and so the zero ID is of no account
		SrcAddr: tcpipAddress(src), DstAddr: tcpipAddress(dst),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
}

func putUDP(segment []byte, src, dst netip.Addr, d Datagram) {
	udp := header.UDP(segment)
	udp.Encode(&header.UDPFields{
		SrcPort: d.SrcPort, DstPort: d.DstPort, Length: uint16(len(segment)),
	})
	copy(udp.Payload(), d.Payload)
	sum := pseudoSum(src, dst, len(segment))
	sum = checksum.Checksum(d.Payload, sum)
	udp.SetChecksum(^udp.CalculateChecksum(sum))
}

func pseudoSum(src, dst netip.Addr, length int) uint16 {
	return header.PseudoHeaderChecksum(header.UDPProtocolNumber,
		tcpipAddress(src), tcpipAddress(dst), uint16(length))
}

func tcpipAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// Parse takes a frame of the kernel apart. False if it is no UDP datagram for
// the peer, or if any of its checksums or lengths is wrong.
func (l *Link) Parse(frame []byte) (Datagram, bool) {
	packet, ok := l.ipPacket(frame)
	if !ok || len(packet) == 0 {
		return Datagram{}, false
	}
	ipv6 := packet[0]>>4 == 6
	if !ipv6 && !validIPv4(packet) || ipv6 && !validIPv6(packet) {
		return Datagram{}, false
	}
	return l.parseUDP(packet[IPHeader(ipv6):], ipv6)
}

func (l *Link) ipPacket(frame []byte) ([]byte, bool) {
	if !l.TAP {
		return frame, true
	}
	if len(frame) < header.EthernetMinimumSize {
		return nil, false
	}
	eth := header.Ethernet(frame)
	ok := eth.DestinationAddress() == tcpip.LinkAddress(l.PeerMAC) &&
		eth.SourceAddress() == tcpip.LinkAddress(l.HostMAC)
	return frame[header.EthernetMinimumSize:], ok
}

func validIPv4(packet []byte) bool {
	ip := header.IPv4(packet)
	return ip.IsValid(len(packet)) && int(ip.TotalLength()) == len(packet) &&
		ip.HeaderLength() == header.IPv4MinimumSize && ip.IsChecksumValid() &&
		ip.Protocol() == uint8(header.UDPProtocolNumber)
}

func validIPv6(packet []byte) bool {
	ip := header.IPv6(packet)
	return ip.IsValid(len(packet)) &&
		int(ip.PayloadLength())+header.IPv6MinimumSize == len(packet) &&
		ip.NextHeader() == uint8(header.UDPProtocolNumber)
}

func (l *Link) parseUDP(segment []byte, ipv6 bool) (Datagram, bool) {
	if len(segment) < header.UDPMinimumSize {
		return Datagram{}, false
	}
	udp := header.UDP(segment)
	d := Datagram{udp.SourcePort(), udp.DestinationPort(), segment[header.UDPMinimumSize:]}
	sum := pseudoSum(l.Host(ipv6), l.Peer(ipv6), len(segment))
	return d, int(udp.Length()) == len(segment) && checksum.Checksum(segment, sum) == 0xffff
}

// To is a filter for Receive: datagrams of the kernel to a port of the peer.
func (l *Link) To(port int) func(Header, []byte) bool {
	return func(_ Header, frame []byte) bool {
		d, ok := l.Parse(frame)
		return ok && int(d.DstPort) == port
	}
}
