// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"
)

// Commands and lengths of linux/ethtool.h.
const (
	siocEthtool       = 0x8946
	ethtoolStrings    = 0x1b
	ethtoolStatistics = 0x1d
	ethtoolSetInfo    = 0x37
	statisticsSet     = 1
	stringLength      = 32
)

// statisticsMax is how many counters there is room for: the kernel writes as many as
// there are when it comes to it, however many were asked for, and queues may come.
const statisticsMax = 256 * 64

// An ethtool asks for the counters of devices. One goroutine may use it.
type ethtool struct {
	command       func(device string, b []byte) error // answers in its place; tests have another
	strings, copy []byte                              // struct ethtool_gstrings, twice
	values        []byte                              // struct ethtool_stats
}

func openEthtool() (*ethtool, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT {
		fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open a socket to ask for statistics: %w", err)
	}
	return newEthtool(func(device string, b []byte) error { return command(fd, device, b) }), nil
}

func newEthtool(command func(device string, b []byte) error) *ethtool {
	return &ethtool{
		command: command,
		strings: make([]byte, 12+statisticsMax*stringLength),
		copy:    make([]byte, 12+statisticsMax*stringLength),
		values:  make([]byte, 8+statisticsMax*8),
	}
}

// counters are those of each attached queue, by its number. A device that has gone is
// ENODEV.
func (e *ethtool) counters(name string) (map[int]counters, error) {
	// Names and values are asked for one after the other, and queues come and go in
	// between: names that are the same before and after are those of the values.
	const tries = 10
	for i := 0; i < tries; i++ {
		n, err := e.count(name)
		if err != nil || n == 0 {
			return nil, err
		}
		same, err := e.read(name, n)
		if err == syscall.EOPNOTSUPP {
			continue // the last queue has just gone
		}
		if err != nil {
			return nil, fmt.Errorf("statistics of %s: %w", name, err)
		}
		if same {
			return parseCounters(e.strings[12:], e.values[8:], n), nil
		}
	}
	return nil, fmt.Errorf("statistics of %s: its queues come and go too fast to be counted", name)
}

// count is how many counters there are: none without a queue.
func (e *ethtool) count(name string) (int, error) {
	b := make([]byte, 20) // struct ethtool_sset_info and a length
	native.PutUint32(b, ethtoolSetInfo)
	native.PutUint64(b[8:], 1<<statisticsSet)
	if err := e.command(name, b); err != nil {
		return 0, fmt.Errorf("statistics of %s: %w", name, err)
	}
	if native.Uint64(b[8:]) == 0 {
		return 0, nil
	}
	n := native.Uint32(b[16:])
	if n > statisticsMax/2 {
		return 0, fmt.Errorf("statistics of %s: %d counters are more than this program expects: use that of the module's version", name, n)
	}
	return int(n), nil
}

// read reads n names and values, and tells whether they belong together.
func (e *ethtool) read(name string, n int) (same bool, err error) {
	if err := e.ask(name, e.strings, ethtoolStrings, statisticsSet, uint32(n)); err != nil {
		return false, err
	}
	if err := e.ask(name, e.values, ethtoolStatistics, uint32(n)); err != nil {
		return false, err
	}
	if err := e.ask(name, e.copy, ethtoolStrings, statisticsSet, uint32(n)); err != nil {
		return false, err
	}
	end := 12 + n*stringLength
	return int(native.Uint32(e.strings[8:])) == n && int(native.Uint32(e.values[4:])) == n &&
		bytes.Equal(e.strings[:end], e.copy[:end]), nil
}

// ask gives a command that begins with these words.
func (e *ethtool) ask(name string, b []byte, words ...uint32) error {
	for i, w := range words {
		native.PutUint32(b[4*i:], w)
	}
	return e.command(name, b)
}

// command hands a command to a device, through a socket.
func command(socket int, device string, b []byte) error {
	request := struct {
		name [syscall.IFNAMSIZ]byte
		data unsafe.Pointer
		rest [16]byte // struct ifreq is longer
	}{data: unsafe.Pointer(&b[0])}
	copy(request.name[:syscall.IFNAMSIZ-1], device)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), siocEthtool, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(b)
	if errno != 0 {
		return errno
	}
	return nil
}
