// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package rights tests what a process may do with the device, beside what it
// may do with stock tun in its place, and how much of the machine it may take.
package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	device.Main(m, map[string]func(testing.TB){
		"inner": inner, "guest": guest, "rings": rings, "worker": worker, "owner": owner,
		"watcher": watcher, "talker": talker, "spinner": spinner, "keeper": keeper,
	})
}

// driver is a tun driver by its device node, which everybody may open: who may
// open the system's own is what its mode says, and not the driver's business.
type driver struct{ name, node string }

// drivers are the kernel's own and mytun, in this order.
func drivers(t *testing.T) []driver {
	t.Helper()
	device.LoadStockTun(t)
	dir := publicDir(t)
	both := []driver{{"tun", device.StockNode}, {"mytun", device.Node}}
	for i := range both {
		var stat unix.Stat_t
		if err := unix.Stat(both[i].node, &stat); err != nil {
			t.Fatalf("%s: %v", both[i].node, err)
		}
		both[i].node = filepath.Join(dir, both[i].name)
		if err := unix.Mknod(both[i].node, unix.S_IFCHR, int(stat.Rdev)); err != nil {
			t.Fatalf("make %s: %v", both[i].node, err)
		}
		if err := os.Chmod(both[i].node, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return both
}

// publicDir is a directory that everybody may look into and that may hold
// device nodes, until the end of the test.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mytun-rights-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// open opens the driver's node, until the end of the test at the latest.
func (d driver) open(t testing.TB) *device.File {
	t.Helper()
	fd, err := unix.Open(d.node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", d.node, err)
	}
	f := &device.File{FD: fd}
	t.Cleanup(func() { f.Close() })
	return f
}

// answers are what the calls of a scenario returned, in their order.
type answers []string

func (a *answers) add(what string, err error) { *a = append(*a, answer(what, err)) }

// answer is a line of answers.
func answer(what string, err error) string {
	result := "ok"
	var errno unix.Errno
	if errors.As(err, &errno) {
		result = unix.ErrnoName(errno)
	} else if err != nil {
		result = err.Error()
	}
	return what + ": " + result
}

// attach opens the node and attaches the file, which stays open if that worked.
func (a *answers) attach(t testing.TB, d driver, what, name string, flags uint16) *device.File {
	t.Helper()
	f := d.open(t)
	_, err := f.TryAttach(name, flags)
	a.add(what, err)
	return f
}

// set calls an ioctl that takes a number.
func (a *answers) set(f *device.File, what string, request uint, value uint32) {
	a.add(fmt.Sprintf("%s %d", what, int32(value)), device.IoctlValue(f.FD, request, uintptr(value)))
}

// scenario makes calls of one driver and writes down the answers.
type scenario func(t *testing.T, d driver, a *answers)

// playAll plays a scenario with each driver, each in a network namespace of its
// own.
func playAll(t *testing.T, play scenario) (stock, ours answers) {
	t.Helper()
	got := map[string]answers{}
	for _, d := range drivers(t) {
		var a answers
		device.Inside(t, device.NewNamespace(t), func() { play(t, d, &a) })
		got[d.name] = a
	}
	return got["tun"], got["mytun"]
}

// compare plays a scenario with each driver and compares the answers, which it
// returns. Some calls must have been allowed and some refused, or nothing was
// compared.
func compare(t *testing.T, play scenario) answers {
	t.Helper()
	stock, ours := playAll(t, play)
	for i := range max(len(stock), len(ours)) {
		if i >= len(stock) || i >= len(ours) {
			t.Fatalf("%d answers of stock tun, %d of mytun", len(stock), len(ours))
		}
		if stock[i] != ours[i] {
			t.Errorf("stock tun says %q, mytun %q", stock[i], ours[i])
		}
	}
	allowed := func(line string) bool { return strings.HasSuffix(line, ": ok") }
	refused := func(line string) bool { return !allowed(line) }
	t.Logf("%d answers: %v", len(stock), strings.Join(stock, ", "))
	if !slices.ContainsFunc(stock, allowed) || !slices.ContainsFunc(stock, refused) {
		t.Error("stock tun allows everything or nothing")
	}
	return stock
}
