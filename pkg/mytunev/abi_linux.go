// SPDX-License-Identifier: MIT

package mytunev

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The structures of <linux/mytun.h>. None has a hole, on any architecture.

type abiRingConfig struct {
	rxSize, txSize, flags  uint32
	rxHeadroom, rxTailroom uint32
	_                      [3]uint32
}

type abiEventFDs struct {
	rxDoorbell, txDoorbell, txSpace int32
	_                               [5]uint32
}

type abiRingInfo struct {
	dataOffset, dataLength uint64
	size                   uint32
	producer, consumer     uint32
	needWakeup, needSpace  uint32
	headroom, tailroom     uint16
}

type abiInfo struct {
	features         uint64
	kernelPageOffset uint64
	userPageOffset   uint64
	pageLength       uint32
	state            uint32
	frameHeader      uint32
	frameAlign       uint32
	frameMax         uint32
	ringSizeMin      uint32
	ringSizeMax      uint32
	_                uint32 // queue
	_                uint32 // poll_usecs
	_                uint32
	rx, tx           abiRingInfo
	_                [4]uint64
}

type abiStats struct {
	KernelStats
	_ [3]uint64
}

// ringsHash has frames of the rx ring carry a flow hash.
const ringsHash = 1 << 0

// Feature bits: what the module can do.
const (
	featureTxVNet       = 1 << 1 // tx frames may have a VNetHeader
	featureTxHash       = 1 << 2 // tx frames may have a flow hash
	featureOffload      = 1 << 3 // TUNSETOFFLOAD
	featureBackpressure = 1 << 4 // MYTUN_IOC_SET_BACKPRESSURE
	featureRxHold       = 1 << 5 // rx need_wakeup may lie ahead of the consumer
	featureUDPTunnel    = 1 << 7 // super-packets within UDP tunnels
	featureRingsHash    = 1 << 8 // ringsHash; without it all rx frames have a hash
	featureRxRoom       = 1 << 9 // room around rx frames
)

// Sizes of the structures as ioctl numbers contain them.
const (
	sizeInfo       = 176
	sizeRingConfig = 32
	sizeEventFDs   = 32
	sizeWord       = 4
	sizeStats      = 192
)

// The direction bits of an ioctl number differ between architectures: take them
// from two of tun's, which are _IOW('T', 202, int) and _IOR('T', 210, unsigned int).
const (
	ioctlWrite = unix.TUNSETIFF - (4<<16 | 'T'<<8 | 202)
	ioctlRead  = unix.TUNGETIFF - (4<<16 | 'T'<<8 | 210)
	ioctlMagic = 0xF7 << 8

	iocGetInfo     = ioctlRead | sizeInfo<<16 | ioctlMagic
	iocSetRings    = ioctlWrite | sizeRingConfig<<16 | ioctlMagic | 0x01
	iocSetEventFDs = ioctlWrite | sizeEventFDs<<16 | ioctlMagic | 0x02
	iocSetPoll     = ioctlWrite | sizeWord<<16 | ioctlMagic | 0x03
	iocGetStats    = ioctlRead | sizeStats<<16 | ioctlMagic | 0x04

	iocSetBackpressure = ioctlWrite | sizeWord<<16 | ioctlMagic | 0x05
)

// validate checks what the kernel says before any of it is used. asked are the
// sizes of the rings, and the room, that were asked for.
func (i *abiInfo) validate(asked abiRingConfig) error {
	page := uint32(unix.Getpagesize())
	switch {
	case i.frameHeader != frameHeader || i.frameAlign != frameAlign:
		return mismatch("frame header of %d bytes, alignment %d", i.frameHeader, i.frameAlign)
	case i.frameMax == 0 || i.frameMax > maxPayload:
		return mismatch("frames of up to %d bytes", i.frameMax)
	case i.pageLength == 0 || i.pageLength%page != 0 || i.pageLength > 1<<20:
		return mismatch("index pages of %d bytes", i.pageLength)
	case i.kernelPageOffset%uint64(page) != 0 || i.userPageOffset%uint64(page) != 0:
		return mismatch("index pages at %#x, %#x", i.kernelPageOffset, i.userPageOffset)
	}
	if err := i.rx.validate("rx", asked.rxSize, asked.rxHeadroom, asked.rxTailroom); err != nil {
		return err
	}
	if err := i.tx.validate("tx", asked.txSize, 0, 0); err != nil {
		return err
	}
	err := i.validateWords("kernel", i.state, i.rx.producer, i.rx.needSpace, i.tx.consumer, i.tx.needWakeup)
	if err != nil {
		return err
	}
	return i.validateWords("user", i.tx.producer, i.tx.needSpace, i.rx.consumer, i.rx.needWakeup)
}

func (r *abiRingInfo) validate(name string, size, headroom, tailroom uint32) error {
	page := uint64(unix.Getpagesize())
	switch {
	case r.size != size:
		return mismatch("%s ring of %d bytes where %d were asked for", name, r.size, size)
	case !isRingSize(int(r.size)) || r.dataLength != 2*uint64(r.size) || uint64(r.size)%page != 0:
		return mismatch("%s ring of %d bytes in %d", name, r.size, r.dataLength)
	case r.dataOffset%page != 0:
		return mismatch("%s ring at %#x", name, r.dataOffset)
	case uint32(r.headroom) != headroom || uint32(r.tailroom) != tailroom:
		return mismatch("%s ring with room of %d and %d bytes where %d and %d were asked for",
			name, r.headroom, r.tailroom, headroom, tailroom)
	}
	return nil
}

// validateWords checks that all words lie in their page, aligned, and apart.
func (i *abiInfo) validateWords(page string, offsets ...uint32) error {
	for n, at := range offsets {
		if at%4 != 0 || at > i.pageLength-4 {
			return mismatch("word at %d of the %s page", at, page)
		}
		for _, other := range offsets[:n] {
			if at == other {
				return mismatch("two words at %d of the %s page", at, page)
			}
		}
	}
	return nil
}

func mismatch(format string, args ...any) error {
	return fmt.Errorf("mytunev: the module reports a layout that this package cannot use: "+
		format+" (use a module and a package of the same release): %w", append(args, unix.EPROTO)...)
}
