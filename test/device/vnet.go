// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// VnetSize is sizeof(struct virtio_net_hdr_v1).
const VnetSize = 12

// TunnelVnetSize is sizeof(struct virtio_net_hdr_v1_hash_tunnel), at whose end the offsets are.
const (
	TunnelVnetSize = 24
	vnetTunnel     = 20
)

// Encode lays the offsets out in the first 4 bytes of b.
func (o TunnelOffsets) Encode(b []byte) {
	binary.LittleEndian.PutUint16(b, o.OuterTH)
	binary.LittleEndian.PutUint16(b[2:], o.InnerNH)
}

// Decode is the opposite of Encode.
func (o *TunnelOffsets) Decode(b []byte) {
	o.OuterTH, o.InnerNH = binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
}

// Encode lays the header out in the first VnetSize bytes of b.
func (v *VnetHeader) Encode(b []byte) {
	_ = b[VnetSize-1]
	order := binary.NativeEndian
	b[0], b[1] = v.Flags, v.GSOType
	order.PutUint16(b[2:], v.HdrLen)
	order.PutUint16(b[4:], v.GSOSize)
	order.PutUint16(b[6:], v.CsumStart)
	order.PutUint16(b[8:], v.CsumOffset)
	order.PutUint16(b[10:], v.NumBuffers)
}

// Decode is the opposite of Encode.
func (v *VnetHeader) Decode(b []byte) {
	_ = b[VnetSize-1]
	order := binary.NativeEndian
	v.Flags, v.GSOType = b[0], b[1]
	v.HdrLen = order.Uint16(b[2:])
	v.GSOSize = order.Uint16(b[4:])
	v.CsumStart = order.Uint16(b[6:])
	v.CsumOffset = order.Uint16(b[8:])
	v.NumBuffers = order.Uint16(b[10:])
}

// FillChecksum computes the checksum that the header asks for and puts it in
// its place. The sum of the pseudo-header is there already.
func (v VnetHeader) FillChecksum(frame []byte) {
	sum := ^checksum.Checksum(frame[v.CsumStart:], 0)
	if sum == 0 {
		sum = 0xffff // what UDP needs, and TCP may have
	}
	binary.BigEndian.PutUint16(frame[v.CsumStart+v.CsumOffset:], sum)
}

// segment is a TCP or UDP packet within a frame, taken apart.
type segment struct {
	protocol  uint8
	ipv6      bool
	transport int    // where the TCP or UDP header begins in the frame
	headers   int    // bytes of all headers
	length    int    // bytes from the transport header to the end
	pseudo    uint16 // sum of the pseudo-header
}

// offset is where the transport's header has its checksum.
func (s segment) offset() int {
	if s.protocol == uint8(header.TCPProtocolNumber) {
		return header.TCPChecksumOffset
	}
	return 6
}

// dissect finds the transport header of an IP packet that begins at start.
func dissect(frame []byte, start int) (s segment, err error) {
	packet := frame[start:]
	switch {
	case len(packet) >= header.IPv4MinimumSize && packet[0]>>4 == 4:
		ip := header.IPv4(packet)
		if !ip.IsValid(len(packet)) || int(ip.TotalLength()) != len(packet) || !ip.IsChecksumValid() {
			return s, fmt.Errorf("IPv4 header %x of a packet of %d bytes", packet[:header.IPv4MinimumSize], len(packet))
		}
		s.protocol, s.transport = ip.Protocol(), start+int(ip.HeaderLength())
		s.pseudo = header.PseudoHeaderChecksum(ip.TransportProtocol(), ip.SourceAddress(),
			ip.DestinationAddress(), uint16(len(frame)-s.transport))
	case len(packet) >= header.IPv6MinimumSize && packet[0]>>4 == 6:
		ip := header.IPv6(packet)
		if int(ip.PayloadLength())+header.IPv6MinimumSize != len(packet) {
			return s, fmt.Errorf("IPv6 header %x of a packet of %d bytes", packet[:header.IPv6MinimumSize], len(packet))
		}
		s.protocol, s.transport, s.ipv6 = ip.NextHeader(), start+header.IPv6MinimumSize, true
		s.pseudo = header.PseudoHeaderChecksum(ip.TransportProtocol(), ip.SourceAddress(),
			ip.DestinationAddress(), uint16(len(frame)-s.transport))
	default:
		return s, fmt.Errorf("no IP packet: %d bytes", len(packet))
	}
	s.length = len(frame) - s.transport
	return s, s.findPayload(frame)
}

func (s *segment) findPayload(frame []byte) error {
	switch {
	case s.protocol == uint8(header.TCPProtocolNumber) && s.length >= header.TCPMinimumSize:
		s.headers = s.transport + int(header.TCP(frame[s.transport:]).DataOffset())
	case s.protocol == uint8(header.UDPProtocolNumber) && s.length >= header.UDPMinimumSize:
		if got := int(header.UDP(frame[s.transport:]).Length()); got != s.length {
			return fmt.Errorf("UDP length %d of %d bytes", got, s.length)
		}
		s.headers = s.transport + header.UDPMinimumSize
	default:
		return fmt.Errorf("protocol %d with %d bytes is neither TCP nor UDP", s.protocol, s.length)
	}
	if s.headers > len(frame) {
		return fmt.Errorf("headers of %d bytes in a frame of %d", s.headers, len(frame))
	}
	return nil
}

// IsTransport tells whether an IP packet's next header is TCP or UDP.
func (l *Link) IsTransport(frame []byte) bool {
	packet := frame[min(l.LinkHeader(), len(frame)):]
	protocol := byte(0)
	switch {
	case len(packet) >= header.IPv4MinimumSize && packet[0]>>4 == 4:
		protocol = header.IPv4(packet).Protocol()
	case len(packet) >= header.IPv6MinimumSize && packet[0]>>4 == 6:
		protocol = header.IPv6(packet).NextHeader()
	}
	return protocol == uint8(header.TCPProtocolNumber) || protocol == uint8(header.UDPProtocolNumber)
}

// Check tells what is wrong with a TCP or UDP frame of the kernel: lengths,
// the IPv4 checksum, and either a right checksum of the transport, or metadata
// that is right for who is to compute it, or to cut the frame up.
func (l *Link) Check(h Header, frame []byte) error {
	s, err := dissect(frame, l.LinkHeader())
	if err != nil {
		return err
	}
	if h.Vnet.Flags&VnetNeedsCsum == 0 {
		return s.checkComplete(h.Vnet, frame, l.LinkHeader()+l.MTU)
	}
	if int(h.Vnet.CsumStart) != s.transport || int(h.Vnet.CsumOffset) != s.offset() {
		return fmt.Errorf("%+v: the transport header is at %d, its checksum at %d", h.Vnet, s.transport, s.offset())
	}
	if got := binary.BigEndian.Uint16(frame[s.transport+s.offset():]); got != s.pseudo {
		return fmt.Errorf("%+v: sum of the pseudo-header is %#x, want %#x", h.Vnet, got, s.pseudo)
	}
	return s.checkGSO(h.Vnet, frame, l.LinkHeader()+l.MTU)
}

// checkComplete is for frames that go as they are.
func (s segment) checkComplete(v VnetHeader, frame []byte, most int) error {
	if v.Flags&^VnetDataValid != 0 || v.GSOType != GSONone || v.CsumStart != 0 || v.CsumOffset != 0 {
		return fmt.Errorf("%+v: segmentation without a checksum to compute", v)
	}
	if len(frame) > most {
		return fmt.Errorf("plain frame of %d bytes, at most %d fit", len(frame), most)
	}
	if got := checksum.Checksum(frame[s.transport:], s.pseudo); got != 0xffff {
		return fmt.Errorf("plain frame of %d bytes with a wrong checksum: sum %#x", len(frame), got)
	}
	return nil
}

// kind is the segmentation that fits the packet.
func (s segment) kind() uint8 {
	switch {
	case s.protocol == uint8(header.UDPProtocolNumber):
		return GSOUDPL4
	case s.ipv6:
		return GSOTCPv6
	default:
		return GSOTCPv4
	}
}

// checkGSO is for frames whose checksum somebody else computes.
func (s segment) checkGSO(v VnetHeader, frame []byte, most int) error {
	if v.GSOType == GSONone {
		if len(frame) > most || v.GSOSize != 0 {
			return fmt.Errorf("%+v: %d bytes, at most %d fit", v, len(frame), most)
		}
		return nil
	}
	kind := v.GSOType
	if kind != GSOUDPL4|GSOECN {
		kind &^= GSOECN
	}
	payload := len(frame) - s.headers
	switch {
	case kind != s.kind():
		return fmt.Errorf("%+v: the packet's segmentation is %d", v, s.kind())
	case v.GSOSize == 0 || s.headers+int(v.GSOSize) > most || payload <= int(v.GSOSize):
		return fmt.Errorf("%+v: %d bytes of headers, %d of payload, at most %d fit", v, s.headers, payload, most)
	case int(v.HdrLen) < s.headers || int(v.HdrLen) > len(frame):
		return fmt.Errorf("%+v: %d bytes of headers in %d", v, s.headers, len(frame))
	}
	return nil
}
