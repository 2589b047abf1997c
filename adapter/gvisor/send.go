// SPDX-License-Identifier: MIT

package gvisor

import (
	"errors"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// WritePackets sends packets, and waits for room in the ring. All packets of a flow go by the same queue of the device,
// so they stay in order; those of different flows are spread over all queues, and who sends by one does not wait for who
// sends by another. It returns how many were sent.
func (e *Endpoint) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	w := writing{endpoint: e, left: packets.AsSlice()}
	w.look()
	for len(w.left) > 0 {
		if err := w.queue.SendBatch(w.sendRun); err != nil {
			return w.sent, tcpipError(err)
		}
	}
	return w.sent, nil
}

// A writing is one WritePackets.
type writing struct {
	endpoint *Endpoint
	left     []*stack.PacketBuffer // to be sent
	parts    [][]byte              // of the first one of these
	queue    *mytunev.Queue        // that it goes by
	sent     int
}

// look finds out about the packet that is the first of those left.
func (w *writing) look() {
	if len(w.left) == 0 {
		return
	}
	w.parts = w.left[0].AsSlices()
	w.queue = w.endpoint.queueOf(w.parts)
}

// sendRun sends the packets up to the first that goes by another queue.
func (w *writing) sendRun(tx *mytunev.Tx) error {
	for queue := w.queue; len(w.left) > 0 && w.queue == queue; {
		if err := w.endpoint.send(tx, w.left[0], w.parts); err != nil {
			return err
		}
		w.sent++
		w.left = w.left[1:]
		w.look()
	}
	return nil
}

// queueOf chooses the queue for a packet.
func (e *Endpoint) queueOf(parts [][]byte) *mytunev.Queue {
	queues := e.dev.Queues()
	if len(queues) == 1 {
		return queues[0]
	}
	var head [headSize]byte
	n := 0
	for i := 0; i < len(parts) && n < headSize; i++ {
		n += copy(head[n:], parts[i])
	}
	return queues[share(flowOf(head[:n]), len(queues))]
}

// send puts a packet, which has these parts, into the ring.
func (e *Endpoint) send(tx *mytunev.Tx, p *stack.PacketBuffer, parts [][]byte) error {
	size := p.Size()
	slot, err := tx.Reserve(size)
	if err == mytunev.ErrFull {
		if err = tx.WaitSpace(size); err == nil {
			slot, err = tx.Reserve(size)
		}
	}
	if err != nil {
		return err
	}
	rest := slot
	for _, part := range parts {
		rest = rest[copy(rest, part):]
	}
	if !e.offload {
		return tx.Commit(size)
	}
	return tx.CommitVNet(size, vnetOf(p))
}

// vnetOf says what the stack has left to do to a packet.
func vnetOf(p *stack.PacketBuffer) (v mytunev.VNetHeader) {
	gso := &p.GSOOptions
	if gso.Type == stack.GSONone {
		return v
	}
	if gso.NeedsCsum {
		v.Flags = mytunev.VNetNeedsChecksum
		v.CsumStart, v.CsumOffset = gso.L3HdrLen, gso.CsumOffset
	}
	if p.Data().Size() <= int(gso.MSS) {
		return v
	}
	switch gso.Type {
	case stack.GSOTCPv4:
		v.GSOType = mytunev.GSOTCPv4
	case stack.GSOTCPv6:
		v.GSOType = mytunev.GSOTCPv6
	}
	v.HdrLen, v.GSOSize = uint16(p.HeaderSize()), gso.MSS
	return v
}

// tcpipError is the stack's name for an error.
func tcpipError(err error) tcpip.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mytunev.ErrTooLong):
		return &tcpip.ErrMessageTooLong{}
	case errors.Is(err, mytunev.ErrClosed), errors.Is(err, mytunev.ErrDetached):
		return &tcpip.ErrClosedForSend{}
	}
	return &tcpip.ErrAborted{}
}
