// SPDX-License-Identifier: MIT

package gso

import (
	"io"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A Splitter cuts a super-packet into the frames that it stands for, each with
// lengths, IPv4 identification, TCP sequence number and flags, and checksums of its
// own: fit for a wire. That of a UDP tunnel it cuts up with the tunnel's headers in
// front of each. A frame that is no super-packet it returns as it is, with
// its checksum completed, so that everything that comes from a device can take the
// same way:
//
//	if err := s.Reset(mytunev.TUN, f.Data, f.VNet()); err != nil {
//		return err
//	}
//	for {
//		n, err := s.Next(buf)
//		if err == io.EOF {
//			break
//		} else if err != nil {
//			return err
//		}
//		send(buf[:n])
//	}
//
// The zero value is ready for Reset. A Splitter allocates nothing and is meant to be
// used again and again, by one goroutine at a time.
type Splitter struct {
	frame []byte
	vnet  mytunev.VNetHeader // of a frame that is no super-packet
	p     packet             // within the tunnel, if there is one
	size  int                // payload of each segment; 0 if the frame is no super-packet
	at    int                // begin of the next segment's payload in frame
	index int                // of the next segment

	ipSum  uint16 // of the IPv4 header without length, identification and checksum
	tcpSum uint16 // of the TCP or UDP and pseudo headers without what changes
	seq    uint32
	id     uint16
	flags  header.TCPFlags

	outer outer // of a tunnel
}

// Reset makes s cut up frame, which v belongs to. The frame is on loan until the
// last Next, and is not changed. All that can be wrong with the frame Reset finds:
// it fails with an error that wraps ErrMalformed or ErrUnsupported, and Next then
// returns io.EOF.
func (s *Splitter) Reset(mode mytunev.Mode, frame []byte, v mytunev.VNetHeader) error {
	*s = Splitter{}
	if v.GSOType&^mytunev.GSOECN == mytunev.GSONone {
		return s.resetWhole(frame, v)
	}
	if err := s.p.parse(mode, frame); err != nil {
		return err
	}
	end := len(frame)
	if v.GSOType&tunnelTypes != 0 {
		if err := s.enter(frame, v); err != nil {
			return err
		}
		end = s.endWithin(end, v)
	}
	if err := s.p.validate(frame, end, v); err != nil {
		return err
	}
	s.frame, s.size, s.at = frame, int(v.GSOSize), s.p.payload
	s.prepare()
	return nil
}

// resetWhole is Reset for a frame that is no super-packet.
func (s *Splitter) resetWhole(frame []byte, v mytunev.VNetHeader) error {
	switch {
	case len(frame) == 0:
		return errTruncated
	case v.Flags&mytunev.VNetNeedsChecksum != 0 && int(v.CsumStart)+int(v.CsumOffset)+checksum.Size > len(frame):
		return errField
	}
	s.frame, s.vnet = frame, v
	return nil
}

// validate compares a super-packet, whose headers have to say that it ends at end, with
// its VNetHeader. HdrLen is a hint that some senders set to more than the headers: it is
// not used.
func (p *packet) validate(frame []byte, end int, v mytunev.VNetHeader) error {
	switch kind := v.GSOType &^ (mytunev.GSOECN | tunnelTypes); {
	case kind != mytunev.GSOTCPv4 && kind != mytunev.GSOTCPv6 && kind != mytunev.GSOUDPL4:
		return errUnknownGSO
	case kind != p.gsoType():
		return errKind
	case p.end != end:
		return errLength
	case v.GSOSize == 0:
		return errSize
	case p.payload == p.end:
		return errNoPayload
	}
	if v.Flags&mytunev.VNetNeedsChecksum != 0 {
		if int(v.CsumStart) != p.l4 {
			return errStart
		}
		if int(v.CsumOffset) != p.checksumOffset() {
			return errOffset
		}
	}
	const bad = header.TCPFlagSyn | header.TCPFlagRst | header.TCPFlagUrg
	if p.proto == protoTCP && header.TCP(frame[p.l4:]).Flags().Intersects(bad) {
		return errFlags
	}
	return nil
}

// prepare sums up what is the same in the headers of all segments.
func (s *Splitter) prepare() {
	p, frame := &s.p, s.frame
	if !p.v6 {
		s.id, s.ipSum = p.sumIPv4(frame)
	}
	s.tcpSum = p.pseudo(frame, 0)
	if p.proto == protoUDP {
		// The ports; length and checksum are each segment's.
		s.tcpSum = checksum.Checksum(frame[p.l4:p.l4+4], s.tcpSum)
		return
	}
	tcp := header.TCP(frame[p.l4:p.payload])
	s.seq, s.flags = tcp.SequenceNumber(), tcp.Flags()
	s.tcpSum = checksum.Checksum(tcp, s.tcpSum)
	s.tcpSum = checksum.Combine(s.tcpSum, ^uint16(s.seq>>16))
	s.tcpSum = checksum.Combine(s.tcpSum, ^uint16(s.seq))
	s.tcpSum = checksum.Combine(s.tcpSum, ^uint16(s.flags))
	s.tcpSum = checksum.Combine(s.tcpSum, ^tcp.Checksum())
}

// sumIPv4 returns the identification of an IPv4 header, and the header's sum without
// that, the length and the checksum.
func (p *packet) sumIPv4(frame []byte) (id, sum uint16) {
	ip := header.IPv4(frame[p.l3:p.l4])
	id = ip.ID()
	// Taking a word out of a sum is adding its complement.
	sum = checksum.Combine(checksum.Checksum(ip, 0), ^ip.TotalLength())
	sum = checksum.Combine(sum, ^id)
	return id, checksum.Combine(sum, ^ip.Checksum())
}

// Frames returns how many frames are still to come.
func (s *Splitter) Frames() int {
	switch left := len(s.frame) - s.at; {
	case left <= 0:
		return 0
	case s.size == 0:
		return 1
	default:
		return (left + s.size - 1) / s.size
	}
}

// Size returns the length of the next frame in bytes, or 0 if none is to come.
func (s *Splitter) Size() int {
	left := len(s.frame) - s.at
	if left <= 0 || s.size == 0 {
		return max(left, 0)
	}
	return s.p.payload + min(left, s.size)
}

// Next writes the next frame to the begin of dst, which must not overlap the
// super-packet, and returns its length. It returns 0 and [io.EOF] when there are no
// more, and 0 and [io.ErrShortBuffer] if dst is shorter than Size; the frame is then
// still the next.
func (s *Splitter) Next(dst []byte) (int, error) {
	size := s.Size()
	switch {
	case size == 0:
		return 0, io.EOF
	case size > len(dst):
		return 0, io.ErrShortBuffer
	}
	dst = dst[:size:size]
	if s.size == 0 {
		copy(dst, s.frame)
		s.at = len(s.frame)
		return size, Checksum(dst, s.vnet)
	}
	s.segment(dst)
	return size, nil
}

// segment writes the next segment, which fills dst.
func (s *Splitter) segment(dst []byte) {
	p := &s.p
	copy(dst, s.frame[:p.payload])
	payload := dst[p.payload:]
	s.at += copy(payload, s.frame[s.at:])
	p.setSegmentLength(dst, s.ipSum, s.id+uint16(s.index))
	sum := checksum.Combine(s.tcpSum, uint16(len(dst)-p.l4))
	if p.proto == protoTCP {
		sum = s.setTCP(header.TCP(dst[p.l4:]), sum)
		header.TCP(dst[p.l4:]).SetChecksum(^checksum.Checksum(payload, sum))
	} else {
		sum = checksum.Combine(sum, uint16(len(dst)-p.l4)) // is in the header as well
		putChecksum(dst[p.l4+udpChecksum:], checksum.Checksum(payload, sum))
	}
	if s.outer.payload != 0 {
		s.outer.finish(dst, p, uint16(s.index))
	}
	s.index++
}

// setSegmentLength is setLength with the work of prepare behind it.
func (p *packet) setSegmentLength(dst []byte, sum, id uint16) {
	if p.proto == protoUDP {
		header.UDP(dst[p.l4:]).SetLength(uint16(len(dst) - p.l4))
	}
	if p.v6 {
		header.IPv6(dst[p.l3:]).SetPayloadLength(uint16(len(dst) - p.l3 - header.IPv6MinimumSize))
		return
	}
	ip, length := header.IPv4(dst[p.l3:p.l4]), uint16(len(dst)-p.l3)
	ip.SetTotalLength(length)
	ip.SetID(id)
	ip.SetChecksum(^checksum.Combine(checksum.Combine(sum, length), id))
}

// setTCP gives a segment its place in the stream, and returns sum with it. Only the
// last one ends the stream, or wants to be pushed; only the first tells the peer
// that the window was reduced.
func (s *Splitter) setTCP(tcp header.TCP, sum uint16) uint16 {
	flags := s.flags
	if s.index > 0 {
		flags &^= header.TCPFlagCwr
	}
	if s.at < len(s.frame) {
		flags &^= header.TCPFlagFin | header.TCPFlagPsh
	}
	seq := s.seq + uint32(s.index)*uint32(s.size)
	tcp.SetSequenceNumber(seq)
	tcp.SetFlags(uint8(flags))
	sum = checksum.Combine(sum, uint16(seq>>16))
	sum = checksum.Combine(sum, uint16(seq))
	return checksum.Combine(sum, uint16(flags))
}
