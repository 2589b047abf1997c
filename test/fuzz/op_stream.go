// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"math"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Streams of TCP that one call writes, whose segments the stack can merge, and
// the bound on what may be under way, which another thread may change meanwhile.

// sndbufs are what TUNSETSNDBUF is given: its ends, and what a few frames fill.
var sndbufs = number{interesting: []uint64{1, 2, 3000, 20000, 1 << 20, math.MaxInt32, math.MaxInt32, 0, 1<<32 - 1}}

func (w *world) sndbuf(_ *thread, a []uint64) error {
	return fileOf(a[0]).SetInt(unix.TUNSETSNDBUF, int(a[1]))
}

// segments are so many records of one connection, in sequence, as a file takes
// them that was asked for many a call.
func (w *world) segments(file uint64, ipv6 bool, size, count int) []byte {
	l := sides(file & 1)
	l.TAP = w.isTAP(file)
	return l.Segments(ipv6, min(size, 65000), count)
}

// stream writes a part of a connection with one call.
func (w *world) stream(_ *thread, a []uint64) error {
	fileOf(a[0]).TrySetBatch(device.BatchRead | device.BatchWrite)
	_, err := unix.Write(firstFile+int(a[0]), w.segments(a[0], families[a[1]] == "ipv6", int(a[2]), int(a[3])))
	return err
}

// changing is a stream during which the bound changes: the kernel has to wait for
// the memory in the middle of it, and then it is another.
func (w *world) changing(t *thread, a []uint64) error {
	f := fileOf(a[0])
	f.TrySetBatch(device.BatchRead | device.BatchWrite)
	f.SetInt(unix.TUNSETSNDBUF, int(a[4]))
	b := w.segments(a[0], families[a[1]] == "ipv6", int(a[2]), int(a[3]))
	if len(b) == 0 {
		return unix.EINVAL
	}
	b = device.Interrupted(t, b, len(b)/2, func() { f.SetInt(unix.TUNSETSNDBUF, int(a[5])) })
	_, err := unix.Write(f.FD, b)
	return err
}
