// SPDX-License-Identifier: MIT

package gvisor

import (
	"encoding/binary"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A lockedWait is an endpoint that tells when the stack, which has its lock then, waits for it.
type lockedWait struct {
	*Endpoint
	waits chan struct{}
}

func (e lockedWait) Wait() {
	close(e.waits)
	e.Endpoint.Wait()
}

// datagramTo is the address that a datagram is for.
var datagramTo = tcpip.AddrFrom4([4]byte{10, 1, 1, 1})

// datagram is an IPv4 packet of UDP that a stack takes.
func datagram() []byte {
	p := kind{protocol: udpProtocol, host: 2, ports: [2]uint16{1, 2}}.packet("....data") // length and checksum, of which there is none
	binary.BigEndian.PutUint16(p[header.IPv4MinimumSize+4:], uint16(len(p)-header.IPv4MinimumSize))
	binary.BigEndian.PutUint16(p[header.IPv4MinimumSize+6:], 0)
	ip := header.IPv4(p)
	ip.SetChecksum(^ip.CalculateChecksum())
	return p
}

// TestDestroyWhileAPacketIsDelivered: a packet on its way needs the lock that the stack waits with.
func TestDestroyWhileAPacketIsDelivered(t *testing.T) {
	waits := make(chan struct{})
	h := newHostWith(t, mytunev.Config{Queues: 2}, datagramTo, func(e *Endpoint) stack.LinkEndpoint { return lockedWait{e, waits} })
	delivered := make(chan struct{})
	h.stack.SetTransportProtocolHandler(udpProtocol, func(stack.TransportEndpointID, *stack.PacketBuffer) bool {
		close(delivered)
		<-waits
		h.stack.HasNIC(nic)
		return true
	})
	if err := h.kernel.Send(0, datagram()); err != nil {
		t.Fatal(err)
	}
	<-delivered
	h.stack.Destroy()
}

// A slow dispatcher tells of each packet, by its second byte, and then waits.
type slow struct {
	stack.NetworkDispatcher
	got  chan byte
	wait chan struct{}
}

func (d slow) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, p *stack.PacketBuffer) {
	d.got <- p.AsSlices()[0][1]
	<-d.wait
}

// TestDetachAmidABatch: what the dispatcher has not got yet is the next one's.
func TestDetachAmidABatch(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.endpoint.Attach(nil)
	for i := range byte(3) {
		if err := h.kernel.Send(0, []byte{0x60, i}); err != nil {
			t.Fatal(err)
		}
	}
	first := slow{got: make(chan byte, 3), wait: make(chan struct{})}
	h.endpoint.Attach(first)
	if got := <-first.got; got != 0 {
		t.Errorf("packet %d came first", got)
	}
	second := slow{got: make(chan byte, 3), wait: make(chan struct{})}
	close(second.wait)
	h.endpoint.Attach(second)
	close(first.wait)
	for want := byte(1); want < 3; want++ {
		if got := <-second.got; got != want {
			t.Errorf("packet %d, want %d", got, want)
		}
	}
	if len(first.got) != 0 {
		t.Error("the first dispatcher has got more")
	}
}
