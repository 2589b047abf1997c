// SPDX-License-Identifier: MIT

//go:build linux

// Package device is what the tests that need the kernel module share: the
// module's interface as raw as the kernel offers it, so that a test can write
// anything anywhere; packets; network namespaces; and waiting for states.
//
// It is independent of pkg/mytunev on purpose: the two were written from the
// same header, kmod/uapi/linux/mytun.h, and check each other.
package device

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Node is the device node that the module creates.
const Node = "/dev/net/mytun"

// Limits and bits of kmod/uapi/linux/mytun.h.
const (
	RingSizeMin  = 128 << 10
	RingSizeMax  = 64 << 20
	FrameAlign   = 64
	FrameMax     = 65568
	FrameHeader  = 32
	RxRoomMax    = 256
	PollMaxUsecs = 100000
	QueuesMax    = 256

	FrameHash = 1 << 0

	StateDetached = 1 << 0
	StateRxBroken = 1 << 1
	StateTxBroken = 1 << 2

	FeatureTxVnet       = 1 << 1
	FeatureTxHash       = 1 << 2
	FeatureOffload      = 1 << 3
	FeatureBackpressure = 1 << 4
	FeatureRxHold       = 1 << 5
	FeatureReadWrite    = 1 << 6
	FeatureUDPTunnel    = 1 << 7
	FeatureRingsHash    = 1 << 8
	FeatureRxRoom       = 1 << 9

	BatchRead  = 1 << 0
	BatchWrite = 1 << 1
	BatchAlign = 8
)

// Flags of TUNSETIFF.
const (
	TUN     = unix.IFF_TUN | unix.IFF_NO_PI
	TAP     = unix.IFF_TAP | unix.IFF_NO_PI
	Multi   = unix.IFF_MULTI_QUEUE
	Vnet    = unix.IFF_VNET_HDR
	Excl    = unix.IFF_TUN_EXCL
	Persist = unix.IFF_PERSIST

	NoCarrier = unix.IFF_NO_CARRIER

	// Backpressure is IFF_BACKPRESSURE, which stock tun has since Linux 7.3.
	Backpressure = 0x80
)

// IfreqSize is sizeof(struct ifreq) of 64-bit programs.
const IfreqSize = 40

// Sizes of the structures, which are part of the numbers of the ioctls.
const (
	InfoSize     = 176
	RingsSize    = 32
	EventfdsSize = 32
	StatsSize    = 192
)

// Numbers of the ioctls.
const (
	IocGetInfo     = iocRead<<30 | InfoSize<<16 | iocMagic<<8
	IocSetRings    = iocWrite<<30 | RingsSize<<16 | iocMagic<<8 | 1
	IocSetEventfds = iocWrite<<30 | EventfdsSize<<16 | iocMagic<<8 | 2
	IocSetPoll     = iocWrite<<30 | 4<<16 | iocMagic<<8 | 3
	IocGetStats    = iocRead<<30 | StatsSize<<16 | iocMagic<<8 | 4

	IocSetBackpressure = iocWrite<<30 | 4<<16 | iocMagic<<8 | 5
	IocWait            = iocMagic<<8 | 6
	IocSetBatch        = iocWrite<<30 | 4<<16 | iocMagic<<8 | 7

	iocMagic = 0xF7
	iocWrite = 1
	iocRead  = 2
)

// RingInfo is struct mytun_ring_info.
type RingInfo struct {
	DataOffset, DataLength                          uint64
	Size, Producer, Consumer, NeedWakeup, NeedSpace uint32
	Headroom, Tailroom                              uint16
}

// Info is struct mytun_info.
type Info struct {
	Features, KernelPageOffset, UserPageOffset uint64
	PageLength, State                          uint32
	FrameHeader, FrameAlign, FrameMax          uint32
	RingSizeMin, RingSizeMax                   uint32
	Queue, PollUsecs, R0                       uint32
	Rx, Tx                                     RingInfo
	Reserved                                   [4]uint64
}

// RingConfig is struct mytun_ring_config.
type RingConfig struct {
	RxSize, TxSize, Flags  uint32
	RxHeadroom, RxTailroom uint32
	Reserved               [3]uint32
}

// RingsHash has frames of the rx ring carry a flow hash.
const RingsHash = 1 << 0

// Eventfds is struct mytun_eventfds.
type Eventfds struct {
	RxDoorbell, TxDoorbell, TxSpace int32
	Reserved                        [5]uint32
}

// NoEventfds takes back those that a queue has.
var NoEventfds = Eventfds{RxDoorbell: -1, TxDoorbell: -1, TxSpace: -1}

// Stats is struct mytun_stats.
type Stats struct {
	RxFrames, RxBytes, RxRingFull, RxDropped       uint64
	RxDoorbells, RxDoorbellsSuppressed             uint64
	TxFrames, TxBytes                              uint64
	TxRefusedLength, TxRefusedFlags                uint64
	TxRefusedVnet, TxRefusedProtocol               uint64
	TxDroppedDown, TxDroppedMemory                 uint64
	TxDoorbells, TxSpaceSignals, TxSpaceSuppressed uint64
	KthreadSleeps                                  uint64
	RxDirect, RxQueueStops, TxXDP                  uint64
	Reserved                                       [3]uint64
}

// Refused is the number of tx frames that were refused, for any reason.
func (s Stats) Refused() uint64 {
	return s.TxRefusedLength + s.TxRefusedFlags + s.TxRefusedVnet + s.TxRefusedProtocol
}

// Header is struct mytun_frame.
type Header struct {
	Length, Flags, Hash uint32
	Vnet                VnetHeader
	Tunnel              TunnelOffsets
	Reserved            uint32
}

// TunnelOffsets are where a UDP tunnel's super-packet has the tunnel's UDP header and the IP header within.
type TunnelOffsets struct{ OuterTH, InnerNH uint16 }

// Flags and kinds of segmentation of a VnetHeader, as virtio defines them.
const (
	VnetNeedsCsum = 1
	VnetDataValid = 2
	VnetTunnelSum = 8 // of a tunnel's outer UDP header, too

	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3 // fragmentation, which nobody does any more
	GSOTCPv6 = 4
	GSOUDPL4 = 5
	GSOECN   = 0x80 // beside one of the TCP kinds

	GSOTunnel4 = 0x20 // beside another, in a UDP tunnel over IPv4
	GSOTunnel6 = 0x40
)

// VnetHeader is struct virtio_net_hdr_v1. The fields here are in the order of
// the machine, which is little endian wherever these tests run.
type VnetHeader struct {
	Flags, GSOType                                     uint8
	HdrLen, GSOSize, CsumStart, CsumOffset, NumBuffers uint16
}

// encode lays a structure without holes out as the kernel expects it.
func encode(v any) []byte {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func decode(b []byte, v any) {
	if _, err := binary.Decode(b, binary.NativeEndian, v); err != nil {
		panic(err)
	}
}

// Footprint is what a frame with length bytes of payload occupies in a ring.
func Footprint(length int) uint32 {
	return (uint32(length) + FrameHeader + FrameAlign - 1) &^ (FrameAlign - 1)
}

// Passed tells whether an index that moved from old to new moved past event.
func Passed(event, new, old uint32) bool {
	return new-event-1 < new-old
}

// putHeader is encode without an allocation, for the rings.
func putHeader(b []byte, h *Header) {
	_ = b[FrameHeader-1]
	order := binary.NativeEndian
	order.PutUint32(b[0:], h.Length)
	order.PutUint32(b[4:], h.Flags)
	order.PutUint32(b[8:], h.Hash)
	h.Vnet.Encode(b[12:])
	h.Tunnel.Encode(b[24:])
	order.PutUint32(b[28:], h.Reserved)
}

func getHeader(b []byte) (h Header) {
	_ = b[FrameHeader-1]
	order := binary.NativeEndian
	h.Length = order.Uint32(b[0:])
	h.Flags = order.Uint32(b[4:])
	h.Hash = order.Uint32(b[8:])
	h.Vnet.Decode(b[12:])
	h.Tunnel.Decode(b[24:])
	h.Reserved = order.Uint32(b[28:])
	return h
}
