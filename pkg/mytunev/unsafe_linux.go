// SPDX-License-Identifier: MIT

package mytunev

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This is the only file that imports unsafe. It makes atomic words of mapped
// memory, hands pointers to ioctl, and maps memory twice; other mapping unix.Mmap does.

// The ioctl numbers state the sizes of the structures: compile only if they are
// right.
var (
	_ [sizeInfo]byte       = [unsafe.Sizeof(abiInfo{})]byte{}
	_ [sizeRingConfig]byte = [unsafe.Sizeof(abiRingConfig{})]byte{}
	_ [sizeEventFDs]byte   = [unsafe.Sizeof(abiEventFDs{})]byte{}
	_ [sizeStats]byte      = [unsafe.Sizeof(abiStats{})]byte{}
)

// wordAt returns the word at an offset of a mapped page. The offset has been
// validated: within the page and a multiple of 4, so the word is aligned. The
// caller keeps the page mapped for as long as the word is used.
func wordAt(page []byte, offset uint32) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&page[offset : offset+4][0]))
}

// argument is a structure of the ABI that an ioctl reads or writes.
type argument interface {
	abiInfo | abiRingConfig | abiEventFDs | abiStats | uint32
}

// ioctl calls a mytun ioctl. The pointer stays valid during the call because it
// is converted in the call's own argument list.
func ioctl[T argument](fd int, request uintptr, arg *T) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// memoryFile makes a file of memory that cannot be executed: a system may refuse any other
// (vm.memfd_noexec). Before Linux 6.3 nobody knows that seal.
func memoryFile(create func(name string, flags int) (int, error)) (int, error) {
	fd, err := create("mytun", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = create("mytun", unix.MFD_CLOEXEC)
	}
	return fd, err
}

// mapTwice makes an area of memory that is mapped twice, back to back. size is a multiple
// of the page's.
func mapTwice(size int) (area []byte, unmap func() error, err error) {
	fd, err := memoryFile(unix.MemfdCreate)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, nil, err
	}
	length := 2 * uintptr(size)
	first, err := unix.MmapPtr(-1, 0, nil, length, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, err
	}
	unmap = func() error { return unix.MunmapPtr(first, length) }
	for _, at := range []unsafe.Pointer{first, unsafe.Add(first, size)} {
		_, err := unix.MmapPtr(fd, 0, at, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
		if err != nil {
			unmap()
			return nil, nil, err
		}
	}
	return unsafe.Slice((*byte)(first), length), unmap, nil
}
