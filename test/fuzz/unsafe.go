// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// word is the 32-bit word at an offset of a mapping. To use it may fault.
func word(mapping []byte, offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&mapping[offset : offset+4][0]))
}

// newArena reserves the arena.
func newArena() ([]byte, error) {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE | unix.MAP_FIXED_NOREPLACE
	at, err := unix.MmapPtr(-1, 0, unsafe.Add(nil, arenaPlace), arenaSize, unix.PROT_NONE, flags)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes at %#x: %w", arenaSize, arenaPlace, err)
	}
	return unsafe.Slice((*byte)(at), arenaSize), nil
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
