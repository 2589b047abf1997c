// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Beside the device whose frames are all accounted for, another comes and goes
// that is written without rings.

const (
	streamsName = "soak1"
	streamsEach = 20 // writes of a device
)

// sndbufs bound what may be on its way: from a byte to anything.
var sndbufs = []int{1, 3000, 20000, 1 << 20, math.MaxInt32}

// writeStreams makes a device and writes TCP streams, many segments a call, which
// the stack merges, while a thread changes how much may be on its way. Tagged
// frames come the other way. In the end nothing is on its way any more.
func (h *host) writeStreams() error {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := &device.File{FD: fd}
	defer f.Close()
	l := device.LinkNamed(streamsName)
	l.TAP = h.choice.IntN(2) == 0
	kind := uint16(device.TUN)
	if l.TAP {
		kind = device.TAP
	}
	if _, err := f.TryAttach(streamsName, kind); err != nil {
		return fmt.Errorf("make %s: %w", streamsName, err)
	}
	link, err := netlink.LinkByName(streamsName)
	if err != nil {
		return err
	}
	err = errors.Join(netlink.LinkSetUp(link), f.TrySetBatch(device.BatchWrite), sendTagged(link.Attrs().Index))
	if err != nil {
		return fmt.Errorf("set %s up: %w", streamsName, err)
	}
	if err := h.writeAll(f, l); err != nil {
		return err
	}
	h.done.streams += streamsEach
	return h.checkNothingCharged(f, l)
}

func (h *host) writeAll(f *device.File, l *device.Link) error {
	var stop atomic.Bool
	var changer sync.WaitGroup
	changer.Go(func() {
		for i := 0; !stop.Load(); i++ {
			f.SetInt(unix.TUNSETSNDBUF, sndbufs[i%len(sndbufs)])
		}
	})
	defer changer.Wait()
	defer stop.Store(true)
	for range streamsEach {
		b := l.Segments(false, 1+h.choice.IntN(1400), 1+h.choice.IntN(64))
		if _, err := unix.Write(f.FD, b); err != nil && err != unix.EAGAIN {
			return fmt.Errorf("write a stream to %s: %w", streamsName, err)
		}
	}
	return nil
}

// checkNothingCharged: where one byte may be on its way, a frame can be written
// only if none is.
func (h *host) checkNothingCharged(f *device.File, l *device.Link) error {
	if err := f.SetInt(unix.TUNSETSNDBUF, sndbufs[0]); err != nil {
		return fmt.Errorf("TUNSETSNDBUF of %s: %w", streamsName, err)
	}
	one := l.Segments(false, 1, 1)
	return h.waitFor("what was written to "+streamsName+" to be gone", func() (bool, error) {
		_, err := unix.Write(f.FD, one)
		if err == unix.EAGAIN {
			return false, nil
		}
		return err == nil, err
	})
}

// sendTagged sends frames with a VLAN tag to a device.
func sendTagged(index int) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	frame := make([]byte, 100)
	frame[12], frame[15], frame[16] = 0x81, 7, 8 // VLAN 7, IPv4
	to := &unix.SockaddrLinklayer{Protocol: 0x0081, Ifindex: index, Halen: 6}
	for range streamsEach {
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			return err
		}
	}
	return nil
}
