// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// group is a cgroup.
type group struct{ dir string }

// newGroup makes one with a controller, below a mount of the test's own. It is removed at the
// end of the test, for which all that was in it must have gone.
func newGroup(t *testing.T, controller, name string) group {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		t.Fatalf("mount cgroup2: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	top := group{root}
	if !strings.Contains(top.read(t, "cgroup.controllers"), controller) {
		t.Skipf("the kernel has no %s controller in cgroup v2", controller)
	}
	top.write(t, "cgroup.subtree_control", "+"+controller)
	g := group{filepath.Join(root, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		device.WaitFor(t, "the group to be empty", func() bool { return os.Remove(g.dir) == nil })
	})
	return g
}

func (g group) read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (g group) write(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

// current is what is charged to the group, in bytes.
func (g group) current(t testing.TB) int {
	t.Helper()
	n, err := strconv.Atoi(g.read(t, "memory.current"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// entry is a line of memory.stat or memory.events.
func (g group) entry(t testing.TB, file, name string) int {
	t.Helper()
	for line := range strings.Lines(g.read(t, file)) {
		if fields := strings.Fields(line); fields[0] == name {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %q", file, name)
	return 0
}

// start starts a process in the group.
func (g group) start(t *testing.T, name string) *device.Child {
	t.Helper()
	dir, err := os.Open(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	child := device.StartChildAs(t, name, &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())})
	// before the group's own clean-up
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait()
	})
	return child
}

const ringDevice = "myrings"

// rings attaches a file, and sets up and maps rings as large as it is told. At
// a 0 it begins anew.
func rings(t testing.TB) {
	begin := func() *device.File {
		f := device.Open(t)
		f.Attach(t, ringDevice, device.TUN)
		device.Up(t, ringDevice)
		return f
	}
	f := begin()
	var q *device.Queue
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		size, _ := strconv.Atoi(in.Text())
		err := error(nil)
		if size == 0 {
			f.Close()
			q.Unmap()
			f = begin()
		} else if err = f.TrySetRings(device.RingConfig{RxSize: uint32(size), TxSize: uint32(size)}); err == nil {
			q, err = device.TryMapQueue(f)
		}
		if err == nil && size != 0 {
			err = carries(t, q)
		}
		fmt.Println(answer("rings", err))
	}
}

// carries sends some frames.
func carries(t testing.TB, q *device.Queue) error {
	q.SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	frame := make([]byte, 100)
	frame[0] = 0x45
	for range 10 {
		q.Send(t, frame)
	}
	device.WaitFor(t, "the frames", func() bool { return q.Stats(t).TxFrames == 10 })
	return nil
}

// slack is what may be charged besides, or not be charged yet: the process's
// own memory, page tables, and what each CPU keeps in stock.
const slack = 4 << 20

// TestRingsAreChargedToTheOpener: once, and until the file is closed.
func TestRingsAreChargedToTheOpener(t *testing.T) {
	device.Sandbox(t)
	g := newGroup(t, "memory", "mytun-rights")
	child := g.start(t, "rings")
	device.WaitFor(t, "the device", func() bool { return device.LinkExists(ringDevice) })
	for range 3 {
		before, kernel := g.current(t), g.entry(t, "memory.stat", "kernel")
		const size = 16 << 20
		child.Tell(t, strconv.Itoa(size))
		child.ExpectLine(t, "rings: ok")
		device.WaitFor(t, "the rings in memory.stat", func() bool {
			return g.entry(t, "memory.stat", "kernel") >= kernel+2*size-slack
		})
		rise := g.current(t) - before
		t.Logf("two rings of %d bytes: memory.current rose by %d", size, rise)
		if rise < 2*size-slack || rise > 2*size+slack {
			t.Errorf("memory.current rose by %d bytes", rise)
		}
		child.Tell(t, "0")
		child.ExpectLine(t, "rings: ok")
		device.WaitFor(t, "the charge to go", func() bool { return g.current(t) < before+slack })
	}
}

// TestMemoryLimitIsObeyed: rings beyond the limit of the group are ENOMEM and
// leave nothing, nobody is killed, and smaller ones can be had afterwards.
func TestMemoryLimitIsObeyed(t *testing.T) {
	device.Sandbox(t)
	g := newGroup(t, "memory", "mytun-rights")
	child := g.start(t, "rings")
	device.WaitFor(t, "the device", func() bool { return device.LinkExists(ringDevice) })
	areas, before := device.ModuleAreas(t), g.current(t)
	g.write(t, "memory.max", strconv.Itoa(before+24<<20))
	for range 5 {
		child.Tell(t, strconv.Itoa(device.RingSizeMax))
		child.ExpectLine(t, "rings: ENOMEM")
	}
	if n := device.ModuleAreas(t); n != areas {
		t.Errorf("%d areas of kernel memory, %d before", n, areas)
	}
	device.WaitFor(t, "the charge to go", func() bool { return g.current(t) < before+slack })
	child.Tell(t, strconv.Itoa(4<<20))
	child.ExpectLine(t, "rings: ok")
	if n := g.entry(t, "memory.events", "oom_kill"); n != 0 {
		t.Errorf("%d processes were killed", n)
	}
	if n := g.entry(t, "memory.events", "max"); n == 0 {
		t.Error("the limit was never met")
	}
}
