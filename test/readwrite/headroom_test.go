// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"net"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newTunnel makes a GRE tunnel for Ethernet frames, above another device.
func newTunnel(t *testing.T, name string, below netlink.Link, remote string) netlink.Link {
	t.Helper()
	err := netlink.LinkAdd(&netlink.Gretap{
		LinkAttrs: netlink.LinkAttrs{Name: name},
		Local:     net.IPv4(10, 98, 0, 1), Remote: net.ParseIP(remote),
		Link: uint32(below.Attrs().Index),
	})
	if err == unix.EOPNOTSUPP {
		t.Skip("the kernel has no GRE tunnels")
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	device.Up(t, name)
	return device.LinkOf(t, name)
}

// bridge makes a bridge of a device and a tunnel in a tunnel, whose headers together
// need more room than a frame usually has in front.
func bridge(t *testing.T, name string) {
	t.Helper()
	tunnel := newTunnel(t, "myouter", device.LinkOf(t, "lo"), "10.98.0.2")
	tunnel = newTunnel(t, "myinner", tunnel, "10.98.0.3")
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "mybridge"}}
	if err := netlink.LinkAdd(b); err != nil {
		t.Fatalf("bridge: %v", err)
	}
	for _, port := range []netlink.Link{device.LinkOf(t, name), tunnel} {
		if err := netlink.LinkSetMaster(port, b); err != nil {
			t.Fatalf("%s into the bridge: %v", port.Attrs().Name, err)
		}
	}
	device.Up(t, b.Name)
}

// TestFramesHaveTheRoomThatABridgeAsksFor: the tunnel need not copy them. With the
// route missing they go no further than that. Stock tun's small frames are copied.
func TestFramesHaveTheRoomThatABridgeAsksFor(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{TAP: true, NoAddresses: true})
	bridge(t, p.Name)
	trace := device.TraceCopies(t)
	for _, size := range []int{100, 1400} {
		before := device.Counters(t, "myinner")
		const frames = 20
		// to nobody whom the bridge knows
		frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5}, make([]byte, size)...)
		for range frames {
			if _, err := unix.Write(p.FD, frame); err != nil {
				t.Fatal(err)
			}
		}
		device.WaitFor(t, "all frames in the tunnel", func() bool {
			now := device.Counters(t, "myinner")
			return now.TxErrors+now.TxPackets >= before.TxErrors+before.TxPackets+frames
		})
	}
	if n := trace.Events(t); n != 0 {
		t.Errorf("%d frames were copied for want of room", n)
	}
}
