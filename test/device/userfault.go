// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Numbers of userfaultfd's ioctls.
const (
	uffdAPI      = 0xc018aa3f
	uffdRegister = 0xc020aa00
	uffdVersion  = 0xaa
	uffdMissing  = 1
)

// Stuck is memory at which the kernel waits when it touches it, until release is
// called. reached waits until it has come there. That is no matter of sleep: one for
// whom a signal waits, such as the Go runtime's own, looks again and again.
func Stuck(t testing.TB, size int) (b []byte, reached, release func()) {
	t.Helper()
	fd := userfault(t)
	b = Reserved(t, (size+PageSize-1)/PageSize*PageSize)
	registerMissing(t, fd, b)
	release = func() {
		if fd >= 0 {
			unix.Close(fd)
		}
		fd = -1
	}
	t.Cleanup(release)
	reached = func() {
		t.Helper()
		if !waitFault(fd, -1, Deadline) {
			t.Fatalf("waited %v in vain for the kernel to touch the memory", Deadline)
		}
	}
	return b[:size], reached, release
}

// userfault is a new userfaultfd, which the caller closes.
func userfault(t testing.TB) int {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno == unix.ENOSYS {
		t.Skip("the kernel was built without CONFIG_USERFAULTFD")
	}
	if errno != 0 {
		t.Fatalf("userfaultfd: %v", errno)
	}
	if err := Ioctl(int(fd), uffdAPI, encode([3]uint64{uffdVersion})); err != nil {
		unix.Close(int(fd))
		t.Fatalf("userfaultfd, UFFDIO_API: %v", err)
	}
	return int(fd)
}

// registerMissing lets a userfaultfd decide what becomes of who touches memory
// that nobody has touched yet.
func registerMissing(t testing.TB, fd int, b []byte) {
	t.Helper()
	err := Ioctl(fd, uffdRegister, encode([4]uint64{uint64(Address(b)), uint64(len(b)), uffdMissing}))
	if err != nil {
		unix.Close(fd)
		t.Fatalf("userfaultfd, UFFDIO_REGISTER: %v", err)
	}
}
