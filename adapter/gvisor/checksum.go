// SPDX-License-Identifier: MIT

package gvisor

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// isSound reports whether the checksum of a packet of TCP or UDP is right. Of any other packet, of a
// fragment, and of one with headers in between there is none that it could know: the
// stack looks at what there is.
func isSound(packet []byte) bool {
	source, destination, protocol, segment, ok := transport(packet)
	if !ok {
		return true
	}
	switch protocol {
	case header.TCPProtocolNumber:
		if len(segment) < header.TCPMinimumSize {
			return true
		}
		tcp := header.TCP(segment)
		offset := int(tcp.DataOffset())
		if offset < header.TCPMinimumSize || offset > len(segment) {
			return true
		}
		payload := segment[offset:]
		return tcp.IsChecksumValid(source, destination, checksum.Checksum(payload, 0), uint16(len(payload)))
	case header.UDPProtocolNumber:
		if len(segment) < header.UDPMinimumSize {
			return true
		}
		udp := header.UDP(segment)
		if udp.Checksum() == 0 && source.Len() == header.IPv4AddressSize {
			return true // the sender has computed none
		}
		return udp.IsChecksumValid(source, destination, checksum.Checksum(segment[header.UDPMinimumSize:], 0))
	}
	return true
}

// transport finds what is behind the IP header of a packet that is no fragment.
func transport(packet []byte) (source, destination tcpip.Address, protocol tcpip.TransportProtocolNumber, segment []byte, ok bool) {
	if header.IPVersion(packet) == header.IPv6Version {
		ip := header.IPv6(packet)
		if !ip.IsValid(len(packet)) {
			return
		}
		return ip.SourceAddress(), ip.DestinationAddress(), ip.TransportProtocol(), ip.Payload(), true
	}
	ip := header.IPv4(packet)
	if !ip.IsValid(len(packet)) || ip.More() || ip.FragmentOffset() != 0 {
		return
	}
	return ip.SourceAddress(), ip.DestinationAddress(), ip.TransportProtocol(), ip.Payload(), true
}
