// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// Where frames go that are routed over a PlainWire.
var (
	Beyond4 = netip.MustParseAddr("10.88.0.9")
	Beyond6 = netip.MustParseAddr("fd88::9")
)

// The two ends of a PlainWire.
const (
	PlainNear = "myplain0"
	PlainFar  = "myplain1"
)

// PlainWire makes a pair of veths, over which the kernel routes what is for Beyond4 and Beyond6. The near one can do nothing for
// the stack, which has to finish each frame: cut super-packets up and compute all checksums.
func PlainWire(t testing.TB) {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: PlainNear}, PeerName: PlainFar}); err != nil {
		t.Fatalf("add a veth pair: %v", err)
	}
	for _, name := range []string{PlainNear, PlainFar} {
		TakeOffloads(t, name)
		Up(t, name)
	}
	WaitCarrier(t, PlainNear, PlainFar)
	Sysctl(t, "net/ipv6/conf/"+PlainNear+"/disable_ipv6", "0")
	AddAddress(t, PlainNear, "10.88.0.1/24")
	AddAddress(t, PlainNear, "fd88::1/64")
	Sysctl(t, "net/ipv4/ip_forward", "1")
	Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	// what comes out there is not to be sent around
	Sysctl(t, "net/ipv4/conf/"+PlainFar+"/forwarding", "0")
	for _, beyond := range []netip.Addr{Beyond4, Beyond6} {
		err := netlink.NeighSet(&netlink.Neigh{
			LinkIndex: LinkOf(t, PlainNear).Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: beyond.AsSlice(), HardwareAddr: LinkOf(t, PlainFar).Attrs().HardwareAddr,
		})
		if err != nil {
			t.Fatalf("neighbour %v: %v", beyond, err)
		}
	}
}

// TakeOffloads turns off all that a device does for the stack.
func TakeOffloads(t testing.TB, name string) {
	t.Helper()
	isOffload := func(feature string) bool {
		return strings.HasPrefix(feature, "tx-checksum") || strings.HasSuffix(feature, "-segmentation") ||
			strings.HasPrefix(feature, "tx-scatter-gather") || feature == "rx-gro"
	}
	for feature := range FeaturesOf(t, name) {
		if isOffload(feature) {
			SetFeature(t, name, feature, false)
		}
	}
	for feature := range FeaturesOf(t, name) {
		if isOffload(feature) {
			t.Fatalf("%s still has the feature %s", name, feature)
		}
	}
}

// Beyond is a link as the process sees it that sends to what is beyond a PlainWire: only the kernel's addresses are others.
func (l *Link) Beyond() *Link {
	far := *l
	far.Host4, far.Host6 = Beyond4, Beyond6
	return &far
}
