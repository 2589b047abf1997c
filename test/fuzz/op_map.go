// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// pageSize: a file is mapped in these. Places in a file of operations are counted in them.
var pageSize = uint64(device.PageSize)

func (w *world) mapRegion(_ *thread, a []uint64) error {
	offset, length := w.regionOf(a[0], a[1])
	sharing := unix.MAP_SHARED
	if sharings[a[3]] == "private" {
		sharing = unix.MAP_PRIVATE
	}
	return w.mapAt(a[0], a[1], offset, length, a[2], sharing)
}

func (w *world) mapAt(file, region, offset, length, prot uint64, sharing int) error {
	length = min(length, roomSize)
	return device.MapFixed(w.room(file, region), firstFile+int(file), offset, int(length), int(prot), sharing)
}

// mapRaw maps what is no region, or a part of one.
func (w *world) mapRaw(_ *thread, a []uint64) error {
	offset, _ := w.regionOf(a[0], a[1])
	return w.mapAt(a[0], a[1], offset+a[2]&^(pageSize-1), a[3]*pageSize, a[4], unix.MAP_SHARED)
}

// part is some pages of a room.
func (w *world) part(file, region, first, count uint64) []byte {
	return w.room(file, region)[first*pageSize : (first+count)*pageSize]
}

func (w *world) unmap(_ *thread, a []uint64) error {
	return w.reserve(w.part(a[0], a[1], a[2], a[3]))
}

func (w *world) protect(_ *thread, a []uint64) error {
	return protect(w.part(a[0], a[1], 0, a[2]), a[3])
}

// remap moves pages to the place of another file, more or fewer than they were,
// and reserves what they leave behind.
func (w *world) remap(_ *thread, a []uint64) error {
	from, to := w.part(a[0], a[1], 0, a[3]), w.part(a[2], a[1], 0, a[4])
	err := mremap(device.Address(from), len(from), device.Address(to), len(to), unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
	if err != nil {
		err = mremap(device.Address(from), len(from), 0, min(len(from), len(to)), 0)
	}
	w.reserve(from)
	return err
}

// advise keeps to advice of numbers so low that none of it poisons memory.
func (w *world) advise(_ *thread, a []uint64) error {
	_, size := w.regionOf(a[0], a[1])
	return unix.Madvise(w.room(a[0], a[1])[:min(size, roomSize)], int(a[2]))
}
