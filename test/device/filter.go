// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TryAttachFilter calls TUNATTACHFILTER.
func (f *File) TryAttachFilter(filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.FD), unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

// Fprog is the argument of TUNATTACHFILTER for a filter that stands in memory
// which is none of Go's.
func Fprog(memory []byte, filter ...unix.SockFilter) []byte {
	for i, f := range filter {
		b := memory[8*i:]
		binary.NativeEndian.PutUint16(b, f.Code)
		b[2], b[3] = f.Jt, f.Jf
		binary.NativeEndian.PutUint32(b[4:], f.K)
	}
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, uint16(len(filter)))
	binary.NativeEndian.PutUint64(b[8:], uint64(Address(memory)))
	return b
}
