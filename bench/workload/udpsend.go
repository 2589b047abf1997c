// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/mytun/mytun/bench/result"
	"golang.org/x/sys/unix"
)

// udpBatch is how many datagrams a sendmmsg hands over.
const udpBatch = 64

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// A udpSender sends the same datagram again and again, with as few system calls as there can be.
type udpSender struct {
	fd       int
	messages [udpBatch]mmsghdr
	vector   unix.Iovec
}

// startUDPSend is the helper that sends bursts of datagrams, each an IP packet of that size, to an address; with a number
// of segments, each stands for so many of them, which the kernel cuts it into if the interface does not take it whole.
func startUDPSend(args []string) (act, error) {
	if len(args) != 2 && len(args) != 3 {
		return nil, fmt.Errorf("udp-send takes an address, a size, and may be a number of segments, not %q", args)
	}
	to, err := netip.ParseAddr(args[0])
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(args[1])
	if err != nil || size <= 28 {
		return nil, fmt.Errorf("no IP packet with UDP has a size of %q", args[1])
	}
	segments := 1
	if len(args) == 3 {
		if segments, err = strconv.Atoi(args[2]); err != nil {
			return nil, err
		}
	}
	s, err := newUDPSender(netip.AddrPortFrom(to, sinkPort), size-28, segments)
	if err != nil {
		return nil, err
	}
	return func(command []string) (string, error) {
		if len(command) != 2 || command[0] != "burst" {
			return "", fmt.Errorf("udp-send takes burst and a number, not %q", command)
		}
		count, err := strconv.Atoi(command[1])
		if err != nil {
			return "", err
		}
		return "", s.burst(count)
	}, nil
}

func newUDPSender(to netip.AddrPort, payload, segments int) (*udpSender, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	if segments > 1 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, payload); err != nil {
			return nil, fmt.Errorf("set segments of %d bytes: %w", payload, err)
		}
	}
	s := &udpSender{fd: fd}
	data := make([]byte, payload*segments)
	s.vector.Base = unsafe.SliceData(data)
	s.vector.SetLen(len(data))
	for i := range s.messages {
		s.messages[i].header.Iov = &s.vector
		s.messages[i].header.SetIovlen(1)
	}
	return s, nil
}

// burst sends count datagrams.
func (s *udpSender) burst(count int) error {
	for count > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.messages[0])), uintptr(min(count, udpBatch)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		count -= int(n)
	}
	return nil
}

// burst tells a helper that is a udp-send to send a burst as long as the generator's.
func (h *helper) burst() error {
	_, err := h.ask("burst", itoa(burstPackets))
	return err
}

// udpBase is what sending datagrams one by one costs.
func udpBase(e *Env, size int) (float64, []Sample, error) {
	return e.senderBase(size, 1, burstPackets)
}

// senderBase measures what the sender of datagrams costs: bursts of so many, each of so many segments, into an interface that drops them.
func (e *Env) senderBase(size, segments, burst int) (base float64, s []Sample, err error) {
	remove, err := dummy("sink0", nearAddr+"/24")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return e.sendersCost(farAddr, size, segments, burst)
}

// sendersCost is senderBase to an address behind an interface sink0 that is there.
func (e *Env) sendersCost(to string, size, segments, burst int) (base float64, s []Sample, err error) {
	sender, err := startHelper(&namespace{}, "udp-send", to, itoa(size), itoa(segments))
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, sender.close()) }()
	send := func() error { _, err := sender.ask("burst", itoa(burst)); return err }
	if e.Clock == result.Wall {
		return e.rateOf(&load{step: send}, "sink0", size)
	}
	return e.costOf(size, (bursts-1)*burst*segments, send)
}

func itoa(n int) string { return strconv.Itoa(n) }
