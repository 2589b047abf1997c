// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// word is the 32-bit word at an offset of a mapping. To use it may fault.
func word(mapping []byte, offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&mapping[offset : offset+4][0]))
}

// mremap calls mremap(2) with a new address.
func mremap(from uintptr, oldLength int, to uintptr, newLength, flags int) error {
	_, _, errno := unix.Syscall6(unix.SYS_MREMAP, from, uintptr(oldLength), uintptr(newLength), uintptr(flags), to, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// protect is mprotect(2), of memory that package unix need not know.
func protect(b []byte, prot uint64) error {
	_, _, errno := unix.Syscall(unix.SYS_MPROTECT, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(prot))
	if errno != 0 {
		return errno
	}
	return nil
}

// fork makes a copy of the process that does nothing but hold on to what it
// inherited, until it is killed. The copy has this one thread and none of the
// Go runtime's, so it makes system calls alone.
//
//go:nosplit
func fork() (pid int, errno unix.Errno) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || child != 0 {
		return int(child), errno
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	for {
		unix.RawSyscall(unix.SYS_PAUSE, 0, 0, 0)
	}
}
