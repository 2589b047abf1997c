// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ioctl calls ioctl(2) with a pointer to arg, which the kernel reads or writes.
// A nil arg is a null pointer.
func Ioctl(fd int, request uint, arg []byte) error {
	err := IoctlValue(fd, request, uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
	runtime.KeepAlive(arg)
	return err
}

// IoctlValue calls ioctl(2) with a number, or an address that is none of Go's.
func IoctlValue(fd int, request uint, arg uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg)
	if errno != 0 {
		return errno
	}
	return nil
}

// IoctlResult is Ioctl for the commands that answer with their return value.
func IoctlResult(fd int, request uint, arg []byte) (int, error) {
	result, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request),
		uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return -1, errno
	}
	return int(result), nil
}

// word is the 32-bit word at an offset of a mapping.
func word(mapping []byte, offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&mapping[offset : offset+4][0]))
}

// Counter is a word at the beginning of a mapping that others count in too.
func Counter(mapping []byte) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&mapping[:8][0]))
}

// Address is where a mapping begins.
func Address(mapping []byte) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(mapping)))
}

// MapFixed maps a part of a file over an existing mapping, whatever was there.
func MapFixed(mapping []byte, fd int, offset uint64, length, prot, flags int) error {
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, Address(mapping), uintptr(length),
		uintptr(prot), uintptr(flags|unix.MAP_FIXED), uintptr(fd), uintptr(offset))
	if errno != 0 {
		return errno
	}
	return nil
}

// UnmapPart takes a part of a mapping away, without the bookkeeping of
// unix.Munmap, which knows whole mappings only.
func UnmapPart(part []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MUNMAP, Address(part), uintptr(len(part)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Resize calls mremap(2) with MREMAP_MAYMOVE and forgets the result: the tests
// use it where it must fail.
func Resize(mapping []byte, oldLength, newLength int) error {
	_, _, errno := unix.Syscall6(unix.SYS_MREMAP, Address(mapping), uintptr(oldLength),
		uintptr(newLength), unix.MREMAP_MAYMOVE, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ethtoolRequest is struct ifreq with a pointer to an ethtool command.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

func ethtoolIoctl(fd int, name string, command []byte) error {
	request := ethtoolRequest{data: unsafe.Pointer(unsafe.SliceData(command))}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(command)
	if errno != 0 {
		return errno
	}
	return nil
}

// setGroups sets the supplementary groups of this thread alone: package unix
// changes all threads.
func setGroups(t testing.TB, groups []uint32) {
	t.Helper()
	list := uintptr(unsafe.Pointer(unsafe.SliceData(groups)))
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), list, 0)
	runtime.KeepAlive(groups)
	if errno != 0 {
		t.Fatalf("groups %v: %v", groups, errno)
	}
}
