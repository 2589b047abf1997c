// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// answerARP answers the question for the Ethernet address of one of the demo's
// addresses. Probes, which come from no address, are left alone: whoever wants
// to give the interface one more address of the subnet shall succeed.
func (r *responder) answerARP(packet []byte) (int, verdict) {
	arp := header.ARP(packet)
	switch {
	case !arp.IsValid():
		return 0, ignoredInvalid
	case arp.Op() != header.ARPRequest:
		return 0, ignoredOther
	}
	asker := netip.AddrFrom4([4]byte(arp.ProtocolAddressSender()))
	asked := netip.AddrFrom4([4]byte(arp.ProtocolAddressTarget()))
	if !r.answersFor(asked) || !r.isHost(asker) || asked == asker {
		return 0, ignoredAddress
	}
	arp.SetOp(header.ARPReply)
	swap(arp.ProtocolAddressSender(), arp.ProtocolAddressTarget())
	copy(arp.HardwareAddressTarget(), arp.HardwareAddressSender())
	copy(arp.HardwareAddressSender(), r.mac[:])
	return header.ARPSize, arpRequest
}
