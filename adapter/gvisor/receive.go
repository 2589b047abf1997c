// SPDX-License-Identifier: MIT

package gvisor

import (
	"context"
	"sync/atomic"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A reception is what an Attach begins: packets are handed to a dispatcher until that is stopped, or the device is of no
// more use.
type reception struct {
	dispatcher stack.NetworkDispatcher
	trusted    bool // the stack was told that it may trust checksums
	cancel     context.CancelFunc
	stopped    atomic.Bool  // no further packet is handed over
	inside     atomic.Int32 // how many queues are about to hand packets over, or do
}

// run hands packets over, for as long as there can be such, and returns why there can be none.
func (r *reception) run(ctx context.Context, dev *mytunev.Device) error {
	return dev.Run(ctx, func(b *mytunev.Batch) error {
		r.inside.Add(1)
		defer r.inside.Add(-1)
		r.deliver(b)
		return ctx.Err()
	})
}

// isAwaited reports whether run will end without the stack's help. A packet that is on its way there may need what the stack
// has locked, for who waits.
func (r *reception) isAwaited() bool { return !r.stopped.Load() || r.inside.Load() == 0 }

// deliver hands the packets of a batch to the stack, which looks at their checksums itself unless it
// was told that it may trust them. What is left when r is stopped waits in the device.
func (r *reception) deliver(b *mytunev.Batch) {
	for !r.stopped.Load() {
		f, ok := b.Next()
		if !ok {
			return
		}
		protocol, ok := protocolOf(f.Data)
		if !ok {
			continue
		}
		// a checksum that is still to be computed is that of a packet which has seen no wire
		if r.trusted && !f.NeedsChecksum() && !isSound(f.Data) {
			continue
		}
		// the stack may keep it, and the ring takes it back
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f.Data)})
		r.dispatcher.DeliverNetworkPacket(protocol, p)
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
