// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestReadersArePreemptedWhileTheirDeviceGoes: each has taken a frame out of the device's
// list and is about to describe it, when it is others' turn; when it is its turn again,
// there is no device. The kernel's checkers of memory see whether it is looked for, on a
// kernel that is preemptible.
func TestReadersArePreemptedWhileTheirDeviceGoes(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor: it is nobody's turn while the device goes")
	}
	runtime.GOMAXPROCS(2 * readers)
	ns := device.Sandbox(t)
	// what is not plain TCP or UDP is dissected by the kernel's own function, here long
	// enough for its time to be over
	device.Delay(t, 10000, "__skb_get_hash_symmetric_net", "__skb_get_hash_symmetric")
	for range device.Times(10) {
		f := device.OpenNode(t, device.Node, 0)
		name := f.Attach(t, "", device.TUN)
		f.SetBatch(t, device.BatchRead)
		if err := netlink.LinkSetTxQLen(device.LinkOf(t, name), waitingFrames); err != nil {
			t.Fatal(err)
		}
		device.Up(t, name)
		for range waitingFrames / floodFrames {
			device.Inside(t, ns, func() { flood(t, name, false) })
		}
		readUntilItGoes(t, f, func() { device.Delete(t, name) })
		f.Close()
	}
	device.CheckWorks(t)
}

const (
	readers       = 12
	waitingFrames = 2000
	readersCPU    = 1
)

// readUntilItGoes reads from many threads on one processor, takes that processor from
// them when all have begun, and lets them go on when the device has gone.
func readUntilItGoes(t *testing.T, f *device.File, end func()) {
	t.Helper()
	var reading sync.WaitGroup
	var begun, frames atomic.Int32
	for range readers {
		reading.Go(func() {
			runtime.LockOSThread()
			device.Pin(t, 0, readersCPU)
			begun.Add(1)
			for b := make([]byte, 4096); ; frames.Add(1) {
				if n, err := unix.Read(f.FD, b); n <= 0 && err != unix.EINTR {
					return
				}
			}
		})
	}
	device.WaitFor(t, "the readers", func() bool { return begun.Load() == readers && frames.Load() >= readers })
	release := occupy(t, readersCPU)
	end()
	release()
	reading.Wait()
}

// occupy keeps a processor busy with a thread that runs before all ordinary ones.
func occupy(t *testing.T, cpu int) (release func()) {
	t.Helper()
	var over atomic.Bool
	var busy sync.WaitGroup
	started := make(chan error)
	busy.Go(func() {
		runtime.LockOSThread()
		device.Pin(t, 0, cpu)
		const fifo = 1
		attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: fifo, Priority: 1}
		started <- unix.SchedSetAttr(0, attr, 0)
		for !over.Load() {
		}
	})
	if err := <-started; err != nil {
		t.Fatalf("SCHED_FIFO: %v", err)
	}
	return func() {
		over.Store(true)
		busy.Wait()
	}
}
