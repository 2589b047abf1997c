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
