// SPDX-License-Identifier: MIT

package gvisor

import (
	"encoding/binary"
	"math/bits"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// headSize is as far into a packet, in bytes, as flowOf looks: the ports behind the longest IP header.
const headSize = header.IPv4MaximumHeaderSize + 4

// flowOf returns a number that all packets of a flow have in common, and that those of different flows
// are spread over evenly: of the addresses, and the ports of TCP and UDP. It is the same for each packet of the same flow
// in every process, and 0 for what is no IP packet. The packet may end behind headSize.
//
// A fragment's is that of its addresses alone, as only the first one of a datagram has ports, and as the kernel's is;
// so is that of other protocols. The number that the stack has given to a packet (PacketBuffer.Hash) is not used: only TCP
// does so, and not for every packet of a connection.
func flowOf(packet []byte) uint32 {
	var flow mix
	switch header.IPVersion(packet) {
	case header.IPv4Version:
		if len(packet) < header.IPv4MinimumSize {
			return 0
		}
		ip := header.IPv4(packet)
		flow.add(binary.LittleEndian.Uint64(packet[12:])) // both addresses
		if whole := !ip.More() && ip.FragmentOffset() == 0; whole {
			flow.addPorts(ip.Protocol(), packet, int(ip.HeaderLength()))
		}
	case header.IPv6Version:
		if len(packet) < header.IPv6MinimumSize {
			return 0
		}
		for at := 8; at < header.IPv6MinimumSize; at += 8 {
			flow.add(binary.LittleEndian.Uint64(packet[at:]))
		}
		flow.addPorts(header.IPv6(packet).NextHeader(), packet, header.IPv6MinimumSize)
	}
	return uint32(flow)
}

// share returns which of n equal shares of all flows one is in, from 0.
func share(flow uint32, n int) int { return int(uint64(flow) * uint64(n) >> 32) }

// A mix is what has been added to it, mixed.
type mix uint64

// add mixes x in: each of its bits changes about half of those of m.
func (m *mix) add(x uint64) {
	const odd, other = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03 // without a pattern in their bits
	high, low := bits.Mul64(uint64(*m)^x^odd, other)
	*m = mix(high ^ low)
}

// addPorts mixes in the ports that begin at an offset, if the protocol has such and they are there.
func (m *mix) addPorts(protocol uint8, packet []byte, offset int) {
	isPorts := protocol == uint8(header.TCPProtocolNumber) || protocol == uint8(header.UDPProtocolNumber)
	if isPorts && len(packet) >= offset+4 {
		m.add(uint64(protocol)<<32 | uint64(binary.LittleEndian.Uint32(packet[offset:])))
	}
}
