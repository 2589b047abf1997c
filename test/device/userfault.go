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
// called.
func Stuck(t testing.TB, size int) (b []byte, release func()) {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno == unix.ENOSYS {
		t.Skip("the kernel was built without CONFIG_USERFAULTFD")
	}
	if errno != 0 {
		t.Fatalf("userfaultfd: %v", errno)
	}
	b = Reserved(t, size)
	err := Ioctl(int(fd), uffdAPI, encode([3]uint64{uffdVersion}))
	if err == nil {
		err = Ioctl(int(fd), uffdRegister, encode([4]uint64{uint64(Address(b)), uint64(size), uffdMissing}))
	}
	if err != nil {
		t.Fatalf("userfaultfd, ioctl: %v", err)
	}
	release = func() {
		if fd != 0 {
			unix.Close(int(fd))
		}
		fd = 0
	}
	t.Cleanup(release)
	return b, release
}
