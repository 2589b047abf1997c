// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const uffdCopy = 0xc028aa03

// Interrupted is memory with the bytes of b that the kernel finds the page of
// one byte missing of, the first time that it comes there. It gets the page
// after between was called, on another thread. The memory is there until the end
// of the test.
func Interrupted(t testing.TB, b []byte, at int, between func()) []byte {
	t.Helper()
	fd := userfault(t)
	copied := Reserved(t, (len(b)+PageSize-1)/PageSize*PageSize)
	from := at / PageSize * PageSize
	missing := copied[from : from+PageSize]
	registerMissing(t, fd, missing)
	content := Reserved(t, PageSize)
	copy(content, b[from:])
	copy(copied, b[:from])
	copy(copied[min(from+PageSize, len(b)):], b[min(from+PageSize, len(b)):])
	end := Eventfd(t)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if waitFault(fd, end, -1) {
			between()
		}
		// whoever comes too late finds zeros, and waits for nobody
		Ioctl(fd, uffdCopy, encode([5]uint64{uint64(Address(missing)), uint64(Address(content)), uint64(PageSize)}))
	}()
	t.Cleanup(func() {
		Signal(end)
		<-gone
		unix.Close(fd)
	})
	return copied[:len(b)]
}

// waitFault waits until a thread wants a page, or until another descriptor, which may
// be -1, says that none will, or for so long if the time is not negative.
func waitFault(fault, end int, limit time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fault), Events: unix.POLLIN}, {Fd: int32(end), Events: unix.POLLIN}}
	_, err := Restart(func() (int, error) { return unix.Poll(fds, int(limit.Milliseconds())) })
	return err == nil && fds[0].Revents&unix.POLLIN != 0
}
