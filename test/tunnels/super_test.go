// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// superKinds are those whose super-packets a device can hand out as they are; of the second, over Ethernet.
var superKinds = []struct {
	kind
	checksum bool // the outer UDP header has one
}{
	{ipKind("vxlan", "vxlan", "vxlan id 7 dstport 4789 noudpcsum "+over4), false},
	{ipKind("vxlan csum", "vxlan", "vxlan id 7 dstport 4789 udpcsum "+over4), true},
	{ipKind("vxlan over IPv6", "vxlan", "vxlan id 7 dstport 4789 "+over6), true},
	{ipKind("vxlan over IPv6, no csum", "vxlan", "vxlan id 7 dstport 4789 udp6zerocsumtx udp6zerocsumrx "+over6), false},
	{onTAP(ipKind("vxlan on TAP", "vxlan", "vxlan id 7 dstport 4789 noudpcsum "+over4)), false},
	{onTAP(ipKind("vxlan csum over IPv6 on TAP", "vxlan", "vxlan id 7 dstport 4789 "+over6)), true},
	{ipKind("geneve", "geneve", "geneve id 7 noudpcsum remote {remote4}"), false},
	{ipKind("geneve csum", "geneve", "geneve id 7 udpcsum remote {remote4}"), true},
	{onTAP(ipKind("geneve over IPv6 on TAP", "geneve", "geneve id 7 remote {remote6}")), true},
}

// TestSuperPacketsInTunnels: with the offload TCP streams through a tunnel come to the process in super-packets, go on as they
// are, or cut up by package gso, and arrive. Without that of outer checksums, the kernel cuts up those that have one.
func TestSuperPacketsInTunnels(t *testing.T) {
	for _, k := range superKinds {
		t.Run(k.name, func(t *testing.T) {
			k.load(t)
			for _, way := range k.waysOfSupers() {
				for _, offloads := range []uintptr{device.OffloadTunnel, device.OffloadTunnels} {
					whole := !k.checksum || offloads == device.OffloadTunnels
					name := way.Name + ", whole"
					if offloads == device.OffloadTunnel {
						name = way.Name + ", no outer checksums"
					}
					t.Run(name, func(t *testing.T) { k.trySupers(t, way, offloads, whole) })
				}
			}
		})
	}
}

// waysOfSupers: stock tun refuses on a TUN device what it has handed out there, for
// there is no room for an Ethernet header in front of the tunnel's.
func (k kind) waysOfSupers() []device.Way {
	if k.tap {
		return device.Ways
	}
	return device.Ways[1:]
}

func (k kind) trySupers(t *testing.T, way device.Way, offloads uintptr, whole bool) {
	w := newWireOf(t, way, k.tap, [2]uintptr{offloads, offloads})
	k.through(t, w, func(from, to netip.Addr) {
		before := w.tunneled.Load()
		w.traffic(t, from, to)
		if got := w.tunneled.Load() - before; (got > 0) != whole {
			t.Errorf("%v, completed %v: %d super-packets in a tunnel, want some: %v", to, w.complete.Load(), got, whole)
		}
	})
}
