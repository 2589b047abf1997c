// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownNamespace gives the test a network namespace to itself, or skips it. The thread
// ends with the goroutine.
func ownNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no right to make a network namespace: %v", err)
	}
}

func TestConfigure(t *testing.T) {
	ownNamespace(t)
	if err := configure("nothere0"); err == nil || !strings.Contains(err.Error(), "nothere0") {
		t.Errorf("no device: %v", err)
	}
	want := []string{"10.77.0.1/24"}
	net6 := netip.MustParsePrefix("fd77::1/64")
	if err := configure("lo", netip.MustParsePrefix(want[0]), netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	if err := configure("lo", net6); err != nil {
		t.Logf("without IPv6: %v", err)
	} else {
		want = append(want, net6.String())
	}
	link, err := netlink.LinkByName("lo")
	if err != nil || link.Attrs().Flags&1 == 0 {
		t.Fatalf("%v, the device is not up", err)
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range addresses {
		got = append(got, a.IPNet.String())
	}
	for _, address := range want {
		if !slices.Contains(got, address) {
			t.Errorf("addresses %v, without %s", got, address)
		}
	}
	if err := configure("lo", netip.MustParsePrefix(want[0])); err == nil || !strings.Contains(err.Error(), "give lo the address 10.77.0.1/24") {
		t.Errorf("an address that is there: %v", err)
	}
}
