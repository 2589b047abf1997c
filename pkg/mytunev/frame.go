// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"
	"fmt"
)

// The layout of struct mytun_frame, the header in front of every payload.
const (
	frameHeader = 32
	frameAlign  = 64

	offLength = 0
	offFlags  = 4
	offHash   = 8
	offVNet   = 12

	flagHash = 1 << 0
)

// maxPayload keeps frameSize from overflowing; real limits are far lower.
const maxPayload = 1 << 30

// frameSize returns the bytes of ring that a payload of n <= maxPayload takes.
func frameSize(n uint32) uint32 {
	return (frameHeader + n + frameAlign - 1) &^ (frameAlign - 1)
}

// A Frame is one packet that the kernel sent to the process. It is valid until
// the Handler that got it returns.
type Frame struct {
	// Data is the packet: IP on a TUN device, Ethernet on a TAP device. It is
	// the ring's own memory, lent until the Handler returns. It may be changed
	// in place; it must not be used later, nor appended to: Extend reaches the
	// room around it, if there is any.
	Data []byte

	// Hash is equal for all frames of one flow, if HashValid is true, as it is
	// with Config.FlowHash.
	Hash      uint32
	HashValid bool

	ring       *ringMemory // where it is; nil: in no ring
	at, length uint32      // place of the header there, and bytes of the payload
}

// Extend returns the frame with front bytes of the room in front of it
// (Config.Headroom) and behind bytes of the room behind it (Config.Tailroom), in one
// piece: the frame begins at index front. As Data, which it overlaps, it is the ring's
// own memory, lent until the Handler returns. What is in the room is undefined.
//
// A program that encrypts does it where the frame is:
//
//	packet := f.Extend(16, 16) // a header of 16 bytes, and the tag
//	aead.Seal(packet[:16], nonce, f.Data, nil)
//
// Extend panics if it is asked for more room than Config has. It goes by the frame as it
// came: a Handler that has cut Data gets all of it.
func (f Frame) Extend(front, behind int) []byte {
	if f.ring == nil {
		panic("mytunev: Extend of a Frame that no Handler got")
	}
	headroom, tailroom := int(f.ring.headroom), int(f.ring.tailroom)
	if front < 0 || front > headroom || behind < 0 || behind > tailroom {
		panic(fmt.Sprintf("mytunev: Extend by %d bytes in front and %d behind, where Config.Headroom is %d and Config.Tailroom %d",
			front, behind, headroom, tailroom))
	}
	payload := int(f.at) + frameHeader + headroom
	begin, end := payload-front, payload+int(f.length)+behind
	return f.ring.data[begin:end:end]
}

// vnet is the frame's encoded VNetHeader, nil if it has none.
func (f *Frame) vnet() *[vnetSize]byte {
	if f.ring == nil {
		return nil
	}
	return (*[vnetSize]byte)(f.ring.data[f.at+offVNet:])
}

// VNet decodes the frame's checksum and segmentation metadata. It is all zero
// for a plain frame and on a device opened without Config.Offload. As Data,
// it can be asked for until the Handler returns.
func (f Frame) VNet() VNetHeader {
	vnet := f.vnet()
	if vnet == nil {
		return VNetHeader{}
	}
	return decodeVNet(vnet)
}

// NeedsChecksum reports whether the frame's TCP or UDP checksum is still to be
// computed: the field holds the sum of the pseudo header only. Sent on with its
// VNetHeader, the kernel does it; package gso does it for other destinations.
func (f Frame) NeedsChecksum() bool {
	vnet := f.vnet()
	return vnet != nil && vnet[vnetFlags]&VNetNeedsChecksum != 0
}

// SegmentSize returns 0 for a frame that fits the MTU. For a super-packet it
// returns the bytes of payload, behind the TCP or UDP header, of each of the
// frames that it stands for; the last of them may have fewer. Sent on with its
// VNetHeader, the kernel cuts it up; package gso does it for other destinations.
func (f Frame) SegmentSize() int {
	vnet := f.vnet()
	if vnet == nil || vnet[vnetGSOType]&^GSOECN == GSONone {
		return 0
	}
	return int(binary.LittleEndian.Uint16(vnet[vnetGSOSize:]))
}

// Bits of VNetHeader.Flags.
const (
	VNetNeedsChecksum = 1 << 0 // the checksum is still to be computed
	VNetDataValid     = 1 << 1 // the checksum is known to be right, and not looked at

	// VNetUDPTunnelChecksum is about a tunnel's outer UDP header. Of a super-packet,
	// its checksum is to be computed for each segment. With VNetDataValid, both
	// checksums are known to be right; without this bit, the outer one alone is.
	VNetUDPTunnelChecksum = 1 << 3
)

// Values of VNetHeader.GSOType. GSOECN is or-ed to one of the others. So is one of the
// last two, if the packet is within a UDP tunnel, as of VXLAN and Geneve: which one, the
// outer IP header tells.
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3 // UDP fragmentation, obsolete
	GSOTCPv6 = 4
	GSOUDPL4 = 5
	GSOECN   = 0x80

	GSOUDPTunnelIPv4 = 0x20
	GSOUDPTunnelIPv6 = 0x40
)

// A VNetHeader is virtio 1.0's struct virtio_net_hdr_v1: what is left to do to a
// frame before it is fit for a wire. All offsets and lengths are in bytes.
//
// The last two fields are those of virtio 1.4 about a tunnel's super-packet, where
// CsumStart and CsumOffset are about the packet within. A module that knows them takes
// such super-packets from any device with Config.Offload; it hands them out with
// [OffloadUDPTunnel]. In any other frame both are zero, and the kernel drops one where they are not.
type VNetHeader struct {
	Flags      uint8  // VNet bits
	GSOType    uint8  // GSO value: what kind of segments to cut the frame into
	HdrLen     uint16 // headers to repeat in front of each segment
	GSOSize    uint16 // payload of each segment
	CsumStart  uint16 // the checksum covers the frame from here on
	CsumOffset uint16 // and is stored this far after CsumStart
	NumBuffers uint16 // unused, zero

	OuterTHOffset uint16 // where a tunnel's UDP header is
	InnerNHOffset uint16 // where the IP header of the packet within is
}

// The layout of struct virtio_net_hdr_v1 and of the two offsets behind it in struct
// mytun_frame, little endian by definition.
const (
	vnetSize = 16

	vnetFlags   = 0
	vnetGSOType = 1
	vnetGSOSize = 4
)

func decodeVNet(b *[vnetSize]byte) VNetHeader {
	return VNetHeader{
		Flags:      b[0],
		GSOType:    b[1],
		HdrLen:     binary.LittleEndian.Uint16(b[2:]),
		GSOSize:    binary.LittleEndian.Uint16(b[4:]),
		CsumStart:  binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:]),
		NumBuffers: binary.LittleEndian.Uint16(b[10:]),

		OuterTHOffset: binary.LittleEndian.Uint16(b[12:]),
		InnerNHOffset: binary.LittleEndian.Uint16(b[14:]),
	}
}

func encodeVNet(b *[vnetSize]byte, v VNetHeader) {
	b[0] = v.Flags
	b[1] = v.GSOType
	binary.LittleEndian.PutUint16(b[2:], v.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], v.GSOSize)
	binary.LittleEndian.PutUint16(b[6:], v.CsumStart)
	binary.LittleEndian.PutUint16(b[8:], v.CsumOffset)
	binary.LittleEndian.PutUint16(b[10:], v.NumBuffers)
	binary.LittleEndian.PutUint16(b[12:], v.OuterTHOffset)
	binary.LittleEndian.PutUint16(b[14:], v.InnerNHOffset)
}
