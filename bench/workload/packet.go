// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// datagram is an IPv4 packet of size bytes that carries UDP from one address to a port of the other, with all checksums.
func datagram(from, to string, port uint16, size int) ([]byte, error) {
	const headers = header.IPv4MinimumSize + header.UDPMinimumSize
	if size < headers {
		return nil, fmt.Errorf("a datagram of %d bytes has no room for its headers", size)
	}
	packet := make([]byte, size)
	source, destination := tcpip.AddrFrom4(netip.MustParseAddr(from).As4()), tcpip.AddrFrom4(netip.MustParseAddr(to).As4())
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(size), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: source, DstAddr: destination,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	udp := header.UDP(ip.Payload())
	for i := range udp.Payload() {
		udp.Payload()[i] = byte(i)
	}
	udp.Encode(&header.UDPFields{SrcPort: port, DstPort: port, Length: uint16(len(udp))})
	pseudo := header.PseudoHeaderChecksum(header.UDPProtocolNumber, source, destination, uint16(len(udp)))
	udp.SetChecksum(^udp.CalculateChecksum(checksum.Checksum(udp.Payload(), pseudo)))
	return packet, nil
}

// ethernet puts an Ethernet header in front of an IPv4 packet for an interface's kernel side.
func ethernet(dev string, packet []byte) ([]byte, error) {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", dev, err)
	}
	source, err := net.ParseMAC(farMAC)
	if err != nil {
		return nil, err
	}
	frame := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(packet))
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(source), DstAddr: tcpip.LinkAddress(link.Attrs().HardwareAddr), Type: header.IPv4ProtocolNumber,
	})
	return append(frame, packet...), nil
}

// leaveChecksum puts the pseudo-header's sum into a datagram's checksum field: the rest is left to the kernel.
func leaveChecksum(packet []byte) {
	ip := header.IPv4(packet)
	udp := header.UDP(ip.Payload())
	udp.SetChecksum(header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), udp.Length()))
}
