// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// TestNamespaceOfTheDeviceEndsUnderTraffic: the device is moved to another
// namespace, carries frames there, and that namespace ends.
func TestNamespaceOfTheDeviceEndsUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	ns := device.MakeNamespace(t)
	device.Move(t, l.Name, ns)
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

// TestNamespaceThatEndsIsAskedFor: it has no user any more for a while before
// its devices go, and nobody may become one.
func TestNamespaceThatEndsIsAskedFor(t *testing.T) {
	device.Sandbox(t)
	refused := 0
	for range 5 {
		l := device.NewLink(t, device.Config{})
		ns := device.MakeNamespace(t)
		device.Move(t, l.Name, ns)
		ns.Close()
		for err := error(nil); err != unix.EBADFD; {
			var fd int
			fd, err = unix.IoctlRetInt(l.Queue().FD, unix.TUNGETDEVNETNS)
			switch err {
			case nil:
				unix.Close(fd)
			case unix.EINVAL:
				refused++
			case unix.EBADFD:
			default:
				t.Fatalf("TUNGETDEVNETNS: %v", err)
			}
		}
	}
	if refused == 0 {
		t.Error("TUNGETDEVNETNS was never EINVAL: no namespace was asked for as it ended")
	}
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
		device.Move(t, l.Name, here)
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
		device.Move(t, l.Name, there)
		device.Inside(t, there, func() {
			device.Up(t, l.Name)
			busy.WaitSent(t, 100)
			device.Move(t, l.Name, here)
		})
		device.Up(t, l.Name)
		busy.WaitSent(t, 100)
	}
	busy.Stop()
	device.AddAddress(t, l.Name, l.Host4.String()+"/24")
	l.Exchange(t, false, 100)
}
