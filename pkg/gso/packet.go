// SPDX-License-Identifier: MIT

package gso

import (
	"encoding/binary"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	protoTCP = uint8(header.TCPProtocolNumber)
	protoUDP = uint8(header.UDPProtocolNumber)

	etherTypeVLAN    = 0x8100 // 802.1Q
	etherTypeService = 0x88A8 // 802.1ad
	vlanTagSize      = 4

	tcpChecksum = header.TCPChecksumOffset
	udpChecksum = 6

	// maxPacket is what the length field of IPv4 can say, headers included. A
	// super-packet over IPv6 keeps to it as well, as the kernel's do.
	maxPacket = 65535
)

// A packet says where in a frame what is. Offsets are in bytes, and
// 0 <= l3 < l4 < payload <= end <= len(frame) holds.
type packet struct {
	l3, l4, payload, end int
	v6                   bool
	proto                uint8 // protoTCP or protoUDP
}

// parse finds the headers of a TCP or UDP packet. Whatever the frame holds, the
// offsets it sets lie within the frame. The error is one of errors.go.
func (p *packet) parse(mode mytunev.Mode, frame []byte) error {
	*p = packet{}
	if err := p.parseLink(mode, frame); err != nil {
		return err
	}
	return p.parseNetwork(frame)
}

// parseNetwork finds what follows, once it is known where the IP header begins, and which.
func (p *packet) parseNetwork(frame []byte) error {
	var err error
	if p.v6 {
		err = p.parseIPv6(frame)
	} else {
		err = p.parseIPv4(frame)
	}
	if err != nil {
		return err
	}
	return p.parseTransport(frame)
}

// parseLink finds where the IP header begins, and which.
func (p *packet) parseLink(mode mytunev.Mode, frame []byte) error {
	switch {
	case mode == mytunev.TAP:
		return p.parseEthernet(frame, 0)
	case mode != mytunev.TUN:
		return errMode
	case len(frame) == 0:
		return errTruncated
	}
	p.v6 = header.IPVersion(frame) == header.IPv6Version
	return nil
}

// parseEthernet is parseLink for an Ethernet header that begins at at.
func (p *packet) parseEthernet(frame []byte, at int) error {
	p.l3 = at + header.EthernetMinimumSize
	if len(frame) < p.l3 {
		return errTruncated
	}
	kind := binary.BigEndian.Uint16(frame[p.l3-2:])
	if kind == etherTypeVLAN || kind == etherTypeService {
		p.l3 += vlanTagSize
		if len(frame) < p.l3 {
			return errTruncated
		}
		kind = binary.BigEndian.Uint16(frame[p.l3-2:])
	}
	switch kind {
	case uint16(header.IPv4ProtocolNumber):
	case uint16(header.IPv6ProtocolNumber):
		p.v6 = true
	default:
		return errEtherType
	}
	return nil
}

// A frame may be in memory that the other side can write: each field is read once,
// and what was read is checked.
func (p *packet) parseIPv4(frame []byte) error {
	ip := header.IPv4(frame[p.l3:])
	if len(ip) < header.IPv4MinimumSize {
		return errTruncated
	}
	size, length := int(ip[0]&0xF)*4, int(ip.TotalLength())
	const more, offset = 0x2000, 0x1FFF
	switch {
	case header.IPVersion(ip) != header.IPv4Version:
		return errVersion
	case size < header.IPv4MinimumSize || size > length || length > len(ip):
		return errLength
	case binary.BigEndian.Uint16(ip[6:])&(more|offset) != 0:
		return errFragment
	}
	p.l4, p.end = p.l3+size, p.l3+length
	p.proto = ip.Protocol()
	return checkOptions4(ip[header.IPv4MinimumSize:size])
}

func (p *packet) parseIPv6(frame []byte) error {
	ip := header.IPv6(frame[p.l3:])
	if len(ip) < header.IPv6MinimumSize {
		return errTruncated
	}
	length := header.IPv6MinimumSize + int(ip.PayloadLength())
	switch {
	case header.IPVersion(ip) != header.IPv6Version:
		return errVersion
	case length > len(ip):
		return errLength
	}
	p.l4, p.end = p.l3+header.IPv6MinimumSize, p.l3+length
	p.proto = ip.NextHeader()
	return p.skipExtensions(frame)
}

// parseTransport finds where the payload begins.
func (p *packet) parseTransport(frame []byte) error {
	segment := frame[p.l4:p.end]
	switch p.proto {
	case protoTCP:
		if len(segment) < header.TCPMinimumSize {
			return errTruncated
		}
		size := int(header.TCP(segment).DataOffset())
		if size < header.TCPMinimumSize || size > len(segment) {
			return errLength
		}
		p.payload = p.l4 + size
	case protoUDP:
		if len(segment) < header.UDPMinimumSize {
			return errTruncated
		}
		if int(header.UDP(segment).Length()) != len(segment) {
			return errLength
		}
		p.payload = p.l4 + header.UDPMinimumSize
	default:
		return otherProtocol(p.proto)
	}
	return nil
}

// checksumOffset is where the TCP or UDP header has its checksum.
func (p *packet) checksumOffset() int {
	if p.proto == protoTCP {
		return tcpChecksum
	}
	return udpChecksum
}

// addresses returns both IP addresses, one after the other.
func (p *packet) addresses(frame []byte) []byte {
	if p.v6 {
		return frame[p.l3+8 : p.l3+header.IPv6MinimumSize]
	}
	return frame[p.l3+12 : p.l3+header.IPv4MinimumSize]
}

// pseudo is the sum of the pseudo header in front of length bytes of TCP or UDP.
func (p *packet) pseudo(frame []byte, length int) uint16 {
	sum := checksum.Checksum(p.addresses(frame), uint16(p.proto))
	return checksum.Combine(sum, uint16(length))
}

// gsoType is the GSOType of a super-packet of such packets.
func (p *packet) gsoType() uint8 {
	switch {
	case p.proto == protoUDP:
		return mytunev.GSOUDPL4
	case p.v6:
		return mytunev.GSOTCPv6
	}
	return mytunev.GSOTCPv4
}

// setLength makes the length fields and the IPv4 header's checksum those of a
// packet that ends at end. It does not touch the other checksum.
func (p *packet) setLength(frame []byte, end int) {
	if p.proto == protoUDP {
		header.UDP(frame[p.l4:]).SetLength(uint16(end - p.l4))
	}
	if p.v6 {
		header.IPv6(frame[p.l3:]).SetPayloadLength(uint16(end - p.l3 - header.IPv6MinimumSize))
		return
	}
	ip := header.IPv4(frame[p.l3:p.l4])
	ip.SetTotalLength(uint16(end - p.l3))
	ip.SetChecksum(0)
	ip.SetChecksum(^checksum.Checksum(ip, 0))
}
