// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Descriptors beside the device's own, most of them eventfds.

func (w *world) newEvent(_ *thread, a []uint64) error {
	fd, err := newDescriptor(eventKind[a[1]])
	return place(fd, err, eventOf(a[0]))
}

func newDescriptor(what string) (int, error) {
	switch what {
	case "semaphore":
		return unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE)
	case "pipe":
		var ends [2]int
		err := unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
		unix.Close(ends[1])
		return ends[0], err
	case "socket":
		return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	case "epoll":
		return unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	case "device":
		return unix.Open(device.Node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	case "file":
		return unix.Open("/proc/self/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
}

func (w *world) closeEvent(_ *thread, a []uint64) error { return unix.Close(eventOf(a[0])) }

func (w *world) dupEvent(_ *thread, a []uint64) error {
	return unix.Dup3(eventOf(a[0]), eventOf(a[1]), unix.O_CLOEXEC)
}

// signal adds to an eventfd: up to the value at which it is full.
func (w *world) signal(_ *thread, a []uint64) error {
	value := a[1]
	if value == 1<<32-1 {
		value = 1<<64 - 2
	}
	_, err := unix.Write(eventOf(a[0]), encode(value))
	return err
}

func (w *world) consume(_ *thread, a []uint64) error {
	var b [8]byte
	_, err := unix.Read(eventOf(a[0]), b[:])
	return err
}

// nofile takes away what descriptors there could still be.
func (w *world) nofile(_ *thread, a []uint64) error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: a[0], Max: w.limit.Max})
}
