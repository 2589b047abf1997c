// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"os"
	"os/exec"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func unload() error { return unix.DeleteModule("mytun", unix.O_NONBLOCK) }

// load loads the module from where it came, MYTUN_KO or what modprobe finds, and lets
// everybody use its node, as the rule for udev does.
func load(t *testing.T) {
	t.Helper()
	if path := os.Getenv("MYTUN_KO"); path != "" {
		loadFile(t, path)
	} else if out, err := exec.Command("modprobe", "mytun").CombinedOutput(); err != nil {
		t.Fatalf("modprobe mytun: %v: %s", err, out)
	}
	device.WaitFor(t, device.Node, func() bool { return os.Chmod(device.Node, 0o666) == nil })
}

func loadFile(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil {
		t.Fatalf("load %s: %v", path, err)
	}
}

// needLoadable skips the test where a module that went could not be loaded
// again, or where others are using it.
func needLoadable(t *testing.T) {
	t.Helper()
	if os.Getenv("MYTUN_KO") == "" && exec.Command("modprobe", "--dry-run", "mytun").Run() != nil {
		t.Skip("neither MYTUN_KO nor modprobe knows where the module is")
	}
}

func checkInUse(t *testing.T, why string) {
	t.Helper()
	if err := unload(); err != unix.EWOULDBLOCK && err != unix.EBUSY {
		t.Errorf("unloading with %s: %v", why, err)
		if err == nil {
			load(t)
		}
	}
}

func TestModuleStaysWhileItIsUsed(t *testing.T) {
	needLoadable(t)
	device.Sandbox(t)
	f := device.Open(t)
	checkInUse(t, "an open file")
	name := f.Attach(t, "", device.TUN)
	f.SetRings(t, minRing, minRing)
	checkInUse(t, "a device")
	q := device.MapQueue(t, f)
	f.Close()
	checkInUse(t, "a mapping and no file")
	q.Unmap()
	device.WaitGone(t, name)

	f = device.Open(t)
	name = f.Attach(t, "", device.TAP)
	f.SetPersist(t, true)
	f.Close()
	checkInUse(t, "a persistent device")
	device.Delete(t, name)

	f = device.Open(t)
	name = f.Attach(t, "", device.TUN)
	device.Delete(t, name)
	checkInUse(t, "a file whose device is gone")
	f.Close()
}

func TestModuleGoesAndComesBack(t *testing.T) {
	needLoadable(t)
	device.Sandbox(t)
	for range 3 {
		device.CheckWorks(t)
		device.WaitFor(t, "the module to be unused", func() bool { return unload() == nil })
		if _, err := os.Stat(device.Node); err == nil {
			t.Errorf("%s is still there", device.Node)
		}
		load(t)
	}
	device.CheckWorks(t)
}
