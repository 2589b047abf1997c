// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// What stands beside the interface: other namespaces, other devices above it,
// below it and in front of it. Names of what is made here begin with fz.

const (
	sinkName   = "fzsink"
	bridgeName = "fzbridge"
	greName    = "fzgre"
	wireName   = "fzwire0" // and its other end:
	wireEnd    = "fzwire1"
	vlanID     = 7
)

// beyondSink is an address that the machine forwards packets for: to a device
// that can do nothing for the stack, which takes whatever comes.
var beyondSink = netip.AddrFrom4([4]byte{10, 98, 0, 9})

// makeSink makes the machine forward what is for beyondSink.
func makeSink(t *tb) {
	device.Sysctl(t, "net/ipv4/ip_forward", "1")
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: sinkName}}); err != nil {
		t.Fatalf("add %s: %v", sinkName, err)
	}
	device.TakeOffloads(t, sinkName)
	device.Up(t, sinkName)
	device.AddRoute(t, sinkName, beyondSink.String()+"/32")
}

// hardware are kinds of hardware that a device can pass for: all that the kernel
// has names for.
var hardware = number{interesting: []uint64{
	0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 19, 23, 24, 27, 32, 256, 257, 258, 259, 260, 264, 270, 271, 272, 280, 290, 512, 513, 516, 517,
	518, 519, 768, 769, 770, 771, 772, 773, 774, 775, 776, 777, 778, 779, 780, 781, 782, 783, 784, 785, 786, 787, 800, 801, 802,
	803, 804, 805, 820, 821, 822, 823, 824, 825, 826, 65534, 65535,
}, limit: 65535}

// hardwareType makes a device pass for another kind of hardware, which it has to
// be down for.
func (w *world) hardwareType(_ *thread, a []uint64) error {
	link, err := netlink.LinkByName(devices[a[1]])
	if err != nil {
		return err
	}
	netlink.LinkSetDown(link)
	err = device.IoctlValue(firstFile+int(a[0]), unix.TUNSETLINK, uintptr(a[2]))
	return errors.Join(err, netlink.LinkSetUp(link))
}

// elsewhere is another network namespace, which goes with the process.
func (w *world) elsewhere(t *thread) netns.NsHandle {
	w.otherOnce.Do(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		w.other = netns.None()
		w.other = device.MakeNamespace(t)
	})
	return w.other
}

// move takes a device to another namespace and back, or deletes it there.
func (w *world) move(t *thread, a []uint64) error {
	link, err := netlink.LinkByName(devices[a[0]])
	if err != nil {
		return err
	}
	here, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := netlink.NewHandleAt(w.elsewhere(t), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := netlink.LinkSetNsFd(link, int(w.other)); err != nil {
		return err
	}
	if link, err = there.LinkByName(link.Attrs().Name); err != nil {
		return err
	}
	if err = there.LinkSetNsFd(link, int(here.Fd())); err != nil {
		there.LinkDel(link)
	}
	return err
}

// neighbour changes what is connected to an interface: a bridge that it is a port
// of, which can want more room in front of frames, or a VLAN device above it.
func neighbour(link netlink.Link, what string) error {
	switch what {
	case "vlan":
		vlan := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: vlanOf(link.Attrs().Name), ParentIndex: link.Attrs().Index}, VlanId: vlanID}
		netlink.LinkAdd(vlan)
		return netlink.LinkSetUp(vlan)
	case "unbridge":
		return netlink.LinkSetNoMaster(link)
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	netlink.LinkAdd(bridge)
	err := errors.Join(netlink.LinkSetUp(bridge), netlink.LinkSetMaster(link, bridge))
	if what == "headroom" {
		gre := &netlink.Gretap{LinkAttrs: netlink.LinkAttrs{Name: greName}, Local: sides(0).Host4.AsSlice(), Remote: sides(0).Peer4.AsSlice()}
		netlink.LinkAdd(gre)
		err = errors.Join(err, netlink.LinkSetMaster(gre, bridge))
	}
	return err
}

func vlanOf(name string) string { return name + ".7" }

var tags = enum{"plain", "tagged"}

// redirect sends frames into a device by the generic XDP program of another, to
// which they come over a wire, with a VLAN tag beside the bytes or without one.
func (w *world) redirect(t *thread, a []uint64) error {
	to, err := netlink.LinkByName(devices[a[0]])
	if err != nil {
		return err
	}
	wire := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: wireName}, PeerName: wireEnd}
	netlink.LinkAdd(wire)
	end, err := netlink.LinkByName(wireEnd)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(wire), netlink.LinkSetUp(end), neighbour(end, "vlan")); err != nil {
		return err
	}
	err = withProgram(ebpf.XDP, verdict(uint64(slices.Index(verdicts, "redirect")), to.Attrs().Index), func(fd int) error {
		return netlink.LinkSetXdpFdWithFlags(wire, fd, nl.XDP_FLAGS_SKB_MODE)
	})
	from, frame := wireEnd, sides(a[0]).Frame(false, device.Datagram{Payload: make([]byte, min(a[2], 1400))})
	if tags[a[1]] == "tagged" {
		from = vlanOf(wireEnd)
	}
	l := sides(a[0])
	l.TAP = true
	frame = ip(l, false, 17, frame[device.IPHeader(false):])
	return errors.Join(err, sendTo(from, frame, int(a[3])))
}

// deleteOthers deletes what operations have made beside the devices.
func deleteOthers() error {
	links, err := netlink.LinkList()
	for _, l := range links {
		name := l.Attrs().Name
		if strings.HasPrefix(name, "fz") && name != sinkName && l.Type() != "mytun" {
			netlink.LinkDel(l)
		}
	}
	return err
}
