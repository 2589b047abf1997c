// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Segments are so many TCP segments of one connection, in sequence, each with
// size bytes of payload, as a file takes them that was asked for many frames a
// call. They are whole, their checksums too, so that GRO can merge them. Nobody
// listens for the connection.
func (l *Link) Segments(ipv6 bool, size, count int) (records []byte) {
	p := &TCPPeer{Link: l, IPv6: ipv6, source: 5555, destination: 5556, sequence: 1, ack: 1}
	payload := Pattern(1, size)
	for range count {
		frame := p.frame(header.TCPFlagAck, payload, false)
		p.sequence += uint32(size)
		records = append(records, Record(Header{Length: uint32(len(frame))}, frame)...)
	}
	return records
}
