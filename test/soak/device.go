// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	node       = "/dev/net/mytun"
	deviceName = "soak0"

	// More frames than the sockets of all flows may have on their way: who sends is held
	// up by his socket, and no qdisc drops anything.
	queueLength = 4000
	// Without back-pressure the device drops what is more: fewer, so that it has to. Not
	// so few that a qdisc could drop any, which the device does not count: queues that were
	// not there when the device was set up have a pfifo_fast, of this length.
	lossyLength = 1500
)

// quiet keeps the kernel from sending frames of its own, and makes qdiscs hold what comes
// instead of dropping what waits too long.
func quiet() error {
	for name, value := range map[string]string{
		"net/ipv6/conf/default/disable_ipv6": "1",
		"net/core/default_qdisc":             "pfifo",
	} {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeDevice makes a device that outlives its workers, and sets it up.
func makeDevice() error {
	if err := makePersistent(); err != nil {
		return fmt.Errorf("make %s: %w", deviceName, err)
	}
	link, err := netlink.LinkByName(deviceName)
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(hostPrefix)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("MTU of %s: %w", deviceName, err)
	}
	if err := setQueueLength(queueLength); err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address of %s: %w", deviceName, err)
	}
	return netlink.LinkSetUp(link)
}

func makePersistent() error {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(deviceName)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

func deleteDevice() error {
	link, err := netlink.LinkByName(deviceName)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// setQueueLength says how many frames may wait for a ring. A pfifo keeps the length that
// it was made with, a pfifo_fast follows.
func setQueueLength(n int) error {
	link, err := netlink.LinkByName(deviceName)
	if err == nil {
		err = netlink.LinkSetTxQLen(link, n)
	}
	if err != nil {
		return fmt.Errorf("txqueuelen %d of %s: %w", n, deviceName, err)
	}
	return nil
}

// bounceDevice takes the device down, which empties its qdiscs, and up again.
func bounceDevice() error {
	link, err := netlink.LinkByName(deviceName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("%s down: %w", deviceName, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s up: %w", deviceName, err)
	}
	return nil
}

// dropped is how many frames to the process the device has dropped, whatever became of
// its queues.
func dropped() (uint64, error) {
	link, err := netlink.LinkByName(deviceName)
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.TxDropped, nil
}
