// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"strconv"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Descriptors of the device: where they come from, where they go, and what else
// than ioctl and mmap can be done with them.

func (w *world) open(_ *thread, a []uint64) error {
	fd, err := unix.Open(device.Node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	return place(fd, err, firstFile+int(a[0]))
}

func (w *world) close(_ *thread, a []uint64) error { return unix.Close(firstFile + int(a[0])) }

func (w *world) dup(_ *thread, a []uint64) error {
	return unix.Dup3(firstFile+int(a[0]), firstFile+int(a[1]), unix.O_CLOEXEC)
}

// stash sends a descriptor over a socket from which nobody takes it.
func (w *world) stash(_ *thread, a []uint64) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = device.SendFD(pair[0], firstFile+int(a[0]))
	place(pair[0], nil, stashFile)
	place(pair[1], nil, stashFile+1)
	return err
}

func (w *world) poll(_ *thread, a []uint64) error {
	fds := []unix.PollFd{{Fd: int32(firstFile + a[0]), Events: unix.POLLIN | unix.POLLOUT}}
	_, err := unix.Poll(fds, int(a[1]))
	return err
}

// epoll keeps an entry on the file's wait queue from then on.
func (w *world) epoll(_ *thread, a []uint64) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET}
	err := unix.EpollCtl(eventOf(a[0]), unix.EPOLL_CTL_ADD, firstFile+int(a[1]), &ev)
	var ready [1]unix.EpollEvent
	unix.EpollWait(eventOf(a[0]), ready[:], 0)
	return err
}

func (w *world) fdinfo(_ *thread, a []uint64) error {
	_, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(firstFile+int(a[0])))
	return err
}

// async asks for a signal, which nobody waits for, or asks no more.
func (w *world) async(_ *thread, a []uint64) error {
	fd, flags := firstFile+int(a[0]), unix.O_NONBLOCK
	if a[1]&1 != 0 {
		flags |= unix.O_ASYNC
	}
	unix.FcntlInt(uintptr(fd), unix.F_SETOWN, unix.Getpid())
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	return err
}
