// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Numbers of system calls of 32-bit programs.
const (
	Read32  = 3
	Write32 = 4
	Ioctl32 = 54
	Readv32 = 145
)

// int80 enters the kernel as a 32-bit program does.
func int80(number, a, b, c uintptr) uintptr

// Call32 makes a system call as a 32-bit program does. Addresses must come from
// Low. The call must not sleep: the scheduler of Go is not told of it.
func Call32(number uintptr, fd int, a, b uintptr) (int, error) {
	n := int32(int80(number, uintptr(fd), a, b))
	if n < 0 {
		return -1, unix.Errno(-n)
	}
	return int(n), nil
}

// Low is memory that 32-bit addresses reach, until the end of the test; which is
// skipped if the kernel runs no 32-bit programs: it kills who tries.
func Low(t testing.TB, size int) []byte {
	t.Helper()
	if _, err := os.Stat("/proc/sys/abi/vsyscall32"); err != nil {
		t.Skip("the kernel was built without CONFIG_IA32_EMULATION")
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_32BIT)
	if err != nil {
		t.Fatalf("map %d bytes below 2 GiB: %v", size, err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}
