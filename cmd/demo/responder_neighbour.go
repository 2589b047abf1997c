// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Sizes within a neighbour solicitation or advertisement (RFC 4861), which are
// the same.
const (
	neighbourBody   = header.ICMPv6HeaderSize
	neighbourSize   = header.ICMPv6NeighborSolicitMinimumSize // without options
	linkOptionSize  = 8                                       // type, length, Ethernet address
	linkOptionUnits = linkOptionSize / 8

	targetLinkOption = 2                  // type of the option with the target's address
	neighbourHops    = header.NDPHopLimit // proves that a message comes from the same link
)

// isSolicitation reports whether packet, valid or not, looks like a neighbour
// solicitation.
func isSolicitation(packet []byte) bool {
	return len(packet) >= header.IPv6MinimumSize+neighbourSize &&
		header.IPv6(packet).TransportProtocol() == header.ICMPv6ProtocolNumber &&
		header.ICMPv6(packet[header.IPv6MinimumSize:]).Type() == header.ICMPv6NeighborSolicit
}

// answerSolicitation turns a neighbour solicitation for one of the demo's
// addresses into an advertisement. The one option of the answer takes the place
// of the question's options. A question without any is answered without, which
// is allowed if it was not sent to a group; one from the unspecified address,
// duplicate address detection, is left alone, as ARP probes are.
func (r *responder) answerSolicitation(ip header.IPv6, icmp header.ICMPv6) (int, verdict) {
	if ip.HopLimit() != neighbourHops || len(icmp) < neighbourSize || !validOptions(icmp[neighbourSize:]) {
		return 0, ignoredInvalid
	}
	from, to := addresses6(ip)
	asked := netip.AddrFrom16([16]byte(icmp[neighbourSize-16 : neighbourSize]))
	withOption := len(icmp) > neighbourSize
	switch {
	case !r.answersFor(asked) || !r.isHost(from):
		return 0, ignoredAddress
	case to.IsMulticast() && !withOption:
		return 0, ignoredInvalid
	case sum6(ip, icmp) != validSum:
		return 0, ignoredChecksum
	}
	icmp = icmp[:neighbourSize]
	if withOption {
		icmp = icmp[:neighbourSize+linkOptionSize]
		option := icmp[neighbourSize:]
		option[0], option[1] = targetLinkOption, linkOptionUnits
		copy(option[2:], r.mac[:])
	}
	advertise(ip, icmp)
	return header.IPv6MinimumSize + len(icmp), solicitation
}

// advertise fills in all of an advertisement but its target and its options.
func advertise(ip header.IPv6, icmp header.ICMPv6) {
	copy(ip.DestinationAddressSlice(), ip.SourceAddressSlice())
	copy(ip.SourceAddressSlice(), icmp[neighbourSize-16:neighbourSize])
	ip.SetPayloadLength(uint16(len(icmp)))
	icmp.SetType(header.ICMPv6NeighborAdvert)
	clear(icmp[neighbourBody : neighbourSize-16])
	advert := header.NDPNeighborAdvert(icmp.MessageBody())
	advert.SetSolicitedFlag(true)
	advert.SetOverrideFlag(true)
	icmp.SetChecksum(0)
	icmp.SetChecksum(^sum6(ip, icmp))
}

// validOptions reports whether options follow each other to the very end.
func validOptions(options []byte) bool {
	for len(options) > 0 {
		if len(options) < linkOptionSize {
			return false
		}
		n := int(options[1]) * 8
		if n == 0 || n > len(options) {
			return false
		}
		options = options[n:]
	}
	return true
}
