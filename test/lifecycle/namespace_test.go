// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func move(t *testing.T, name string, ns netns.NsHandle) {
	t.Helper()
	if err := netlink.LinkSetNsFd(device.LinkOf(t, name), int(ns)); err != nil {
		t.Fatalf("move %s: %v", name, err)
	}
}

// TestNamespaceOfTheDeviceEndsUnderTraffic: the device is moved to another
// namespace, carries frames there, and that namespace ends.
func TestNamespaceOfTheDeviceEndsUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	ns := device.MakeNamespace(t)
	move(t, l.Name, ns)
	var busy *device.Busy
	device.Inside(t, ns, func() {
		device.Up(t, l.Name)
		device.AddAddress(t, l.Name, l.Host4.String()+"/24")
		// a socket of a flood would keep the namespace
		busy = device.NewBusySender(t, l)
	})
	ns.Close()
	device.WaitFor(t, "the device's end", func() bool { return l.Queue().State() == device.StateDetached })
	busy.Stop()
	checkDetached(t, l.Queue())
	device.CheckWorks(t)
}

// TestOpenFileKeepsItsNamespace: the file and its device live on where nobody
// else is, and end with the file.
func TestOpenFileKeepsItsNamespace(t *testing.T) {
	device.Sandbox(t)
	ns := device.MakeNamespace(t)
	var q *device.Queue
	device.Inside(t, ns, func() { q = device.NewQueue(t, "myhidden", device.TUN, minRing, minRing) })
	ns.Close()
	frame := make([]byte, 100)
	frame[0] = 0x45
	for range 100 {
		q.Send(t, frame)
	}
	q.WaitTaken(t)
	if err := device.Ioctl(q.FD, unix.TUNGETIFF, device.Ifreq("", 0)); err != nil || q.State() != 0 {
		t.Errorf("TUNGETIFF: %v, state %#x", err, q.State())
	}
	q.Close()
	q.Unmap()
	device.WaitFor(t, "the thread to end", func() bool { return len(device.Kthreads("myhidden")) == 0 })
}

// TestNamespaceOfTheOpenerEnds: the device was moved out and goes on.
func TestNamespaceOfTheOpenerEnds(t *testing.T) {
	here := device.Sandbox(t)
	ns := device.MakeNamespace(t)
	var l *device.Link
	device.Inside(t, ns, func() {
		l = device.NewLink(t, device.Config{})
		move(t, l.Name, here)
	})
	ns.Close()
	device.Up(t, l.Name)
	device.AddAddress(t, l.Name, l.Host4.String()+"/24")
	l.Exchange(t, false, 100, 1400)
	l.Queue().Close()
	l.Queue().Unmap()
	device.WaitGone(t, l.Name)
}

func TestDeviceMovedBackAndForthUnderTraffic(t *testing.T) {
	here := device.Sandbox(t)
	there := device.NewNamespace(t)
	l := device.NewLink(t, device.Config{})
	busy := device.NewBusySender(t, l)
	for range 5 {
		move(t, l.Name, there)
		device.Inside(t, there, func() {
			device.Up(t, l.Name)
			busy.WaitSent(t, 100)
			move(t, l.Name, here)
		})
		device.Up(t, l.Name)
		busy.WaitSent(t, 100)
	}
	busy.Stop()
	device.AddAddress(t, l.Name, l.Host4.String()+"/24")
	l.Exchange(t, false, 100)
}
