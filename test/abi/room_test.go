// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"bytes"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func TestBadRoomIsRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, bad := range []uint32{device.RxRoomMax + 1, 1 << 16, 1<<16 + 16, 1 << 31, ^uint32(0), 1<<32 - device.FrameHeader} {
		for _, config := range []device.RingConfig{{RxHeadroom: bad}, {RxTailroom: bad}, {RxHeadroom: bad, RxTailroom: bad}} {
			config.RxSize, config.TxSize = minRing, minRing
			refused(t, f, "SET_RINGS", unix.EINVAL, func() error { return f.TrySetRings(config) })
		}
	}
	for _, config := range []device.RingConfig{{TxSize: minRing, RxHeadroom: 1}, {TxSize: minRing, RxTailroom: 1}} {
		refused(t, f, "SET_RINGS without an rx ring", unix.EINVAL, func() error { return f.TrySetRings(config) })
	}
	f.SetRings(t, minRing, minRing)
}

// newRoomyQueue is a queue of a new device that is up, with room around its rx frames.
func newRoomyQueue(t *testing.T, headroom, tailroom uint32) *device.Queue {
	t.Helper()
	f := device.Open(t)
	name := f.Attach(t, "", device.TAP)
	config := device.RingConfig{RxSize: minRing, TxSize: minRing, RxHeadroom: headroom, RxTailroom: tailroom}
	if err := f.TrySetRings(config); err != nil {
		t.Fatalf("MYTUN_IOC_SET_RINGS with room of %d and %d: %v", headroom, tailroom, err)
	}
	q := device.MapQueue(t, f)
	q.Name = name
	q.SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	return q
}

func TestRoomIsReportedAndZeroAtFirst(t *testing.T) {
	for _, room := range [][2]uint32{{0, 0}, {16, 16}, {50, 0}, {0, 31}, {device.RxRoomMax, device.RxRoomMax}} {
		device.Sandbox(t)
		q := newRoomyQueue(t, room[0], room[1])
		rx, tx := q.Geometry.Rx, q.Geometry.Tx
		if uint32(rx.Headroom) != room[0] || uint32(rx.Tailroom) != room[1] || tx.Headroom|tx.Tailroom != 0 {
			t.Errorf("room %d is reported as %+v, tx %+v", room, rx, tx)
		}
		if !bytes.Equal(q.RxData, make([]byte, len(q.RxData))) {
			t.Errorf("room %d: a new ring is not zero", room)
		}
	}
}
