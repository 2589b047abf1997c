// SPDX-License-Identifier: MIT

package gvisor

import (
	"errors"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// WritePackets sends packets, and waits for room in the ring. It returns how many were sent.
func (e *Endpoint) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	sent := 0
	err := e.queue.SendBatch(func(tx *mytunev.Tx) error {
		for _, p := range packets.AsSlice() {
			if err := e.send(tx, p); err != nil {
				return err
			}
			sent++
		}
		return nil
	})
	return sent, tcpipError(err)
}

// send puts a packet into the ring.
func (e *Endpoint) send(tx *mytunev.Tx, p *stack.PacketBuffer) error {
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
	for _, part := range p.AsSlices() {
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
