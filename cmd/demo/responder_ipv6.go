// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// answerIPv6 answers an ICMPv6 echo request and, on a TAP device, a neighbour
// solicitation. Packets with extension headers, fragments among them, are left
// alone.
func (r *responder) answerIPv6(packet []byte) (int, verdict) {
	ip := header.IPv6(packet)
	if !ip.IsValid(len(packet)) {
		return 0, ignoredInvalid
	}
	ip = ip[:header.IPv6MinimumSize+int(ip.PayloadLength())]
	switch header.IPv6ExtensionHeaderIdentifier(ip.NextHeader()) {
	case header.IPv6HopByHopOptionsExtHdrIdentifier, header.IPv6RoutingExtHdrIdentifier,
		header.IPv6FragmentExtHdrIdentifier, header.IPv6DestinationOptionsExtHdrIdentifier:
		return 0, ignoredExtended
	}
	if ip.TransportProtocol() != header.ICMPv6ProtocolNumber {
		return 0, ignoredOther
	}
	icmp := header.ICMPv6(ip[header.IPv6MinimumSize:])
	switch {
	case len(icmp) < header.ICMPv6MinimumSize:
		return 0, ignoredInvalid
	case icmp.Code() != 0:
		return 0, ignoredOther
	case icmp.Type() == header.ICMPv6EchoRequest:
		return r.answerEcho6(ip, icmp)
	case icmp.Type() == header.ICMPv6NeighborSolicit && r.tap:
		return r.answerSolicitation(ip, icmp)
	}
	return 0, ignoredOther
}

// answerEcho6 turns an echo request into a reply. Only the type changes, for the
// pseudo-header is the same in both directions: the checksum is adjusted, not
// computed (RFC 1624, equation 3). With the pseudo-header what is summed up is
// never all 0.
func (r *responder) answerEcho6(ip header.IPv6, icmp header.ICMPv6) (int, verdict) {
	from, to := addresses6(ip)
	switch {
	case !r.answersFor(to) || !r.isHost(from):
		return 0, ignoredAddress
	case sum6(ip, icmp) != validSum:
		return 0, ignoredChecksum
	}
	const change = uint16(header.ICMPv6EchoReply-header.ICMPv6EchoRequest) << 8
	icmp.SetType(header.ICMPv6EchoReply)
	icmp.SetChecksum(^checksum.Combine(^icmp.Checksum(), change))
	swap(ip[8:24], ip[24:40])
	ip.SetHopLimit(hopLimit)
	return len(ip), echo6
}

func addresses6(ip header.IPv6) (from, to netip.Addr) {
	return netip.AddrFrom16([16]byte(ip.SourceAddressSlice())),
		netip.AddrFrom16([16]byte(ip.DestinationAddressSlice()))
}

// sum6 adds up the pseudo-header and the message, whose length is 16 bits.
func sum6(ip header.IPv6, icmp header.ICMPv6) uint16 {
	const addressesBegin, addressesEnd = 8, 40
	sum := checksum.Checksum(ip[addressesBegin:addressesEnd], uint16(len(icmp)))
	sum = checksum.Combine(sum, uint16(header.ICMPv6ProtocolNumber))
	return checksum.Checksum(icmp, sum)
}
