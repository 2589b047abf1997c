// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A holdings is what the module and its users hold.
type holdings struct {
	threads, areas, files int
	references            int // to the module
	namespaces            int // for the network, that have a number here
	packets               int // objects in the slab caches for packets
}

// packetSlack is how many packets the kernel may keep in stores of its own, for each CPU.
const packetSlack = 300

func takeHoldings(t *testing.T) holdings {
	t.Helper()
	return holdings{
		threads: len(device.Kthreads("")), areas: device.ModuleAreas(t), files: device.Descriptors(t),
		references: device.ModuleReferences(t), namespaces: device.CountNumbered(t), packets: device.Packets(t),
	}
}

// compare waits until no more is held than before.
func (h holdings) compare(t *testing.T) {
	t.Helper()
	var now holdings
	if !device.Until(time.Now().Add(device.Deadline), func() bool {
		now = takeHoldings(t)
		return now.within(h)
	}) {
		t.Fatalf("%+v are held, %+v before", now, h)
	}
}

// within tells whether no more is held than before. It may be less: what an earlier test had
// may not have gone yet, then.
func (h holdings) within(before holdings) bool {
	return h.threads <= before.threads && h.areas <= before.areas && h.files <= before.files &&
		h.references <= before.references && h.namespaces <= before.namespaces && h.packets <= before.packets+packetSlack
}

// TestNothingIsLeftAfterManyDevices: files, threads and memory are as before.
func TestNothingIsLeftAfterManyDevices(t *testing.T) {
	device.Sandbox(t)
	cycle(t, device.TUN)
	before, memory := takeHoldings(t), device.MemoryAvailable(t)
	for i := range 60 {
		cycle(t, []uint16{device.TUN, device.TAP, device.TUN | device.Multi}[i%3])
	}
	before.compare(t)
	const tolerance = 64 << 20 // a leak of the rings alone would be 120 MiB
	if now := device.MemoryAvailable(t); now+tolerance < memory {
		t.Errorf("%d bytes available, %d before", now, memory)
	}
}

func cycle(t *testing.T, flags uint16) {
	t.Helper()
	const size = 1 << 20
	f := device.Open(t)
	name := f.Attach(t, "", flags)
	f.SetRings(t, size, size)
	if device.ModuleAreas(t) == 0 {
		t.Fatal("/proc/vmallocinfo does not show the module's memory")
	}
	f.Close()
	if device.LinkExists(name) {
		t.Fatalf("%s is still there", name)
	}
}

// TestNothingIsLeftAfterThousandsOfFiles, of which only some got as far as a device.
func TestNothingIsLeftAfterThousandsOfFiles(t *testing.T) {
	device.Sandbox(t)
	before := takeHoldings(t)
	for i := range 5000 {
		fd, err := unix.Open(device.Node, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("open the %dth time: %v", i, err)
		}
		f := &device.File{FD: fd}
		if i%50 == 0 {
			f.Attach(t, "", device.TUN)
		}
		if err := f.Close(); err != nil {
			t.Fatalf("close the %dth time: %v", i, err)
		}
	}
	before.compare(t)
}
