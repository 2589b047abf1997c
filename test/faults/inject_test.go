// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package faults fails every allocation and every copy from and to the process
// that a system call makes, one at a time, on a kernel with fault injection.
package faults

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mostFaults is where a sweep gives up: no call here can fail in so many ways.
const mostFaults = 2000

// injector makes the calls of one thread fail. The kernel counts down at each
// place where it could inject a failure into the thread, and injects it at zero.
type injector struct{ failNth int }

// newInjector locks the goroutine to its thread until the end of the test.
func newInjector(t *testing.T) *injector {
	t.Helper()
	runtime.LockOSThread()
	fd, err := unix.Open("/proc/thread-self/fail-nth", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		t.Skip("this kernel has no fault injection; that of make test-kasan has")
	}
	if err != nil {
		t.Fatalf("fail-nth: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	// no garbage collection: it makes system calls on whatever thread it likes
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	setUp(t)
	return &injector{fd}
}

// setUp makes allocations fail that may sleep, which are left out by default,
// and none of them noisy. Failures are injected by fail-nth only.
func setUp(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"failslab/ignore-gfp-wait":           "N",
		"failslab/verbose":                   "0",
		"failslab/cache-filter":              "N",
		"fail_page_alloc/ignore-gfp-wait":    "N",
		"fail_page_alloc/ignore-gfp-highmem": "N",
		"fail_page_alloc/min-order":          "0",
		"fail_page_alloc/verbose":            "0",
		"fail_usercopy/verbose":              "0",
	} {
		path := filepath.Join("/sys/kernel/debug", name)
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a kernel with fail-nth has no %s: it lacks that kind of fault", path)
			}
			t.Fatal(err)
		}
	}
}

// spareMemory lets all allocations succeed, until the next setUp: pages are asked
// for in smaller numbers, and no slab is marked as one to fail.
func spareMemory(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"fail_page_alloc/min-order": "20", "failslab/cache-filter": "Y"} {
		if err := os.WriteFile(filepath.Join("/sys/kernel/debug", name), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// fail makes one call with its nth failure injected. False if it had fewer. The
// call must be a raw one: what the Go runtime asks of the kernel besides would
// fail as well. For the same reason signals wait.
func (i *injector) fail(t *testing.T, nth int, call func() syscall.Errno) (syscall.Errno, bool) {
	t.Helper()
	var all, old unix.Sigset_t
	for word := range all.Val {
		all.Val[word] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		t.Fatalf("block signals: %v", err)
	}
	errno, injected := i.injected(strconv.AppendInt(nil, int64(nth), 10), call)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatalf("unblock signals: %v", err)
	}
	return errno, injected
}

// injected arms, calls, looks what is left and disarms. The look and the
// disarming are calls with copies that may fail in turn: then the call before
// them had no failure.
func (i *injector) injected(nth []byte, call func() syscall.Errno) (syscall.Errno, bool) {
	var left [16]byte
	zero := [1]byte{'0'}
	pwrite(i.failNth, nth)
	errno := call()
	_, _, failed := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(i.failNth),
		uintptr(unsafe.Pointer(&left)), unsafe.Sizeof(left), 0, 0, 0)
	for pwrite(i.failNth, zero[:]) != 0 {
	}
	return errno, failed == 0 && left[0] == '0'
}

func pwrite(fd int, b []byte) syscall.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PWRITE64, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return errno
}

// ioctl is a raw ioctl(2) with a pointer.
func ioctl(fd int, request uint, arg []byte) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request),
		uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
	return errno
}

// ioctlValue is a raw ioctl(2) with a number.
func ioctlValue(fd int, request uint, arg uintptr) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg)
	return errno
}

// sweep makes a call with its first failure injected, then its second, and so
// on until there are no more. Before each, prepare makes what the call needs
// and returns it; after it, check is told how the call ended. A failure that
// the kernel puts up with is no error of the call.
func sweep(t *testing.T, prepare func() func() syscall.Errno, check func(syscall.Errno), documented ...syscall.Errno) {
	t.Helper()
	i := newInjector(t)
	seen := map[syscall.Errno]int{}
	for nth := 1; ; nth++ {
		if nth > mostFaults {
			t.Fatalf("no end after %d failures", mostFaults)
		}
		errno, injected := i.fail(t, nth, prepare())
		if errno != 0 && !slices.Contains(documented, errno) {
			t.Errorf("failure %d: %v is not a documented error", nth, errno)
		}
		check(errno)
		seen[errno]++
		if injected {
			continue
		}
		if errno != 0 {
			t.Errorf("%v without a failure", errno)
		}
		t.Logf("%d failures, by result: %v", nth-1, seen)
		if nth == 1 {
			t.Error("the call had nothing to fail: the sweep proves nothing")
		}
		return
	}
}
