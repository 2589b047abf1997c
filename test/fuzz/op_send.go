// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	packetVnetHeader = 15 // PACKET_VNET_HDR
	portOfProcess    = 5555
)

// send lets the kernel's side send to an interface.
func (w *world) send(_ *thread, a []uint64) error {
	name, size := a[0], int(a[2])
	switch flows[a[1]] {
	case "udp":
		return sendUDP(name, size, int(a[3]), false)
	case "udp_segments":
		return sendUDP(name, size, int(a[3]), true)
	case "raw":
		return w.sendRaw(name, size, int(a[3]), false)
	case "raw_super":
		return w.sendRaw(name, size, int(a[3]), true)
	case "tagged":
		return sendTo(devices[name], ethernet(sides(name), "vlan", size), int(a[3]))
	case "accelerated":
		return sendTo(vlanOf(devices[name]), ethernet(sides(name), "arp", size), int(a[3]))
	default:
		return connect(name)
	}
}

// socket is one that only uses the interface.
func socket(name uint64, kind int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.BindToDevice(fd, devices[name]); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func peer(name uint64) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: portOfProcess, Addr: sides(name).Peer4.As4()}
}

func sendUDP(name uint64, size, count int, segments bool) error {
	fd, err := socket(name, unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	payload := make([]byte, min(size, device.UDPMax))
	if segments {
		unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, gsoSize)
	}
	for range count {
		err = unix.Sendto(fd, payload, unix.MSG_DONTWAIT, peer(name))
	}
	return err
}

// sendRaw sends frames past the stack, with or without segmentation metadata.
func (w *world) sendRaw(name uint64, size, count int, super bool) error {
	link, err := netlink.LinkByName(devices[name])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	f := w.packet(name, "tcp4", "tcp4", size)
	frame := f.Data
	if super {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, packetVnetHeader, 1)
		frame = f.Written(vnetSize)
	}
	to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: link.Attrs().Index, Halen: 6}
	for range count {
		err = errors.Join(err, unix.Sendto(fd, frame, unix.MSG_DONTWAIT, to))
	}
	return err
}

// sendTo sends a whole frame to an interface, past the stack.
func sendTo(name string, frame []byte, count int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: link.Attrs().Index, Halen: 6}
	for range count {
		err = errors.Join(err, unix.Sendto(fd, frame, unix.MSG_DONTWAIT, to))
	}
	return err
}

// connect sends a SYN, and forgets the connection.
func connect(name uint64) error {
	fd, err := socket(name, unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, peer(name))
}
