// SPDX-License-Identifier: MIT

package gso

import (
	"errors"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A Sender is what a Coalescer needs of a [mytunev.Tx].
type Sender interface {
	Reserve(n int) ([]byte, error)
	WaitSpace(n int) error
	CommitVNet(n int, v mytunev.VNetHeader) error
	CommitHash(n int, v mytunev.VNetHeader, hash uint32) error
}

var _ Sender = (*mytunev.Tx)(nil)

// Flush sends everything added since the last Flush, waiting for room as
// [mytunev.Tx.WaitSpace] does. What the queue does not take as it is, a super-packet
// or a frame without its checksum, because the device was opened without
// Config.Offload or the ring is too small, Flush cuts up and completes.
//
// A frame that cannot be sent even so keeps no other back: Flush goes on, and at the
// end returns the first error of such a frame. It wraps ErrMalformed or ErrUnsupported,
// or is [mytunev.ErrTooLong]. Any other error is that of the queue and ends Flush at
// once. Whatever comes of it, the Coalescer is empty afterwards and the frames are the
// caller's again.
func (c *Coalescer) Flush(tx Sender) error {
	defer c.reset()
	if tx == nil && len(c.groups) > 0 {
		return errNoSender
	}
	var first error
	for i := range c.groups {
		err := c.send(tx, &c.groups[i])
		if err != nil && !refused(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// refused reports whether an error is about what was to be sent, not about the queue.
func refused(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrMalformed) || errors.Is(err, mytunev.ErrTooLong)
}

// send sends a group as one frame or, if that is refused, each of its frames complete.
func (c *Coalescer) send(tx Sender, g *group) error {
	if !c.plain {
		err := c.sendWhole(tx, g)
		if err == nil || !refused(err) {
			return err
		}
		c.plain = errors.Is(err, mytunev.ErrNotSupported)
	}
	var first error
	for at := g.first; at >= 0; at = c.frames[at].next {
		err := c.sendComplete(tx, &c.frames[at])
		if err != nil && !refused(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// sendWhole sends a group as one frame, with its VNetHeader.
func (c *Coalescer) sendWhole(tx Sender, g *group) error {
	head := &c.frames[g.first]
	size := len(head.data)
	switch {
	case size == 0:
		return errTruncated
	case g.count > 1:
		size = g.end
	}
	slot, err := reserve(tx, size)
	if err != nil {
		return err
	}
	v := head.vnet
	if g.count == 1 {
		copy(slot, head.data)
	} else {
		v = g.writeHeader(slot, head.data)
		if g.envelope != 0 {
			c.envelopes[g.envelope-1].write(slot, g, &v)
		}
		c.gather(g, slot[g.p.payload:])
	}
	return head.commit(tx, size, v)
}

// sendComplete sends what a frame stands for, with nothing left to do.
func (c *Coalescer) sendComplete(tx Sender, f *held) error {
	s := &c.splitter
	if err := s.Reset(c.mode, f.data, f.vnet); err != nil {
		return err
	}
	for s.Frames() > 0 {
		slot, err := reserve(tx, s.Size())
		if err != nil {
			return err
		}
		n, err := s.Next(slot)
		if err != nil {
			return err
		}
		if err := f.commit(tx, n, mytunev.VNetHeader{}); err != nil {
			return err
		}
	}
	return nil
}

// commit makes a frame of n bytes of what was reserved, with f's hash.
func (f *held) commit(tx Sender, n int, v mytunev.VNetHeader) error {
	if f.hashValid {
		return tx.CommitHash(n, v, f.hash)
	}
	return tx.CommitVNet(n, v)
}

// reserve waits for room if there is none.
func reserve(tx Sender, n int) ([]byte, error) {
	slot, err := tx.Reserve(n)
	if err != mytunev.ErrFull {
		return slot, err
	}
	if err := tx.WaitSpace(n); err != nil {
		return nil, err
	}
	return tx.Reserve(n)
}

// gather copies the payloads of a group one after the other.
func (c *Coalescer) gather(g *group, to []byte) {
	for at := g.first; at >= 0; at = c.frames[at].next {
		f := &c.frames[at]
		to = to[copy(to, f.data[f.payload:f.end]):]
	}
}
