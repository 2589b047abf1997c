// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"bytes"
	"os"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const rw = unix.PROT_READ | unix.PROT_WRITE

// TestMappingsTornUnderTraffic replaces, discards and unmaps the rings' pages
// while the kernel writes to them. The kernel has a mapping of its own.
func TestMappingsTornUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, 0)
	stop := background(t, flood(conn, l), func() { device.Signal(q.TxDoorbell) })
	torn := device.MapQueue(t, q.File)
	for _, b := range [][]byte{torn.RxData, torn.TxData, torn.User, torn.Kernel} {
		unix.Madvise(b, unix.MADV_DONTNEED)
		unix.Madvise(b, unix.MADV_REMOVE)
		unix.Madvise(b, unix.MADV_FREE)
		unix.Madvise(b, unix.MADV_DODUMP)
		unix.Mlock(b)
		if err := device.MapFixed(b[:device.PageSize], -1, 0, device.PageSize, rw, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
			t.Errorf("MAP_FIXED over a ring: %v", err)
		}
		clear(b[:device.PageSize])
	}
	if err := device.UnmapPart(torn.TxData[minRing/2 : minRing]); err != nil {
		t.Errorf("munmap of a part: %v", err)
	}
	if err := unix.Mprotect(torn.RxData[minRing:], unix.PROT_NONE); err != nil {
		t.Errorf("mprotect of a part: %v", err)
	}
	stop()
	l.Drain(t)
	l.Exchange(t, false, 1400)
}

// TestAnotherQueuesPagesInItsPlace maps one queue's pages over the other's.
func TestAnotherQueuesPagesInItsPlace(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	a, b := l.Queues[0], l.Queues[1]
	err := device.MapFixed(b.TxData, a.FD, a.Geometry.Tx.DataOffset, len(b.TxData), rw, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("MAP_FIXED: %v", err)
	}
	b.Put(numbered(l, 1)) // into a's ring, announced in b's
	b.Publish()
	device.WaitFor(t, "the empty frame", func() bool { return b.State() != 0 || b.Stats(t).Refused() > 0 })
	conn := l.ListenUDP(t, false, hostPort)
	a.Send(t, numbered(l, 2))
	device.Expect(t, conn, number(2))
}

func TestKernelPageCannotBeWrittenThroughProc(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	l.Exchange(t, false, 100)
	before := bytes.Clone(q.Kernel)
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := memory.WriteAt([]byte{1, 2, 3, 4}, int64(device.Address(q.Kernel))); err == nil {
		t.Error("/proc/self/mem writes the kernel page")
	}
	if !bytes.Equal(before, q.Kernel) {
		t.Error("the kernel page changed")
	}
	l.Exchange(t, false, 100)
}

// TestPagesOutliveTheFileWhereTheyAreHeld puts ring pages into a pipe, ends
// everything, and reads the pipe.
func TestPagesOutliveTheFileWhereTheyAreHeld(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	f.SetRings(t, minRing, minRing)
	info := f.Info(t)
	data, err := f.TryMap(info.Tx.DataOffset, int(info.Tx.DataLength), rw, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	want := device.Pattern(7, 4096)
	copy(data, want)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	vector := []unix.Iovec{{Base: &data[0], Len: 4096}}
	if _, err := unix.Vmsplice(pipe[1], vector, 0); err != nil {
		t.Fatalf("vmsplice: %v", err)
	}
	device.Delete(t, name)
	unix.Munmap(data)
	f.Close()
	device.CheckWorks(t)
	got := make([]byte, 4096)
	if n, err := unix.Read(pipe[0], got); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("the page changed, or %v", err)
	}
}
