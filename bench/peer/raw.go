// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPacket is room for any packet that an interface hands over.
const maxPacket = 65536 + 64

// rawRead is a read that cannot block: the Go scheduler is not told of it, which saves a third of the cost of a short one.
func rawRead(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// rawWrite is the write for it. An interface takes a packet whole or not at all.
func rawWrite(fd int, p []byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return errno
}
