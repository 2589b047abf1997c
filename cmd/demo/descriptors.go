// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A descriptor is an open file of this process.
type descriptor struct {
	target string // what /proc says it is
	queue  bool   // the library opened it for the device
}

// descriptors are the open files by number.
type descriptors map[int]descriptor

// openDescriptors looks up what is open now.
func openDescriptors() descriptors {
	const dir = "/proc/self/fd"
	d := descriptors{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return d // names are all that is lost
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			d[fd] = descriptor{target: target}
		}
	}
	return d
}

// markQueues marks what is not in before.
func (d descriptors) markQueues(before descriptors) {
	for fd, file := range d {
		if _, ok := before[fd]; !ok {
			file.queue = true
			d[fd] = file
		}
	}
}

// learn adds what was opened later.
func (d descriptors) learn() {
	for fd, file := range openDescriptors() {
		if _, ok := d[fd]; !ok {
			d[fd] = file
		}
	}
}

// A role is what reads and writes on a descriptor are for.
type role int

const (
	rolePacket  role = iota // to move packets
	roleEventFD             // to wake the kernel's side, or another goroutine
	roleStdio               // to talk to whoever started the demo
	roleOther               // none of these: files of the Go runtime, for example
)

// role finds out what fd is for. Nothing is taken for granted: an unknown
// descriptor is taken for one that moves packets.
func (d descriptors) role(fd int) role {
	file, ok := d[fd]
	switch {
	case fd >= 0 && fd <= 2:
		return roleStdio
	case ok && !file.queue:
		return roleOther
	case ok && file.kind() == "eventfd":
		return roleEventFD
	}
	return rolePacket
}

// kind strips what /proc puts around the names of files that have no path.
func (d descriptor) kind() string {
	return strings.Trim(strings.TrimPrefix(d.target, "anon_inode:"), "[]")
}

// describe says what fd is, in a few words.
func (d descriptors) describe(fd int) string {
	switch fd {
	case 0:
		return "standard input"
	case 1:
		return "standard output"
	case 2:
		return "standard error"
	}
	file, ok := d[fd]
	switch {
	case !ok:
		return "a file closed since"
	case !file.queue && file.target == "anon_inode:[eventfd]", !file.queue && file.target == "anon_inode:[eventpoll]":
		return "Go runtime's " + file.kind()
	case file.queue && file.kind() == "eventpoll":
		return "device's epoll set"
	case file.queue && file.kind() == "eventfd":
		return "device's eventfd"
	}
	return file.kind()
}
