// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Joining within tunnels. What tells a flow is still the outermost header, so that a
// super-packet of a tunnel is made of frames that follow each other in the tunnel's own
// flow too, whatever else it carries. Tunnels choose their source port by the flow
// within, to be spread over paths and queues, so that there is mostly one.

// An envelope is what is known of the headers around the packets of a group.
type envelope struct {
	packet           // of the first frame, as if the tunnel's header were UDP's payload
	step        int  // by which its IPv4 identification grows; -1 while unknown
	hasChecksum bool // the UDP header has
}

// JoinTunnels makes c join TCP and UDP packets within VXLAN and Geneve too, from the next
// Add on. What it sends then has [mytunev.GSOUDPTunnelIPv4] or GSOUDPTunnelIPv6 in its
// GSOType: the device must be one that takes this, for it drops what it does not know.
//
// Tunnels are known by the destination port, as their receivers know them. A datagram to
// such a port that is something else, and looks like a tunnel's in every header and
// checksum, comes through unharmed wherever the super-packet is cut up again; the kernel's
// own tunnels take it whole. But a socket would get it whole as well. So leave out the
// ports on which a program behind the device receives tunnels itself.
func (c *Coalescer) JoinTunnels(t TunnelConfig) { c.tunnels = t.withDefaults() }

// placeWithin is place for a frame with this outer header if it is a tunnel's and can be
// joined with others. If not, it reports false.
func (c *Coalescer) placeWithin(bucket int, outer *packet) bool {
	f := &c.frames[len(c.frames)-1]
	var p packet
	if outer.proto != protoUDP || !c.tunnels.parseWithin(&p, outer, f.data) {
		return false
	}
	e := envelope{packet: *outer, step: -1, hasChecksum: outer.hasChecksum(f.data, f.vnet)}
	if e.hasChecksum && !c.tunnels.Checksum || !e.joinable(f.data, f.vnet, &p) {
		return false
	}
	f.payload, f.end = p.payload, p.end
	if g := c.find(bucket, f.data, outer); g != nil {
		if step, ok := c.takesWithin(g, f.data, &e, &p); ok {
			c.join(g, &p, step)
			return true
		}
	}
	c.envelopes = append(c.envelopes, e)
	c.begin(bucket, &p, true).envelope = len(c.envelopes)
	return true
}

// outermost is what tells the flow of a group.
func (c *Coalescer) outermost(g *group) *packet {
	if g.envelope != 0 {
		return &c.envelopes[g.envelope-1].packet
	}
	return &g.p
}

// hasChecksum reports whether a UDP header has a checksum, or is to get one.
func (p *packet) hasChecksum(frame []byte, v mytunev.VNetHeader) bool {
	return p.isUndone(v) || header.UDP(frame[p.l4:]).Checksum() != 0
}

// joinable reports whether a packet within a tunnel may be part of a super-packet at all,
// as far as the frame alone can tell.
func (e *envelope) joinable(frame []byte, v mytunev.VNetHeader, p *packet) bool {
	within := v // as far as it is about p
	if !p.isUndone(v) {
		within.Flags &^= mytunev.VNetNeedsChecksum
	}
	return e.plainIP(frame) && p.joinable(frame, within) && e.sound(frame, v, p)
}

// sound reports whether the checksums of both headers, if there are two, are right or are
// to be computed. While the inner one is to be computed, the outer one is that of a frame
// where it has been.
func (e *envelope) sound(frame []byte, v mytunev.VNetHeader, p *packet) bool {
	const valid = mytunev.VNetDataValid | mytunev.VNetUDPTunnelChecksum
	switch {
	case p.isUndone(v):
		return e.soundAround(frame, p)
	case e.isUndone(v):
		return p.sound(frame, mytunev.VNetHeader{})
	case v.Flags&mytunev.VNetNeedsChecksum != 0:
		return false
	case v.Flags&valid == valid:
		return true
	}
	return p.sound(frame, mytunev.VNetHeader{}) && (v.Flags&mytunev.VNetDataValid != 0 || e.soundAround(frame, p))
}

// soundAround reports whether the outer checksum is right if the inner one is.
func (e *envelope) soundAround(frame []byte, p *packet) bool {
	return !e.hasChecksum || e.sumAround(frame, p, e.end) == 0xFFFF
}

// takesWithin is takes for a packet within a tunnel, whose envelope it then counts.
func (c *Coalescer) takesWithin(g *group, frame []byte, e *envelope, p *packet) (step int, ok bool) {
	if g.envelope == 0 {
		return 0, false
	}
	t, head := &c.envelopes[g.envelope-1], c.frames[g.first].data
	if t.hasChecksum != e.hasChecksum || !g.hasRoom(t.l3, p) ||
		!bytes.Equal(head[:t.l3], frame[:e.l3]) ||
		!bytes.Equal(head[t.payload:g.p.l3], frame[e.payload:p.l3]) ||
		!sameFlow(head, &g.p, frame, p) {
		return 0, false
	}
	outer, ok := sameIP(head, &t.packet, frame, &e.packet, t.step, g.count)
	if !ok {
		return 0, false
	}
	if step, ok = g.continuedBy(head, frame, p); ok {
		t.step = outer
	}
	return step, ok
}

// write completes the super-packet that g.writeHeader began, and v, with what a tunnel
// needs.
func (e *envelope) write(slot []byte, g *group, v *mytunev.VNetHeader) {
	e.setLength(slot, g.end)
	v.OuterTHOffset, v.InnerNHOffset = uint16(e.l4), uint16(g.p.l3)
	v.GSOType |= mytunev.GSOUDPTunnelIPv4
	if e.v6 {
		v.GSOType ^= tunnelTypes
	}
	var sum uint16
	if e.hasChecksum {
		v.Flags |= mytunev.VNetUDPTunnelChecksum
		sum = e.pseudo(slot, g.end-e.l4)
	}
	checksum.Put(slot[e.l4+udpChecksum:], sum)
}
