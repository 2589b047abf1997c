// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configure gives the device the addresses and sets it up. The kernel then
// routes the subnets to it. All of that goes away with the device.
func configure(name string, addresses ...netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", name, err)
	}
	for _, a := range addresses {
		if !a.IsValid() {
			continue
		}
		if err := addAddress(l, a); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

func addAddress(l netlink.Link, a netip.Prefix) error {
	address := &netlink.Addr{IPNet: &net.IPNet{
		IP:   a.Addr().AsSlice(),
		Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen()),
	}}
	if a.Addr().Is6() {
		// Nobody else is on the wire: use the address at once.
		address.Flags = unix.IFA_F_NODAD
	}
	err := netlink.AddrAdd(l, address)
	if err == nil {
		return nil
	}
	hint := ""
	if a.Addr().Is6() && (err == unix.EACCES || err == unix.EPERM || err == unix.EOPNOTSUPP || err == unix.EAFNOSUPPORT) {
		hint = ` (IPv6 is turned off here: use -addr6 "")`
	}
	return fmt.Errorf("give %s the address %s: %w%s", l.Attrs().Name, a, err, hint)
}
