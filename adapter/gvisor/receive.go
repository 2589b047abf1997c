// SPDX-License-Identifier: MIT

package gvisor

import (
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// deliver hands the packets of a batch to the stack, which looks at their checksums itself unless it
// was told that it may trust them.
func deliver(dispatcher stack.NetworkDispatcher, b *mytunev.Batch, trusted bool) {
	for f := range b.Frames() {
		protocol, ok := protocolOf(f.Data)
		if !ok {
			continue
		}
		// a checksum that is still to be computed is that of a packet which has seen no wire
		if trusted && !f.NeedsChecksum() && !isSound(f.Data) {
			continue
		}
		// the stack may keep it, and the ring takes it back
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f.Data)})
		dispatcher.DeliverNetworkPacket(protocol, p)
		p.DecRef()
	}
}

func protocolOf(packet []byte) (tcpip.NetworkProtocolNumber, bool) {
	switch header.IPVersion(packet) {
	case header.IPv4Version:
		return header.IPv4ProtocolNumber, true
	case header.IPv6Version:
		return header.IPv6ProtocolNumber, true
	}
	return 0, false
}
