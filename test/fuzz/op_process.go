// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func (w *world) sleep(_ *thread, a []uint64) error {
	time.Sleep(time.Duration(a[0]) * time.Millisecond)
	return nil
}

// fork leaves a copy of the process, with all its descriptors and mappings,
// until the program's end.
func (w *world) fork(*thread, []uint64) error { return w.forkAnd(device.Pause, 0, 0, 0) }

// forkAnd is fork of a copy that makes a system call again and again, until it
// fails.
func (w *world) forkAnd(call, x, y, z uintptr) error {
	const most = 4
	old := w.children.Load()
	if old != nil && len(*old) >= most {
		return unix.EAGAIN
	}
	pid, errno := device.ForkAnd(unix.SIGKILL, call, x, y, z)
	if errno != 0 {
		return errno
	}
	for !w.children.CompareAndSwap(old, addTo(old, pid)) {
		old = w.children.Load()
	}
	return nil
}

func addTo(old *[]int, pid int) *[]int {
	children := []int{pid}
	if old != nil {
		children = append(children, *old...)
	}
	return &children
}

func (w *world) killChildren() {
	children := w.children.Swap(nil)
	if children == nil {
		return
	}
	for _, pid := range *children {
		unix.Kill(pid, unix.SIGKILL)
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
}

// die ends the process at this instruction, whatever its other threads do.
func (w *world) die(*thread, []uint64) error { return unix.Kill(unix.Getpid(), unix.SIGKILL) }
