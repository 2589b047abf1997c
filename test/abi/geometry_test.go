// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package abi tests that the module answers as kmod/uapi/linux/mytun.h says:
// every ioctl in every state, mmap, poll, fdinfo, ethtool and rtnetlink.
package abi

import (
	"testing"

	"github.com/mytun/mytun/test/device"
)

const (
	minRing = device.RingSizeMin
	maxRing = device.RingSizeMax
)

func TestInfoBeforeAttachTellsLimitsOnly(t *testing.T) {
	device.Sandbox(t)
	info := device.Open(t).Info(t)
	want := device.Info{
		Features: device.FeatureTxVnet | device.FeatureTxHash |
			device.FeatureOffload | device.FeatureBackpressure | device.FeatureRxHold |
			device.FeatureReadWrite | device.FeatureUDPTunnel | device.FeatureRingsHash | device.FeatureRxRoom,
		FrameHeader: device.FrameHeader, FrameAlign: device.FrameAlign, FrameMax: device.FrameMax,
		RingSizeMin: minRing, RingSizeMax: maxRing,
		Queue: ^uint32(0), PollUsecs: info.PollUsecs,
	}
	if info != want {
		t.Errorf("info %+v, want %+v", info, want)
	}
	if info.PollUsecs > device.PollMaxUsecs {
		t.Errorf("poll window %d us, more than the maximum", info.PollUsecs)
	}
}

func TestEveryRingSizeGivesSaneGeometry(t *testing.T) {
	device.Sandbox(t)
	for rx := uint32(minRing); rx <= maxRing; rx *= 8 {
		tx := maxRing / (rx / minRing)
		f := device.Open(t)
		f.Attach(t, "", device.TUN)
		f.SetRings(t, rx, tx)
		info := f.Info(t)
		checkRing(t, info.Rx, rx)
		checkRing(t, info.Tx, tx)
		checkAreas(t, info)
		checkWords(t, info)
		f.Close()
	}
}

func checkRing(t *testing.T, ring device.RingInfo, size uint32) {
	t.Helper()
	if ring.Size != size || ring.DataLength != 2*uint64(size) || ring.Headroom|ring.Tailroom != 0 {
		t.Errorf("ring %+v, want size %d, mapped twice, without room", ring, size)
	}
}

// checkAreas: what can be mapped must not overlap.
func checkAreas(t *testing.T, info device.Info) {
	t.Helper()
	page := uint64(info.PageLength)
	areas := []struct{ offset, length uint64 }{
		{info.KernelPageOffset, page}, {info.UserPageOffset, page},
		{info.Rx.DataOffset, info.Rx.DataLength}, {info.Tx.DataOffset, info.Tx.DataLength},
	}
	for i, a := range areas {
		if a.length == 0 || a.offset%page != 0 || a.length%page != 0 {
			t.Errorf("area %#x+%#x is not made of pages", a.offset, a.length)
		}
		for _, b := range areas[i+1:] {
			if a.offset < b.offset+b.length && b.offset < a.offset+a.length {
				t.Errorf("areas %#x+%#x and %#x+%#x overlap", a.offset, a.length, b.offset, b.length)
			}
		}
	}
}

// checkWords: each word has two cache lines to itself.
func checkWords(t *testing.T, info device.Info) {
	t.Helper()
	pages := map[string][]uint32{
		"kernel": {info.Rx.Producer, info.Rx.NeedSpace, info.Tx.Consumer, info.Tx.NeedWakeup, info.State},
		"user":   {info.Rx.Consumer, info.Rx.NeedWakeup, info.Tx.Producer, info.Tx.NeedSpace},
	}
	for page, offsets := range pages {
		lines := map[uint32]bool{}
		for _, offset := range offsets {
			if offset%4 != 0 || offset+4 > info.PageLength {
				t.Errorf("%s page: word at %d", page, offset)
			}
			if lines[offset/128] {
				t.Errorf("%s page: two words in the lines at %d", page, offset/128*128)
			}
			lines[offset/128] = true
		}
	}
}
