// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package lifecycle tests that a queue and its device can end at any moment, in
// any order, with traffic running, and leave nothing behind.
package lifecycle

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	minRing  = device.RingSizeMin
	hostPort = device.HostPort
	peerPort = device.PeerPort
)

func TestMain(m *testing.M) { device.Main(m, children) }

// prompt is how long the end of a device may take on a slow machine.
const prompt = 5 * time.Second

func TestFileClosedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	areas := device.ModuleAreas(t)
	l := device.NewLink(t, device.Config{})
	busy := device.NewBusy(t, l)
	if err := l.Queue().Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	// the mappings keep the file open
	busy.WaitMore(t, 200)
	if len(device.Kthreads(l.Name)) != 1 {
		t.Error("the mapped queue has no thread any more")
	}
	busy.StopProcess()
	device.Within(t, prompt, "the last munmap", l.Queue().Unmap)
	device.WaitGone(t, l.Name)
	busy.Stop()
	if got := device.ModuleAreas(t); got != areas {
		t.Errorf("%d areas of kernel memory, %d before", got, areas)
	}
	device.CheckWorks(t)
}

func TestRingsUnmappedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	busy := device.NewBusy(t, l)
	busy.StopProcess()
	q.Unmap()
	dropped := q.Stats(t).RxDropped
	device.WaitFor(t, "the ring to fill, and all that may wait", func() bool { return q.Stats(t).RxDropped > dropped })
	again := device.MapQueue(t, q.File)
	// A frame may be dropped because too many wait, before the ring has any.
	device.WaitFor(t, "frames in the ring", func() bool { _, _, ok := again.Peek(); return ok })
	busy.Stop()
	q.Close()
	again.Unmap()
	device.WaitGone(t, l.Name)
}

// checkDetached: the device is gone, the file is not.
func checkDetached(t *testing.T, q *device.Queue) {
	t.Helper()
	device.WaitFor(t, "the state", func() bool { return q.State() == device.StateDetached })
	if got := q.Events(t); got != unix.POLLERR|unix.POLLHUP {
		t.Errorf("poll says %#x", got)
	}
	for what, err := range map[string]error{
		"SET_RINGS":    q.TrySetRings(device.RingConfig{RxSize: minRing, TxSize: minRing}),
		"SET_EVENTFDS": q.TrySetEventfds(device.NoEventfds),
		"SET_POLL":     q.TrySetPoll(1),
		"TUNGETIFF":    device.Ioctl(q.FD, unix.TUNGETIFF, device.Ifreq("", 0)),
		"TUNSETIFF":    attach(q.File, "myagain"),
	} {
		if err != unix.EBADFD {
			t.Errorf("%s: %v, want EBADFD", what, err)
		}
	}
	if got := q.Info(t).Queue; got != ^uint32(0) {
		t.Errorf("queue %d", got)
	}
	if device.LinkExists("myagain") {
		t.Error("a device was left behind by the refused attach")
	}
	checkMemory(t, q)
}

func attach(f *device.File, name string) error {
	_, err := f.TryAttach(name, device.TUN)
	return err
}

// checkMemory: what is mapped can be read and written, and mapped again.
func checkMemory(t *testing.T, q *device.Queue) {
	t.Helper()
	atomic.StoreUint32(q.Words.TxNeedSpace, 7)
	q.TxData[3], q.RxData[5] = 1, 2
	again := device.MapQueue(t, q.File)
	if again.TxData[3] != 1 || again.RxData[5] != 2 || atomic.LoadUint32(again.Words.TxNeedSpace) != 7 {
		t.Error("the memory is another")
	}
}

func TestDeviceDeletedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	for _, tap := range []bool{false, true} {
		l := device.NewLink(t, device.Config{TAP: tap})
		busy := device.NewBusy(t, l)
		device.Within(t, prompt, "deleting the device", func() { device.Delete(t, l.Name) })
		device.WaitGone(t, l.Name)
		busy.Stop()
		if !device.Signalled(l.Queue().RxDoorbell) || !device.Signalled(l.Queue().TxSpace) {
			t.Error("the eventfds are silent")
		}
		checkDetached(t, l.Queue())
		l.Queue().Close()
	}
	device.CheckWorks(t)
}

func TestDeviceWithManyQueuesDeletedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 4})
	busy := device.NewBusy(t, l)
	device.Within(t, prompt, "deleting the device", func() { device.Delete(t, l.Name) })
	busy.Stop()
	for _, q := range l.Queues {
		checkDetached(t, q)
	}
}

// TestDeviceWithAllQueuesDeletedUnderTraffic: what the end of a device waits
// for, it waits for once, and not for each of its queues. All others that want
// to configure a device stand still meanwhile. How long the kernel itself takes
// for so many queues shows in its own device.
func TestDeviceWithAllQueuesDeletedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	stock := deleteStockWithAllQueues(t)
	l := device.NewLink(t, device.Config{Queues: 4})
	for len(l.Queues) < device.QueuesMax {
		f := device.Open(t)
		f.Attach(t, l.Name, l.Flags)
		f.SetRings(t, minRing, minRing)
		l.Queues = append(l.Queues, device.MapQueue(t, f))
	}
	busy := device.NewBusy(t, l)
	took := timeOf(func() { device.Delete(t, l.Name) })
	t.Logf("deleting %d queues took %v, of stock tun %v", len(l.Queues), took, stock)
	if most := 3*stock + prompt; took > most {
		t.Errorf("deleting %d queues took %v, more than %v", len(l.Queues), took, most)
	}
	busy.Stop()
	for i, q := range l.Queues {
		if q.State() != device.StateDetached {
			t.Fatalf("queue %d: state %#x", i, q.State())
		}
	}
	checkDetached(t, l.Queues[device.QueuesMax-1])
}

// deleteStockWithAllQueues is how long it takes the kernel's own device, with
// nothing to do, to go.
func deleteStockWithAllQueues(t *testing.T) time.Duration {
	t.Helper()
	p := device.NewPort(t, device.StockNode, device.Config{Flags: device.Multi})
	for range device.QueuesMax - 1 {
		device.OpenNode(t, device.StockNode, 0).Attach(t, p.Name, p.Flags)
	}
	return timeOf(func() { device.Delete(t, p.Name) })
}

func timeOf(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func TestFileWithoutRingsCanAttachAgain(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	for range 3 {
		name := f.Attach(t, "", device.TUN)
		device.Delete(t, name)
		if got := f.Events(t); got != unix.POLLERR {
			t.Errorf("poll says %#x", got)
		}
	}
	f.Attach(t, "", device.TAP)
	if got := f.Events(t); got != 0 {
		t.Errorf("poll says %#x after attaching again", got)
	}
}

func TestDeviceDeletedWhileTheProcessStandsStill(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, 0)
	for range 3000 {
		conn.WriteToUDPAddrPort(make([]byte, 1000), l.PeerAddr(false, peerPort))
	}
	device.WaitFor(t, "a full ring", func() bool { return q.Stats(t).RxRingFull > 0 && q.Stats(t).RxDropped > 0 })
	device.Within(t, prompt, "deleting the device", func() { device.Delete(t, l.Name) })
	checkDetached(t, q)
}

// TestFileClosedWhileTheProcessStandsStill: frames wait in the ring and in the
// kernel's queue, and nobody will ever take them.
func TestFileClosedWhileTheProcessStandsStill(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, 0)
	for range 3000 {
		conn.WriteToUDPAddrPort(make([]byte, 1000), l.PeerAddr(false, peerPort))
	}
	l.Queue().Unmap()
	device.Within(t, prompt, "close", func() { l.Queue().Close() })
	device.WaitGone(t, l.Name)
}

func TestPersistentDeviceIsReattachedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	l.Queue().SetPersist(t, true)
	busy := device.NewBusy(t, l)
	for range 5 {
		busy.StopProcess()
		l.Queue().Close()
		l.Queue().Unmap()
		device.WaitFor(t, "the thread to end", func() bool { return len(device.Kthreads(l.Name)) == 0 })
		l.Queues[0] = device.NewQueue(t, l.Name, l.Flags, minRing, 2*minRing)
		next := device.NewBusy(t, l)
		busy.Stop()
		busy = next
	}
	busy.Stop()
	l.Drain(t)
	l.Exchange(t, false, 100)
	l.Queue().SetPersist(t, false)
}

func TestPersistentDeviceCanBeDeletedWithoutAFile(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	f.SetPersist(t, true)
	f.Close()
	device.Delete(t, name)
	device.WaitGone(t, name)
}

func TestDownAndUpUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	busy := device.NewBusy(t, l)
	for range 10 {
		dropped := l.Queue().Stats(t).TxDroppedDown
		device.Down(t, l.Name)
		device.WaitFor(t, "a frame that meets a device that is down", func() bool { return l.Queue().Stats(t).TxDroppedDown > dropped })
		device.Up(t, l.Name)
		if err := netlink.RouteAdd(routeTo(t, l)); err != nil && err != unix.EEXIST {
			t.Fatalf("route: %v", err)
		}
		busy.WaitMore(t, 50)
	}
	busy.Stop()
	l.Drain(t)
	l.Exchange(t, false, 100)
	if l.Queue().State() != 0 {
		t.Errorf("state %#x, stats %+v", l.Queue().State(), l.Queue().Stats(t))
	}
}

func routeTo(t *testing.T, l *device.Link) *netlink.Route {
	t.Helper()
	network, err := netlink.ParseIPNet("10.99.0.0/24")
	if err != nil {
		t.Fatal(err)
	}
	return &netlink.Route{LinkIndex: device.LinkOf(t, l.Name).Attrs().Index, Dst: network, Scope: netlink.SCOPE_LINK}
}

func TestMTUChangedUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	busy := device.NewBusy(t, l)
	for _, mtu := range []int{68, 65535, 1500, 9000, 1000} {
		if err := netlink.LinkSetMTU(device.LinkOf(t, l.Name), mtu); err != nil {
			t.Fatalf("mtu %d: %v", mtu, err)
		}
		busy.WaitMore(t, 50)
	}
}

func TestRenamedDeviceGoesOn(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.Down(t, l.Name)
	if err := netlink.LinkSetName(device.LinkOf(t, l.Name), "myrenamed"); err != nil {
		t.Fatalf("rename: %v", err)
	}
	l.Name = "myrenamed"
	device.Up(t, l.Name)
	b := device.Ifreq("", 0)
	if err := device.Ioctl(l.Queue().FD, unix.TUNGETIFF, b); err != nil || device.IfreqName(b) != l.Name {
		t.Errorf("TUNGETIFF says %q, %v", device.IfreqName(b), err)
	}
	if got := l.Queue().Fdinfo(t)["iff"]; got != l.Name {
		t.Errorf("fdinfo says %q", got)
	}
	l.Exchange(t, false, 100)
}
