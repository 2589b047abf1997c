// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const rw = unix.PROT_READ | unix.PROT_WRITE

func TestNothingCanBeMappedBeforeTheRings(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, offset := range []uint64{0, 0x10000000, 0x20000000, 0x30000000} {
		_, err := f.TryMap(offset, device.PageSize, unix.PROT_READ, unix.MAP_SHARED)
		expect(t, "mmap", err, unix.EINVAL)
	}
}

func TestBadMappingsAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	f.SetRings(t, minRing, minRing)
	info := f.Info(t)
	page, data := int(info.PageLength), int(info.Rx.DataLength)
	kernel, user, rx, tx := info.KernelPageOffset, info.UserPageOffset, info.Rx.DataOffset, info.Tx.DataOffset
	for _, c := range []struct {
		what        string
		offset      uint64
		length      int
		prot, flags int
		want        error
	}{
		{"kernel page, two pages", kernel, 2 * page, unix.PROT_READ, unix.MAP_SHARED, unix.EINVAL},
		{"user page, two pages", user, 2 * page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"rx data once", rx, data / 2, rw, unix.MAP_SHARED, unix.EINVAL},
		{"rx data, a page more", rx, data + page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"rx data, a page less", rx, data - page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"rx data from its second page", rx + uint64(page), data - page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"tx data, one page", tx, page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"page after the kernel page", kernel + uint64(page), page, unix.PROT_READ, unix.MAP_SHARED, unix.EINVAL},
		{"offset beyond all", 0x40000000, page, rw, unix.MAP_SHARED, unix.EINVAL},
		{"offset that wraps at 2^32", 1<<32 + kernel, page, unix.PROT_READ, unix.MAP_SHARED, unix.EINVAL},
		{"private kernel page", kernel, page, unix.PROT_READ, unix.MAP_PRIVATE, unix.EINVAL},
		{"private user page", user, page, rw, unix.MAP_PRIVATE, unix.EINVAL},
		{"private data", tx, data, rw, unix.MAP_PRIVATE, unix.EINVAL},
		{"kernel page for writing", kernel, page, rw, unix.MAP_SHARED, unix.EPERM},
		{"kernel page write-only", kernel, page, unix.PROT_WRITE, unix.MAP_SHARED, unix.EPERM},
		{"executable user page", user, page, rw | unix.PROT_EXEC, unix.MAP_SHARED, unix.EPERM},
		{"executable kernel page", kernel, page, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_SHARED, unix.EPERM},
		{"executable data", tx, data, rw | unix.PROT_EXEC, unix.MAP_SHARED, unix.EPERM},
	} {
		refused(t, f, c.what, c.want, func() error {
			_, err := f.TryMap(c.offset, c.length, c.prot, c.flags)
			return err
		})
	}
}

func TestKernelPageNeverBecomesWritable(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "", device.TUN, minRing, minRing)
	expect(t, "mprotect to write", unix.Mprotect(q.Kernel, rw), unix.EACCES)
	expect(t, "mprotect to execute", unix.Mprotect(q.Kernel, unix.PROT_READ|unix.PROT_EXEC), unix.EACCES)
	expect(t, "data to execute", unix.Mprotect(q.TxData, rw|unix.PROT_EXEC), unix.EACCES)
	if err := unix.Mprotect(q.Kernel, unix.PROT_READ); err != nil {
		t.Errorf("mprotect to what it is: %v", err)
	}
}

func TestMappingsCannotGrow(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "", device.TUN, minRing, minRing)
	for what, b := range map[string][]byte{"kernel": q.Kernel, "user": q.User, "rx": q.RxData, "tx": q.TxData} {
		if err := device.Resize(b, len(b), 2*len(b)); err == nil {
			t.Errorf("mremap made the %s mapping longer", what)
		}
		if err := device.Resize(b, 0, len(b)); err == nil {
			t.Errorf("mremap duplicated the %s mapping", what)
		}
	}
}

func TestDataAreasFollowThemselves(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "", device.TUN, minRing, 4*minRing)
	for i, data := range [][]byte{q.RxData, q.TxData} {
		half := len(data) / 2
		for at := 0; at < half; at += 4096 {
			data[at] = byte(at>>12 + i + 1)
			data[half+at+1] = byte(at>>12 + i + 2)
		}
		for at := 0; at < half; at += 4096 {
			if data[half+at] != byte(at>>12+i+1) || data[at+1] != byte(at>>12+i+2) {
				t.Fatalf("area %d: the copies differ at %#x", i, at)
			}
		}
	}
}

func TestMappingTwiceShowsTheSamePages(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "", device.TUN, minRing, minRing)
	again := device.MapQueue(t, q.File)
	atomic.StoreUint32(q.Words.RxNeedWakeup, 0x12345678)
	if got := atomic.LoadUint32(again.Words.RxNeedWakeup); got != 0x12345678 {
		t.Errorf("user page: %#x", got)
	}
	q.TxData[77] = 0x5a
	if again.TxData[77] != 0x5a || again.TxData[minRing+77] != 0x5a {
		t.Error("tx data differs")
	}
}

func TestRingsBeginEmptyAndZeroed(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "", device.TUN, minRing, minRing)
	for name, data := range map[string][]byte{"rx": q.RxData, "tx": q.TxData} {
		for at, b := range data {
			if b != 0 {
				t.Fatalf("%s data holds %#x at %#x", name, b, at)
			}
		}
	}
	known := map[uint32]bool{}
	for _, at := range []uint32{q.Geometry.Rx.NeedSpace, q.Geometry.Rx.NeedWakeup,
		q.Geometry.Tx.NeedSpace, q.Geometry.Tx.NeedWakeup} {
		known[at] = true
	}
	for _, page := range [][]byte{q.Kernel, q.User} {
		for at, b := range page {
			if b != 0 && !known[uint32(at)&^3] {
				t.Errorf("page holds %#x at %#x", b, at)
			}
		}
	}
}
