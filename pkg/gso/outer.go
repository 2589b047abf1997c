// SPDX-License-Identifier: MIT

package gso

import (
	"math/bits"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// What stands around the segments of a UDP tunnel's super-packet. Between the outer UDP
// header and the IP header within, all is the same in each and is not looked at, whatever
// the tunnel.

// tunnelTypes are the bits of GSOType that a tunnel's super-packet has one of. Which, is
// not looked at: it is that of the outer IP header for Linux, and reads like that of the
// inner one in the draft of virtio 1.4.
const tunnelTypes = mytunev.GSOUDPTunnelIPv4 | mytunev.GSOUDPTunnelIPv6

// An outer is what a Splitter knows of a tunnel's headers. Its zero value is that of a
// frame without a tunnel.
type outer struct {
	packet        // as if the tunnel's header were UDP's payload
	id, ipSum     uint16
	needsChecksum bool
}

// enter makes s cut up the packet within a tunnel, once it knows the frame's own headers.
// It takes no more than Linux does: the inner checksum must be to be computed.
func (s *Splitter) enter(frame []byte, v mytunev.VNetHeader) error {
	o, at := &s.outer, int(v.InnerNHOffset)
	o.packet = s.p
	switch {
	case v.GSOType&tunnelTypes == tunnelTypes:
		return errTwoTunnels
	case v.Flags&mytunev.VNetNeedsChecksum == 0:
		return errUnsummed
	case o.proto != protoUDP || int(v.OuterTHOffset) != o.l4:
		return errOuter
	case at < o.payload || at >= o.end:
		return errInner
	}
	s.p = packet{l3: at, v6: header.IPVersion(frame[at:]) == header.IPv6Version}
	if err := s.p.parseNetwork(frame); err != nil {
		return err
	}
	if s.p.end != o.end {
		return errLength
	}
	if !o.v6 {
		o.id, o.ipSum = o.sumIPv4(frame)
	}
	// A checksum without the flag may be there too: it is the one that all segments have.
	o.needsChecksum = v.Flags&mytunev.VNetUDPTunnelChecksum != 0 || header.UDP(frame[o.l4:]).Checksum() != 0
	return nil
}

// endWithin returns where the headers of a tunnel's super-packet may say that it ends, if
// it does at end. A virtual machine whose device knows tunnels, but not their checksums,
// gives all headers the lengths of one segment.
func (s *Splitter) endWithin(end int, v mytunev.VNetHeader) int {
	if segment := s.p.payload + int(v.GSOSize); s.p.end == segment {
		return segment
	}
	return end
}

// finish gives a segment, in which all else is done, the outer headers' lengths,
// identification and checksums.
func (o *outer) finish(segment []byte, inner *packet, index uint16) {
	o.setSegmentLength(segment, o.ipSum, o.id+index)
	if o.needsChecksum {
		field := segment[o.l4+udpChecksum:]
		checksum.Put(field, 0)
		putChecksum(field, o.sumAround(segment, inner, len(segment)))
	}
}

// sumAround is the sum of a tunnel's UDP datagram that ends at end, and of its pseudo
// header. It does not look at the packet within behind its IP header: if its checksum is
// right, all that it covers adds up to the complement of its pseudo header. The kernel
// calls this local checksum offload.
func (p *packet) sumAround(frame []byte, inner *packet, end int) uint16 {
	sum := checksum.Checksum(frame[p.l4:inner.l4], p.pseudo(frame, end-p.l4))
	within := ^inner.pseudo(frame, end-inner.l4)
	if (inner.l4-p.l4)%2 != 0 {
		within = bits.ReverseBytes16(within)
	}
	return checksum.Combine(sum, within)
}
