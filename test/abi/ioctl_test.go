// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"errors"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// expect fails the test unless err is want.
func expect(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// refused makes a call that must fail with want and leave everything as it was.
func refused(t *testing.T, f *device.File, what string, want error, call func() error) {
	t.Helper()
	info, stats := f.Info(t), f.Stats(t)
	expect(t, what, call(), want)
	if after := f.Info(t); after != info {
		t.Errorf("%s failed and changed the info from %+v to %+v", what, info, after)
	}
	if after := f.Stats(t); after.RxFrames != stats.RxFrames || after.TxFrames != stats.TxFrames {
		t.Errorf("%s failed and changed the statistics", what)
	}
}

var own = []struct {
	name    string
	request uint
	size    uint
}{
	{"GET_INFO", device.IocGetInfo, device.InfoSize},
	{"SET_RINGS", device.IocSetRings, device.RingsSize},
	{"SET_EVENTFDS", device.IocSetEventfds, device.EventfdsSize},
	{"SET_POLL", device.IocSetPoll, 4},
	{"GET_STATS", device.IocGetStats, device.StatsSize},
	{"SET_BACKPRESSURE", device.IocSetBackpressure, 4},
	{"SET_BATCH", device.IocSetBatch, 4},
}

func TestWrongSizeOrDirectionIsNoSuchIoctl(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	buffer := make([]byte, 4096)
	for _, c := range own {
		for _, size := range []uint{0, c.size - 4, c.size + 4, c.size + 8, 2048} {
			request := c.request&^(0x3fff<<16) | size<<16
			refused(t, f, c.name+" with a wrong size", unix.ENOTTY, func() error {
				return device.Ioctl(f.FD, request, buffer)
			})
		}
		for direction := uint(0); direction < 4; direction++ {
			request := c.request&^(3<<30) | direction<<30
			if request == c.request {
				continue
			}
			refused(t, f, c.name+" with a wrong direction", unix.ENOTTY, func() error {
				return device.Ioctl(f.FD, request, buffer)
			})
		}
	}
}

func TestUnknownIoctlsAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	buffer := make([]byte, 4096)
	for nr := uint(8); nr < 256; nr++ {
		for _, size := range []uint{0, 4, 32} {
			request := 1<<30 | size<<16 | 0xF7<<8 | nr
			expect(t, "unknown number", device.Ioctl(f.FD, request, buffer), unix.ENOTTY)
		}
	}
	// what is not mytun's own is answered as stock tun answers it
	for _, want := range []error{unix.EBADFD, unix.EINVAL} {
		for _, request := range []uint{unix.TIOCINQ, unix.SIOCGIFMTU, unix.TUNSETDEBUG} {
			expect(t, "ioctl of others", device.Ioctl(f.FD, request, buffer), want)
		}
		f.TryAttach("", device.TUN)
	}
}

func TestBadPointersAreFaults(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	requests := map[string]uint{
		"TUNGETIFF": unix.TUNGETIFF, "TUNGETFEATURES": unix.TUNGETFEATURES, "TUNSETIFF": unix.TUNSETIFF,
	}
	for _, c := range own {
		requests[c.name] = c.request
	}
	for what, request := range requests {
		for _, address := range []uintptr{0, 0xfff, 1 << 46, 1 << 63, ^uintptr(0) - 3} {
			refused(t, f, what, unix.EFAULT, func() error {
				return device.IoctlValue(f.FD, request, address)
			})
		}
	}
	if got := device.IfreqName(getiff(t, f)); got != name {
		t.Errorf("device is now %q, not %q", got, name)
	}
}

func getiff(t *testing.T, f *device.File) []byte {
	t.Helper()
	b := device.Ifreq("", 0)
	if err := device.Ioctl(f.FD, unix.TUNGETIFF, b); err != nil {
		t.Fatalf("TUNGETIFF: %v", err)
	}
	return b
}

func TestAttachThatCannotAnswerLeavesNothingAttached(t *testing.T) {
	device.Sandbox(t)
	page, err := unix.Mmap(-1, 0, device.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	copy(page, device.Ifreq("myfault", device.TUN))
	if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	f := device.Open(t)
	refused(t, f, "TUNSETIFF into read-only memory", unix.EFAULT, func() error {
		return device.Ioctl(f.FD, unix.TUNSETIFF, page)
	})
	if device.LinkExists("myfault") {
		t.Error("the device is there all the same")
	}
	f.Attach(t, "", device.TUN)
}

func TestIoctlsBeforeAttachAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	checkNotAttached(t, f)
}

// checkNotAttached: what needs a device says so.
func checkNotAttached(t *testing.T, f *device.File) {
	t.Helper()
	refused(t, f, "SET_RINGS", unix.EBADFD, func() error {
		return f.TrySetRings(device.RingConfig{RxSize: minRing, TxSize: minRing})
	})
	refused(t, f, "SET_EVENTFDS", unix.EBADFD, func() error {
		return f.TrySetEventfds(device.NoEventfds)
	})
	refused(t, f, "SET_POLL", unix.EBADFD, func() error { return f.TrySetPoll(1) })
	refused(t, f, "SET_BACKPRESSURE", unix.EBADFD, func() error { return f.TrySetBackpressure(1) })
	refused(t, f, "SET_BATCH", unix.EBADFD, func() error { return f.TrySetBatch(device.BatchRead) })
	refused(t, f, "WAIT", unix.EBADFD, f.TryWait)
	refused(t, f, "TUNSETOFFLOAD", unix.EBADFD, func() error { return f.TrySetOffload(device.OffloadCsum) })
	refused(t, f, "TUNGETIFF", unix.EBADFD, func() error {
		return device.Ioctl(f.FD, unix.TUNGETIFF, device.Ifreq("", 0))
	})
	for _, request := range []uint{unix.TUNSETPERSIST, unix.TUNSETOWNER, unix.TUNSETGROUP} {
		refused(t, f, "TUNSET*", unix.EBADFD, func() error { return device.IoctlValue(f.FD, request, 1) })
	}
}

func TestRingsCannotBeSetTwice(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	f.SetRings(t, minRing, 2*minRing)
	for _, size := range []uint32{minRing, 2 * minRing} {
		refused(t, f, "second SET_RINGS", unix.EBUSY, func() error {
			return f.TrySetRings(device.RingConfig{RxSize: size, TxSize: size})
		})
	}
}

func TestBadRingSizesAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	bad := []uint32{1, 63, 4096, minRing / 2, minRing - 1, minRing + 1, minRing + 4096, 3 * minRing,
		maxRing - 4096, maxRing + 1, 2 * maxRing, 1 << 31, 0xffffffff, 0xfffff000}
	for _, size := range bad {
		for _, config := range []device.RingConfig{
			{RxSize: size, TxSize: minRing}, {RxSize: minRing, TxSize: size}, {RxSize: size, TxSize: size},
		} {
			refused(t, f, "SET_RINGS", unix.EINVAL, func() error { return f.TrySetRings(config) })
		}
	}
	refused(t, f, "SET_RINGS of nothing", unix.EINVAL, func() error { return f.TrySetRings(device.RingConfig{}) })
	f.SetRings(t, minRing, minRing)
}

func TestReservedFieldsMustBeZero(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for i := range 3 {
		config := device.RingConfig{RxSize: minRing, TxSize: minRing}
		config.Reserved[i] = 1 << 31
		refused(t, f, "SET_RINGS", unix.EINVAL, func() error { return f.TrySetRings(config) })
	}
	for bit := 1; bit < 32; bit++ { // the lowest is MYTUN_RINGS_HASH
		config := device.RingConfig{RxSize: minRing, TxSize: minRing, Flags: 1 << bit}
		refused(t, f, "SET_RINGS", unix.EINVAL, func() error { return f.TrySetRings(config) })
	}
	f.SetRings(t, minRing, minRing)
	for i := range 5 {
		fds := device.NoEventfds
		fds.Reserved[i] = 1
		refused(t, f, "SET_EVENTFDS", unix.EINVAL, func() error { return f.TrySetEventfds(fds) })
	}
}

func TestPollWindowIsBounded(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, usecs := range []uint32{device.PollMaxUsecs + 1, 1 << 31, 0xffffffff} {
		refused(t, f, "SET_POLL", unix.EINVAL, func() error { return f.TrySetPoll(usecs) })
	}
	for _, usecs := range []uint32{0, 1, device.PollMaxUsecs} {
		f.SetPoll(t, usecs)
		if got := f.Info(t).PollUsecs; got != usecs {
			t.Errorf("poll window %d, want %d", got, usecs)
		}
	}
}

func TestBadBatchFlagsAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, flags := range []uint32{4, 1 << 31, ^uint32(0)} {
		refused(t, f, "SET_BATCH", unix.EINVAL, func() error { return f.TrySetBatch(flags) })
	}
	for flags := range uint32(4) {
		f.SetBatch(t, flags)
	}
}

func TestFileHasNoSeek(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	_, err := unix.Seek(f.FD, 0, 0)
	expect(t, "lseek", err, unix.ESPIPE)
}
