// SPDX-License-Identifier: MIT

package gso

import (
	"github.com/mytun/mytun/pkg/mytunev"
)

const (
	bucketBits = 6

	// maxSearch is how many groups of a bucket are looked at. A flow whose
	// group lies behind these begins a new one.
	maxSearch = 8
)

// A Coalescer joins frames of the same TCP or UDP flow into super-packets. Add it
// each frame of a batch, then Flush: each payload is copied once, into the ring.
//
//	c := gso.NewCoalescer(mytunev.TUN)
//	for {
//		for _, frame := range receiveBatch() {
//			c.Add(frame, mytunev.VNetHeader{})
//		}
//		if err := queue.SendBatch(func(tx *mytunev.Tx) error { return c.Flush(tx) }); err != nil {
//			return err
//		}
//	}
//
// Frames of a flow keep their order; those of different flows may change places.
// A flow is what has the same IP addresses, protocol and ports. A super-packet,
// when cut up again, is what was joined: same headers, consecutive TCP sequence
// numbers, payloads of one length but for the last, checksums that were right.
// One thing may differ: IPv4 packets that must not be fragmented and that all had
// the same identification, which means nothing in them (RFC 6864), have
// consecutive ones. Anything else goes through as it came, in frames of its own.
// A frame whose flow cannot be told ends all super-packets before it: a fragment,
// one that is malformed or encrypted, one with an extension header or more than
// one VLAN tag, behind which this package does not look.
//
// Within UDP tunnels it joins if JoinTunnels asks for it. What is a flow stays the same:
// the outer addresses and ports.
//
// The device should have been opened with Config.Offload: to one that was not, all
// frames go one by one, with nothing left to do. A Coalescer allocates nothing once
// it has seen its longest batch, and belongs to one goroutine at a time. The zero
// value is for a TUN device.
type Coalescer struct {
	mode    mytunev.Mode
	frames  []held
	groups  []group
	barrier int                  // groups before are complete
	buckets [1 << bucketBits]int // 1 + newest group, 0 for none

	tunnels   *TunnelConfig // nil unless tunnels are looked into
	envelopes []envelope    // of groups of tunnels

	plain    bool // during Flush: what it sends to knows no VNetHeader
	splitter Splitter
}

// A held frame waits for Flush.
type held struct {
	data         []byte
	vnet         mytunev.VNetHeader
	payload, end int // where the payload is, in a packet that was parsed
	next         int // the next frame of the group, or -1
	hash         uint32
	hashValid    bool
}

// NewCoalescer returns a Coalescer for frames of a TUN or a TAP device.
func NewCoalescer(mode mytunev.Mode) *Coalescer {
	return &Coalescer{mode: mode}
}

// Add takes one frame, on loan until Flush returns. v is the frame's VNetHeader,
// zero for a frame that came off a wire. It says if the checksum is still to be
// computed or known to be right; if it says neither, Add computes the sum of the
// frame, and does not join a frame whose checksum is wrong.
func (c *Coalescer) Add(frame []byte, v mytunev.VNetHeader) {
	c.frames = append(c.frames, held{data: frame, vnet: v, next: -1})
	c.place()
}

// AddFrame is Add for a frame that came from a queue, whose hash it keeps. The frame
// must be sent before the Handler that got it returns.
func (c *Coalescer) AddFrame(f mytunev.Frame) {
	c.frames = append(c.frames, held{data: f.Data, vnet: f.VNet(), next: -1, hash: f.Hash, hashValid: f.HashValid})
	c.place()
}

// Len returns how many frames Flush would send now, super-packets counting as one,
// if the device takes them.
func (c *Coalescer) Len() int { return len(c.groups) }

// place finds a group for the frame that was added last.
func (c *Coalescer) place() {
	f := &c.frames[len(c.frames)-1]
	var p packet
	if err := p.parse(c.mode, f.data); err != nil {
		c.placeAlone()
		if err != errProtocol { // which is of none of the flows that are joined
			c.barrier = len(c.groups)
		}
		return
	}
	f.payload, f.end = p.payload, p.end
	bucket := p.bucket(f.data)
	if c.tunnels != nil && c.placeWithin(bucket, &p) {
		return
	}
	joinable := p.joinable(f.data, f.vnet) && p.sound(f.data, f.vnet)
	if g := c.find(bucket, f.data, &p); g != nil && joinable && g.envelope == 0 {
		if step, ok := g.takes(c.frames[g.first].data, f.data, &p); ok {
			c.join(g, &p, step)
			return
		}
	}
	c.begin(bucket, &p, joinable)
}

// placeAlone makes a group of the last frame that nothing can be added to.
func (c *Coalescer) placeAlone() *group {
	at := len(c.frames) - 1
	c.groups = append(c.groups, group{first: at, last: at, count: 1})
	return &c.groups[len(c.groups)-1]
}

// find returns the newest group of a packet's flow, or nil if there is none to
// which something may still be added.
func (c *Coalescer) find(bucket int, frame []byte, p *packet) *group {
	at := c.buckets[bucket] - 1
	for range maxSearch {
		if at < c.barrier {
			return nil
		}
		g := &c.groups[at]
		if sameFlow(c.frames[g.first].data, c.outermost(g), frame, p) {
			return g
		}
		at = g.next
	}
	return nil
}

// begin makes a group of the last frame, the newest of its flow.
func (c *Coalescer) begin(bucket int, p *packet, open bool) *group {
	g := c.placeAlone()
	g.p, g.size, g.end, g.step = *p, p.end-p.payload, p.end, -1
	g.open = open && !ends(c.frames[g.first].data, p)
	g.next = c.buckets[bucket] - 1
	c.buckets[bucket] = len(c.groups)
	return g
}

// join adds the last frame to g, which takes it.
func (c *Coalescer) join(g *group, p *packet, step int) {
	at := len(c.frames) - 1
	frame := c.frames[at].data
	c.frames[g.last].next = at
	g.last = at
	g.count++
	g.step = step
	size := p.end - p.payload
	g.end += size
	if p.proto == protoTCP {
		g.flags |= tcpFlags(frame, p) & tcpEnds
	}
	g.open = size == g.size && !ends(frame, p)
}

// reset lets go of all frames.
func (c *Coalescer) reset() {
	clear(c.frames)
	c.frames = c.frames[:0]
	c.groups = c.groups[:0]
	c.envelopes = c.envelopes[:0]
	c.barrier = 0
	clear(c.buckets[:])
	c.plain = false
	c.splitter = Splitter{}
}
