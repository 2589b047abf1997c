// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"encoding/binary"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The rules of joining are those of the kernel's GRO: what comes out, when cut up
// again, must be what came in. There is one exception. Many senders give all IPv4
// packets that must not be fragmented the same identification, often 0. GRO
// remembers that beside the super-packet; a VNetHeader has no place for it, so that
// they come out counted. It is the one field that nobody may look at (RFC 6864).

// maxSegments is the number of UDP datagrams that every kernel takes in one.
const maxSegments = 64

const (
	tcpEnds  = header.TCPFlagFin | header.TCPFlagPsh
	tcpLoner = header.TCPFlagSyn | header.TCPFlagRst | header.TCPFlagUrg
)

// A group is a super-packet that is growing, or one frame that stays alone. All its
// frames are of one flow, and consecutive in it.
type group struct {
	first, last int // of Coalescer.frames
	next        int // an older group of the same bucket, or -1
	count       int // frames
	open        bool
	p           packet // of the first frame; within the tunnel, if there is one
	size        int    // payload of each frame but the last
	end         int    // length of the super-packet
	step        int    // by which the IPv4 identification grows; -1 while unknown
	flags       header.TCPFlags
	envelope    int // 1 + that of Coalescer.envelopes, 0 for none
}

func tcpFlags(frame []byte, p *packet) header.TCPFlags { return header.TCP(frame[p.l4:]).Flags() }

// ends reports whether nothing may follow a packet in its super-packet.
func ends(frame []byte, p *packet) bool {
	return p.proto == protoTCP && tcpFlags(frame, p).Intersects(tcpEnds)
}

// sameFlow reports whether two packets have the same addresses, protocol and ports.
// A flow may change its link header: another router, another priority.
func sameFlow(a []byte, p *packet, b []byte, q *packet) bool {
	return p.v6 == q.v6 && p.proto == q.proto &&
		bytes.Equal(a[p.l4:p.l4+4], b[q.l4:q.l4+4]) &&
		bytes.Equal(p.addresses(a), q.addresses(b))
}

// bucket spreads flows. Colliding on purpose gains nothing: searches are bounded.
func (p *packet) bucket(frame []byte) int {
	const odd = 0x9E3779B97F4A7C15
	mix := uint64(binary.NativeEndian.Uint32(frame[p.l4:]))
	for at := p.addresses(frame); len(at) >= 8; at = at[8:] {
		mix = (mix ^ binary.NativeEndian.Uint64(at)) * odd
	}
	return int(mix >> (64 - bucketBits))
}

// joinable reports whether a packet may be part of a super-packet at all, as far as
// its headers can tell.
func (p *packet) joinable(frame []byte, v mytunev.VNetHeader) bool {
	if v.GSOType != mytunev.GSONone || p.payload == p.end || !p.plainIP(frame) {
		return false
	}
	if p.proto == protoTCP {
		if tcpFlags(frame, p).Intersects(tcpLoner) {
			return false
		}
	} else if header.UDP(frame[p.l4:]).Checksum() == 0 && v.Flags&mytunev.VNetNeedsChecksum == 0 {
		return false // it has none, and joining would give it one
	}
	return true
}

// plainIP reports whether the IP header has nothing but the fields that sameIP
// compares, and the checksum that it will have again: 0xFFFF is as right as 0.
func (p *packet) plainIP(frame []byte) bool {
	if p.v6 {
		return p.l4-p.l3 == header.IPv6MinimumSize
	}
	ip := header.IPv4(frame[p.l3:p.l4])
	return len(ip) == header.IPv4MinimumSize && checksum.Checksum(ip, 0) == 0xFFFF &&
		ip.Checksum() != 0xFFFF && ip.Flags()&^header.IPv4FlagDontFragment == 0
}

// sound reports whether the TCP or UDP checksum is right or is to be computed. To
// join a damaged packet would give it a good one. Of TCP, 0xFFFF is right where 0 is,
// and would become 0.
func (p *packet) sound(frame []byte, v mytunev.VNetHeader) bool {
	if v.Flags&mytunev.VNetNeedsChecksum != 0 {
		return p.isUndone(v)
	}
	if v.Flags&mytunev.VNetDataValid != 0 {
		return true
	}
	if p.proto == protoTCP && header.TCP(frame[p.l4:]).Checksum() == 0xFFFF {
		return false
	}
	return checksum.Checksum(frame[p.l4:p.end], p.pseudo(frame, p.end-p.l4)) == 0xFFFF
}

// isUndone reports whether v says that this packet's checksum is to be computed.
func (p *packet) isUndone(v mytunev.VNetHeader) bool {
	return v.Flags&mytunev.VNetNeedsChecksum != 0 && int(v.CsumStart) == p.l4 && int(v.CsumOffset) == p.checksumOffset()
}

// takes reports whether a joinable packet of g's flow continues g, whose first frame
// is head, and the step of the IPv4 identifications then.
func (g *group) takes(head, frame []byte, p *packet) (step int, ok bool) {
	if !g.hasRoom(g.p.l3, p) || !bytes.Equal(head[:g.p.l3], frame[:p.l3]) {
		return 0, false
	}
	return g.continuedBy(head, frame, p)
}

// hasRoom reports whether g may get the payload of p, with the outermost IP header at l3.
func (g *group) hasRoom(l3 int, p *packet) bool {
	size := p.end - p.payload
	return g.open && size <= g.size && g.end-l3+size <= maxPacket
}

// continuedBy compares the headers from the IP header on, but for what tells the flow.
func (g *group) continuedBy(head, frame []byte, p *packet) (step int, ok bool) {
	if step, ok = sameIP(head, &g.p, frame, p, g.step, g.count); !ok {
		return 0, false
	}
	if p.proto == protoTCP {
		return step, g.nextTCP(header.TCP(head[g.p.l4:g.p.payload]), header.TCP(frame[p.l4:p.payload]))
	}
	return step, g.count < maxSegments
}

// sameIP compares what two IP headers of a flow may differ in. p is of the first packet,
// and q is number count behind it; before is the step so far.
func sameIP(head []byte, p *packet, frame []byte, q *packet, before, count int) (step int, ok bool) {
	if q.v6 {
		a, b := head[p.l3:], frame[q.l3:]
		return 0, bytes.Equal(a[:4], b[:4]) && header.IPv6(a).HopLimit() == header.IPv6(b).HopLimit()
	}
	a, b := header.IPv4(head[p.l3:]), header.IPv4(frame[q.l3:])
	if a[1] != b[1] || a.TTL() != b.TTL() || a.Flags() != b.Flags() {
		return 0, false
	}
	// Identifications count, or those of packets that must not be fragmented are
	// all the same: the second packet decides which.
	step = before
	if step < 0 {
		step = 1
		if b.ID() == a.ID() && b.Flags() != 0 {
			step = 0
		}
	}
	return step, b.ID() == a.ID()+uint16(count*step)
}

// nextTCP reports whether b continues the stream that begins with a. ECE and the
// flags beyond must be equal; a second CWR would get lost.
func (g *group) nextTCP(a, b header.TCP) bool {
	differ := (a.Flags() &^ (tcpEnds | header.TCPFlagCwr)) ^ (b.Flags() &^ tcpEnds)
	return len(a) == len(b) && differ == 0 &&
		b.SequenceNumber() == a.SequenceNumber()+uint32(g.end-g.p.payload) &&
		b.AckNumber() == a.AckNumber() &&
		a[header.TCPDataOffset] == b[header.TCPDataOffset] &&
		b.WindowSize() == a.WindowSize() &&
		b.UrgentPointer() == a.UrgentPointer() &&
		bytes.Equal(b[header.TCPMinimumSize:], a[header.TCPMinimumSize:])
}

// writeHeader writes the headers of the super-packet to the begin of slot, g.end
// bytes, and returns its VNetHeader. head is the first frame.
func (g *group) writeHeader(slot, head []byte) mytunev.VNetHeader {
	p := &g.p
	copy(slot, head[:p.payload])
	p.setLength(slot, g.end)
	v := mytunev.VNetHeader{
		Flags:      mytunev.VNetNeedsChecksum,
		GSOType:    p.gsoType(),
		HdrLen:     uint16(p.payload),
		GSOSize:    uint16(g.size),
		CsumStart:  uint16(p.l4),
		CsumOffset: uint16(p.checksumOffset()),
	}
	if p.proto == protoTCP {
		tcp := header.TCP(slot[p.l4:])
		tcp.SetFlags(uint8(tcp.Flags() | g.flags))
		if tcp.Flags().Contains(header.TCPFlagCwr) {
			v.GSOType |= mytunev.GSOECN
		}
	}
	checksum.Put(slot[p.l4+p.checksumOffset():], p.pseudo(slot, g.end-p.l4))
	return v
}
