// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// validSum is the sum over data that contains its own, right, Internet checksum.
const validSum = 0xffff

// answerIPv4 answers an ICMP echo request. Left alone are fragments, which the
// demo would have to collect, and packets with IP options, of which some want to
// be reversed or filled in.
func (r *responder) answerIPv4(packet []byte) (int, verdict) {
	ip := header.IPv4(packet)
	if !ip.IsValid(len(packet)) {
		return 0, ignoredInvalid
	}
	from, to := addresses4(ip)
	switch {
	case !ip.IsChecksumValid():
		return 0, ignoredChecksum
	case !r.answersFor(to) || !r.isHost(from):
		return 0, ignoredAddress
	case ip.TransportProtocol() != header.ICMPv4ProtocolNumber:
		return 0, ignoredOther
	case ip.More() || ip.FragmentOffset() != 0 || ip.HeaderLength() != header.IPv4MinimumSize:
		return 0, ignoredExtended
	}
	ip = ip[:ip.TotalLength()]
	if v := answerEcho4(header.ICMPv4(ip[header.IPv4MinimumSize:])); v != echo4 {
		return 0, v
	}
	swap(ip[12:16], ip[16:20])
	ip.SetTTL(hopLimit)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	return len(ip), echo4
}

// answerEcho4 turns an echo request into a reply. Only the type changes: the
// checksum is adjusted, not computed (RFC 1624, equation 3), unless it comes out
// as 0. That is the sum of data that add up to -0, and an adjustment cannot tell
// those from data that are all 0, with the sum 0xffff.
func answerEcho4(icmp header.ICMPv4) verdict {
	switch {
	case len(icmp) < header.ICMPv4MinimumSize:
		return ignoredInvalid
	case icmp.Type() != header.ICMPv4Echo || icmp.Code() != 0:
		return ignoredOther
	case checksum.Checksum(icmp, 0) != validSum:
		return ignoredChecksum
	}
	const change = ^(uint16(header.ICMPv4Echo) << 8) & 0xffff // -old + new, new being 0
	icmp.SetType(header.ICMPv4EchoReply)
	icmp.SetChecksum(^checksum.Combine(^icmp.Checksum(), change))
	if icmp.Checksum() == 0 {
		icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	}
	return echo4
}

func addresses4(ip header.IPv4) (from, to netip.Addr) {
	return netip.AddrFrom4([4]byte(ip.SourceAddressSlice())),
		netip.AddrFrom4([4]byte(ip.DestinationAddressSlice()))
}

// swap exchanges two addresses, of 16 bytes at most.
func swap(a, b []byte) {
	var saved [16]byte
	n := copy(saved[:], a)
	copy(a, b)
	copy(b, saved[:n])
}
