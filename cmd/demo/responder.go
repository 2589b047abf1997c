// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A verdict says what became of a frame.
type verdict int

// Verdicts. The first four mean that the frame was turned into its answer.
const (
	echo4           verdict = iota // IPv4 echo request
	echo6                          // IPv6 echo request
	arpRequest                     // ARP request
	solicitation                   // neighbour solicitation
	ignoredOther                   // something else, which the demo does not answer
	ignoredAddress                 // not for an address that the demo answers for
	ignoredExtended                // a fragment, or with IP options or extension headers
	ignoredChecksum                // a checksum is wrong
	ignoredInvalid                 // too short, or lengths that contradict each other
	verdicts                       // how many there are
)

// echo reports whether an echo request was answered.
func (v verdict) echo() bool { return v == echo4 || v == echo6 }

// answered reports whether the frame was turned into its answer.
func (v verdict) answered() bool { return v < ignoredOther }

// hopLimit is the IPv4 TTL and the IPv6 hop limit of the answers.
const hopLimit = 64

// responderMAC is the Ethernet address of all the demo's addresses: locally
// administered, and "mytun" for the rest.
var responderMAC = [6]byte{0x02, 'm', 'y', 't', 'u', 'n'}

// A responder answers for every address of up to two subnets. It has no state:
// its methods are pure functions of the frame and safe for concurrent use.
type responder struct {
	tap  bool
	mac  [6]byte      // of the demo, on a TAP device
	net4 netip.Prefix // the interface's own address and its subnet, or zero
	net6 netip.Prefix
}

// answer turns frame into its answer, in place, and returns the length of the
// answer, which is never longer than frame. If it is zero, there is no answer
// and frame is as it was.
func (r *responder) answer(frame []byte) (int, verdict) {
	if r.tap {
		return r.answerEthernet(frame)
	}
	if len(frame) == 0 {
		return 0, ignoredInvalid
	}
	switch header.IPVersion(frame) {
	case header.IPv4Version:
		return r.answerIPv4(frame)
	case header.IPv6Version:
		return r.answerIPv6(frame)
	}
	return 0, ignoredInvalid
}

// answerEthernet answers what is inside the frame and sends it back to where it
// came from.
func (r *responder) answerEthernet(frame []byte) (int, verdict) {
	if len(frame) < header.EthernetMinimumSize {
		return 0, ignoredInvalid
	}
	to, from := frame[0:6], frame[6:12]
	forMe := bytes.Equal(to, r.mac[:])
	if !forMe && to[0]&1 == 0 { // nor for a group
		return 0, ignoredAddress
	}
	n, v := r.answerPayload(frame, forMe)
	if n == 0 {
		return 0, v
	}
	copy(to, from)
	copy(from, r.mac[:])
	return header.EthernetMinimumSize + n, v
}

// answerPayload answers the payload of an Ethernet frame. Questions about
// addresses come to groups; all else must be addressed to the demo.
func (r *responder) answerPayload(frame []byte, forMe bool) (int, verdict) {
	payload := frame[header.EthernetMinimumSize:]
	switch header.Ethernet(frame).Type() {
	case header.ARPProtocolNumber:
		return r.answerARP(payload)
	case header.IPv4ProtocolNumber:
		if forMe {
			return r.answerIPv4(payload)
		}
	case header.IPv6ProtocolNumber:
		if forMe || isSolicitation(payload) {
			return r.answerIPv6(payload)
		}
	}
	return 0, ignoredOther
}

// answersFor reports whether a is one of the demo's addresses: one of its
// subnets', but neither the interface's own nor IPv4's broadcast address.
func (r *responder) answersFor(a netip.Addr) bool {
	subnet := r.net6
	if a.Is4() {
		subnet = r.net4
	}
	return subnet.Contains(a) && a != subnet.Addr() && !isBroadcast(subnet, a)
}

// isBroadcast reports whether a is the last address of an IPv4 subnet that has
// room for a broadcast address.
func isBroadcast(subnet netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || subnet.Bits() > 30 {
		return false
	}
	return !subnet.Contains(a.Next())
}

// isHost reports whether a can be answered: it is one host's address.
func (r *responder) isHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) &&
		!(r.net4.Contains(a) && isBroadcast(r.net4, a))
}

// example returns an address of subnet that is answered for.
func (r *responder) example(subnet netip.Prefix) netip.Addr {
	first := subnet.Masked().Addr()
	second := first.Next()
	for _, a := range []netip.Addr{second, second.Next()} {
		if r.answersFor(a) {
			return a
		}
	}
	return first
}
