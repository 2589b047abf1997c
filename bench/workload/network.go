// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"net"

	"github.com/mytun/mytun/bench/peer"
	"github.com/vishvananda/netlink"
)

// Addresses of the kernel's side of an interface and of the process's.
const (
	nearAddr = "10.88.0.1"
	farAddr  = "10.88.0.2"
	nearMAC  = "02:00:00:00:00:01"
	farMAC   = "02:00:00:00:00:02"
)

// bringUp gives an interface an address and a queue of that many packets in front of it, and sets it up.
func bringUp(name, prefix string, queue int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	address, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	err = errors.Join(netlink.LinkSetTxQLen(link, queue), netlink.AddrAdd(link, address), netlink.LinkSetUp(link))
	if err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// introduce gives an Ethernet interface a hardware address and tells it the one of its neighbour, so that neither has to ask.
func introduce(name, mac, neighbour, neighbourMAC string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	own, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	other, err := net.ParseMAC(neighbourMAC)
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetHardwareAddr(link, own), netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(neighbour), HardwareAddr: other,
	}))
}

// dummy makes an interface that swallows everything, sets it up, and returns what removes it.
func dummy(name, prefix string) (remove func() error, err error) {
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3}}}
	if err := netlink.LinkAdd(link); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	remove = func() error { return netlink.LinkDel(link) }
	if err := bringUp(name, prefix, 1000); err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// bringUpReachable brings a contestant's interface up so that this machine can send to the far address behind it without asking who has it.
// Queue is as in bringUp.
func bringUpReachable(p peer.Peer, dev peer.Device, queue int) error {
	if err := bringUp(dev.Name(), nearAddr+"/24", queue); err != nil || !p.Ethernet {
		return err
	}
	return introduce(dev.Name(), nearMAC, farAddr, farMAC)
}
