// SPDX-License-Identifier: MIT

package gso

import "gvisor.dev/gvisor/pkg/tcpip/header"

// What may stand between an IP header and that of TCP or UDP, or in its place.

const (
	hopByHop           = uint8(header.IPv6HopByHopOptionsExtHdrIdentifier)
	destinationOptions = uint8(header.IPv6DestinationOptionsExtHdrIdentifier)

	// Options of IPv4.
	endOfOptions = 0
	noOperation  = 1
	looseRoute   = 131
	strictRoute  = 137

	// Options of IPv6.
	pad1        = 0
	homeAddress = 0xC9
)

// otherProtocol returns the error about a packet of neither TCP nor UDP. Of the
// protocols that are known, no packet is one of a TCP or UDP flow. Behind any other
// number there may be a TCP header, as behind that of AH, or it may be encrypted.
func otherProtocol(proto uint8) error {
	const (
		icmp, igmp, ipInIP, dccp, ipv6InIP = 1, 2, 4, 33, 41
		gre, icmpv6, none, sctp, udpLite   = 47, 58, 59, 132, 136
	)
	switch proto {
	case icmp, igmp, ipInIP, dccp, ipv6InIP, gre, icmpv6, none, sctp, udpLite:
		return errProtocol
	}
	return errUnknown
}

// skipExtensions steps over those extension headers that are the same in every
// segment and leave the pseudo header alone. A routing header does not.
func (p *packet) skipExtensions(frame []byte) error {
	for p.proto == hopByHop || p.proto == destinationOptions {
		const unit = 8
		if p.end-p.l4 < unit {
			return errTruncated
		}
		size := (int(frame[p.l4+1]) + 1) * unit
		if p.end-p.l4 < size {
			return errTruncated
		}
		if err := checkOptions6(frame[p.l4+2 : p.l4+size]); err != nil {
			return err
		}
		p.proto = frame[p.l4]
		p.l4 += size
	}
	switch p.proto {
	case uint8(header.IPv6FragmentExtHdrIdentifier):
		return errFragment
	case uint8(header.IPv6RoutingExtHdrIdentifier):
		return errRouting
	}
	return nil
}

// checkOptions4 refuses a source route: the destination in the pseudo header is the
// last one, not that of the header.
func checkOptions4(options []byte) error {
	for len(options) > 0 {
		size := 1
		switch options[0] {
		case endOfOptions:
			return nil
		case looseRoute, strictRoute:
			return errRouting
		case noOperation:
		default:
			if len(options) < 2 {
				return errTruncated
			}
			if size = int(options[1]); size < 2 || size > len(options) {
				return errLength
			}
		}
		options = options[size:]
	}
	return nil
}

// checkOptions6 refuses a home address: it is the source in the pseudo header.
func checkOptions6(options []byte) error {
	for len(options) > 0 {
		size := 1
		switch options[0] {
		case homeAddress:
			return errRouting
		case pad1:
		default:
			if len(options) < 2 {
				return errTruncated
			}
			if size = 2 + int(options[1]); size > len(options) {
				return errLength
			}
		}
		options = options[size:]
	}
	return nil
}
