// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func deadline() time.Time { return time.Now().Add(device.Deadline) }

func TestNamesAreChosenAsAsked(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []struct {
		name  string
		flags uint16
		want  string
	}{
		{"", device.TUN, "mytun0"}, {"", device.TUN, "mytun1"}, {"", device.TAP, "mytap0"},
		{"foo%d", device.TUN, "foo0"}, {"foo%d", device.TAP, "foo1"}, {"foo7", device.TUN, "foo7"},
		{"fifteen-letters", device.TUN, "fifteen-letters"},
	} {
		f := device.Open(t)
		got, err := f.TryAttach(c.name, c.flags)
		if err != nil || got != c.want {
			t.Errorf("name %q gave %q, %v, want %q", c.name, got, err, c.want)
		}
		if !device.LinkExists(c.want) {
			t.Errorf("no device %q", c.want)
		}
		if b := getiff(t, f); device.IfreqName(b) != c.want || device.IfreqFlags(b) != c.flags {
			t.Errorf("TUNGETIFF: %q flags %#x", device.IfreqName(b), device.IfreqFlags(b))
		}
	}
}

func TestInvalidNamesAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	for _, name := range []string{
		"a/b", ".", "..", "a b", "a:b", "a\tb", "%s", "%s%d", "%d%d", "x%dy%d", "%x", "%", "a%", "%n%n%n",
	} {
		refused(t, f, "TUNSETIFF "+name, unix.EINVAL, func() error {
			_, err := f.TryAttach(name, device.TUN)
			return err
		})
	}
	f.Attach(t, "", device.TUN)
}

const flagsThatWork = device.TUN | device.TAP | device.Multi | device.Vnet | device.NoCarrier |
	unix.IFF_ONE_QUEUE | unix.IFF_NAPI | device.Backpressure

func TestBadDeviceFlagsAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	bad := []uint16{0, unix.IFF_NO_PI, device.TUN | device.TAP, device.Multi}
	for bit := uint16(1); bit != 0; bit <<= 1 {
		if bit&(flagsThatWork|device.Excl) == 0 {
			bad = append(bad, device.TUN|bit, device.TAP|bit)
		}
	}
	for _, flags := range bad {
		refused(t, f, "TUNSETIFF", unix.EINVAL, func() error {
			_, err := f.TryAttach("mybad", flags)
			return err
		})
	}
	if device.LinkExists("mybad") {
		t.Error("there is a device all the same")
	}
}

func TestAttachTwiceIsRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	for _, again := range []string{name, "other", "", "lo"} {
		refused(t, f, "second TUNSETIFF", unix.EEXIST, func() error {
			_, err := f.TryAttach(again, device.TUN)
			return err
		})
	}
	if device.LinkExists("other") {
		t.Error("the second TUNSETIFF created a device")
	}
}

func TestSingleQueueDeviceIsBusy(t *testing.T) {
	device.Sandbox(t)
	first, second := device.Open(t), device.Open(t)
	name := first.Attach(t, "", device.TUN)
	tryAttach(t, second, name, device.TUN, unix.EBUSY)
	first.Close()
	second.Attach(t, name, device.TUN)
}

func tryAttach(t *testing.T, f *device.File, name string, flags uint16, want error) {
	t.Helper()
	refused(t, f, "TUNSETIFF", want, func() error {
		_, err := f.TryAttach(name, flags)
		return err
	})
}

func TestSecondQueueMustHaveTheSameFlags(t *testing.T) {
	device.Sandbox(t)
	name := device.Open(t).Attach(t, "", device.TUN|device.Multi)
	f := device.Open(t)
	for _, flags := range []uint16{
		device.TUN, device.TAP | device.Multi, device.TUN | device.Multi | device.Vnet, unix.IFF_TUN | device.Multi,
	} {
		tryAttach(t, f, name, flags, unix.EINVAL)
	}
	f.Attach(t, name, device.TUN|device.Multi)
	if got := f.Info(t).Queue; got != 1 {
		t.Errorf("queue %d, want 1", got)
	}
}

func TestForeignDevicesAreRefused(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	tryAttach(t, f, "lo", device.TUN, unix.EINVAL)
	tryAttach(t, f, "lo", device.TAP|device.Multi, unix.EINVAL)
}

func TestExclusiveAttachNeedsANewDevice(t *testing.T) {
	device.Sandbox(t)
	first, second := device.Open(t), device.Open(t)
	name := first.Attach(t, "myexcl", device.TUN|device.Multi|device.Excl)
	tryAttach(t, second, name, device.TUN|device.Multi|device.Excl, unix.EBUSY)
	second.Attach(t, name, device.TUN|device.Multi)
	if flags := device.IfreqFlags(getiff(t, first)); flags != device.TUN|device.Multi {
		t.Errorf("flags %#x: IFF_TUN_EXCL acts once", flags)
	}
}

func TestQueueLimit(t *testing.T) {
	device.Sandbox(t)
	const flags = device.TUN | device.Multi
	files := make([]*device.File, device.QueuesMax)
	for i := range files {
		files[i] = device.Open(t)
		files[i].Attach(t, "mymany", flags)
		if got := files[i].Info(t).Queue; got != uint32(i) {
			t.Fatalf("queue %d, want %d", got, i)
		}
	}
	last := device.Open(t)
	tryAttach(t, last, "mymany", flags, unix.E2BIG)
	files[100].Close()
	last.Attach(t, "mymany", flags)
	if got := last.Info(t).Queue; got != 100 {
		t.Errorf("queue %d took the place of 100", got)
	}
}

func TestFeaturesAreTheFlagsThatWork(t *testing.T) {
	device.Sandbox(t)
	b := make([]byte, 4)
	if err := device.Ioctl(device.Open(t).FD, unix.TUNGETFEATURES, b); err != nil {
		t.Fatal(err)
	}
	got := uint16(b[0]) | uint16(b[1])<<8
	if got != flagsThatWork {
		t.Errorf("features %#x, want %#x", got, flagsThatWork)
	}
}

func TestPersistentDeviceOutlivesItsFile(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	f.SetPersist(t, true)
	f.SetPersist(t, true)
	if flags := device.IfreqFlags(getiff(t, f)); flags != device.TUN|device.Persist {
		t.Errorf("flags %#x", flags)
	}
	f.Close()
	if !device.LinkExists(name) {
		t.Fatal("the device is gone")
	}
	f = device.Open(t)
	f.Attach(t, name, device.TUN)
	f.SetPersist(t, false)
	f.SetPersist(t, false)
	f.Close()
	if device.LinkExists(name) {
		t.Error("the device is still there")
	}
}

func TestOnlyOwnerAndGroupAttachWithoutRights(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []struct {
		what    string
		request uint
	}{{"owner", unix.TUNSETOWNER}, {"group", unix.TUNSETGROUP}} {
		f := device.Open(t)
		name := f.Attach(t, "", device.TUN)
		f.SetPersist(t, true)
		if err := device.IoctlValue(f.FD, c.request, 1000); err != nil {
			t.Fatalf("set %s: %v", c.what, err)
		}
		f.Close()
		f = device.Open(t)
		device.AsUser(t, 2000, 2000, func() { tryAttach(t, f, name, device.TUN, unix.EPERM) })
		device.AsUser(t, 1000, 1000, func() { f.Attach(t, name, device.TUN) })
		f.SetPersist(t, false)
		f.Close()
	}
}

// TestDeviceWithoutOwnerIsForThePrivileged: owner and group are a permission, so
// where neither is set nobody has it, for a first queue or a further one.
func TestDeviceWithoutOwnerIsForThePrivileged(t *testing.T) {
	device.Sandbox(t)
	first, further := device.Open(t), device.Open(t)
	name := first.Attach(t, "", device.TUN|device.Multi)
	device.AsUser(t, 1000, 1000, func() { tryAttach(t, further, name, device.TUN|device.Multi, unix.EPERM) })
	first.SetPersist(t, true)
	first.Close()
	device.AsUser(t, 1000, 1000, func() { tryAttach(t, further, name, device.TUN|device.Multi, unix.EPERM) })
	further.Attach(t, name, device.TUN|device.Multi)
	further.SetPersist(t, false)
}

func TestUnprivilegedUserCreatesNothing(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	device.AsUser(t, 1000, 1000, func() { tryAttach(t, f, "myuser", device.TUN, unix.EPERM) })
	if device.LinkExists("myuser") {
		t.Error("there is a device all the same")
	}
}

func TestNobodyIsNoOwner(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, request := range []uint{unix.TUNSETOWNER, unix.TUNSETGROUP} {
		refused(t, f, "owner -1", unix.EINVAL, func() error {
			return device.IoctlValue(f.FD, request, uintptr(^uint32(0)))
		})
	}
}

func TestLongNamesEndSomewhere(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	got := f.Attach(t, strings.Repeat("x", unix.IFNAMSIZ), device.TUN)
	if want := strings.Repeat("x", unix.IFNAMSIZ-1); got != want {
		t.Errorf("name %q, want %q", got, want)
	}
}
