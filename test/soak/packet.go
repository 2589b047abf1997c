// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The addresses of both sides.
var (
	hostAddress = tcpip.AddrFrom4([4]byte{10, 98, 0, 1})
	peerAddress = tcpip.AddrFrom4([4]byte{10, 98, 0, 2})
)

const (
	hostPrefix = "10.98.0.1/24"
	headers    = header.IPv4MinimumSize + header.UDPMinimumSize
	mtu        = labelSize + maxPayload + headers
)

// putHeaders makes a datagram of a flow from the worker to the host of frame, whose
// payload is there already.
func putHeaders(frame []byte, flow int) {
	ip := header.IPv4(frame)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(frame)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber),
		Flags: header.IPv4FlagDontFragment, SrcAddr: peerAddress, DstAddr: hostAddress,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	// without a checksum: the pattern is a better one
	header.UDP(frame[header.IPv4MinimumSize:]).Encode(&header.UDPFields{
		SrcPort: uint16(peerPorts + flow), DstPort: uint16(hostPorts + flow),
		Length: uint16(len(frame) - header.IPv4MinimumSize),
	})
}

var errForeign = errors.New("a frame that the host did not send")

// payloadOf returns what a datagram of the host carries, and for which port.
func payloadOf(frame []byte) (payload []byte, port int, err error) {
	ip := header.IPv4(frame)
	if len(frame) < headers || !ip.IsValid(len(frame)) || !ip.IsChecksumValid() ||
		ip.Protocol() != uint8(header.UDPProtocolNumber) ||
		ip.SourceAddress() != hostAddress || ip.DestinationAddress() != peerAddress {
		return nil, 0, errForeign
	}
	udp := header.UDP(ip.Payload())
	if len(udp) < header.UDPMinimumSize || int(udp.Length()) != len(udp) {
		return nil, 0, errForeign
	}
	return udp.Payload(), int(udp.DestinationPort()), nil
}
