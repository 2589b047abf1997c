// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of io_uring.
const (
	UringRead  = 22
	UringWrite = 23
)

// Offsets of mmap for a ring's two parts, and what a wait asks for.
const (
	uringRings     = 0
	uringEntries   = 0x10000000
	uringGetEvents = 1
)

// uringRegisterFiles is IORING_REGISTER_FILES.
const uringRegisterFiles = 2

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq, cq                                               uringOffsets
}

// uringOffsets is struct io_sqring_offsets and struct io_cqring_offsets: array is
// of the one, cqes of the other.
type uringOffsets struct {
	head, tail, mask, entries, _, cqes, array, _ uint32
	_                                            uint64
}

// uringEntry is struct io_uring_sqe.
type uringEntry struct {
	operation, flags uint8
	priority         uint16
	fd               int32
	offset           uint64
	address          uint64
	length, rw       uint32
	user             uint64
	_                [3]uint64
}

// A Uring is an io_uring with one operation at a time.
type Uring struct {
	fd             int
	p              uringParams
	rings, entries []byte
}

// NewUring makes an io_uring, until the end of the test.
func NewUring(t testing.TB) *Uring {
	t.Helper()
	u := &Uring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&u.p)), 0)
	if errno != 0 {
		t.Fatalf("io_uring_setup: %v", errno)
	}
	u.fd = int(fd)
	t.Cleanup(u.Close)
	u.rings, u.entries = u.mapped(t, uringRings), u.mapped(t, uringEntries)
	return u
}

func (u *Uring) mapped(t testing.TB, offset uint64) []byte {
	t.Helper()
	b, err := (&File{FD: u.fd}).TryMap(offset, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("mmap of an io_uring at %#x: %v", offset, err)
	}
	return b
}

// Close ends it; a second time it does nothing.
func (u *Uring) Close() {
	if u.fd < 0 {
		return
	}
	unix.Munmap(u.rings)
	unix.Munmap(u.entries)
	unix.Close(u.fd)
	u.fd = -1
}

// Keep makes it hold a descriptor's file until it ends. Then a worker of the kernel
// lets go of the file.
func (u *Uring) Keep(t testing.TB, fd int) {
	t.Helper()
	fds := [1]int32{int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), uringRegisterFiles,
		uintptr(unsafe.Pointer(&fds)), uintptr(len(fds)), 0, 0)
	if errno != 0 {
		t.Fatalf("IORING_REGISTER_FILES: %v", errno)
	}
}

// Submit begins an operation on b, which must stay where it is until Wait: it is
// memory of mmap's.
func (u *Uring) Submit(t testing.TB, operation uint8, fd int, b []byte) {
	t.Helper()
	*(*uringEntry)(unsafe.Pointer(unsafe.SliceData(u.entries))) = uringEntry{
		operation: operation, fd: int32(fd), offset: ^uint64(0),
		address: uint64(Address(b)), length: uint32(len(b)),
	}
	*word(u.rings, u.p.sq.array) = 0
	atomic.AddUint32(word(u.rings, u.p.sq.tail), 1)
	u.enter(t, 1, 0)
}

// Wait is the result of the operation, which may still have to end.
func (u *Uring) Wait(t testing.TB) (int, error) {
	t.Helper()
	head, tail := word(u.rings, u.p.cq.head), word(u.rings, u.p.cq.tail)
	for atomic.LoadUint32(tail) == atomic.LoadUint32(head) {
		u.enter(t, 0, 1)
	}
	at := u.p.cq.cqes + 16*(atomic.LoadUint32(head)&*word(u.rings, u.p.cq.mask))
	n := int32(*word(u.rings, at+8))
	atomic.AddUint32(head, 1)
	if n < 0 {
		return -1, unix.Errno(-n)
	}
	return int(n), nil
}

// Pending tells whether the operation has not ended yet.
func (u *Uring) Pending() bool {
	return atomic.LoadUint32(word(u.rings, u.p.cq.tail)) == atomic.LoadUint32(word(u.rings, u.p.cq.head))
}

func (u *Uring) enter(t testing.TB, submit, wait int) {
	t.Helper()
	_, err := Restart(func() (int, error) {
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), uintptr(submit), uintptr(wait), uringGetEvents, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	})
	if err != nil {
		t.Fatalf("io_uring_enter: %v", err)
	}
}
