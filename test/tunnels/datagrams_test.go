// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// batch is a few datagrams that one call sends, the last of which is shorter.
const batch = 9*segmentSize + 1

// TestDatagramsInTunnels: what one call sends with UDP_SEGMENT comes to the process as one super-packet, goes on as it is, or cut
// up by package gso, and arrives datagram for datagram.
func TestDatagramsInTunnels(t *testing.T) {
	for _, k := range superKinds {
		t.Run(k.name, func(t *testing.T) {
			k.load(t)
			for _, way := range k.waysOfSupers() {
				t.Run(way.Name, func(t *testing.T) { k.tryDatagrams(t, way) })
			}
		})
	}
}

func (k kind) tryDatagrams(t *testing.T, way device.Way) {
	const offloads = device.OffloadTunnels | device.OffloadUSO
	w := newWireOf(t, way, k.tap, [2]uintptr{offloads, offloads})
	k.through(t, w, func(from, to netip.Addr) {
		if !device.FeaturesOf(t, inner)["tx-udp-segmentation"] {
			t.Skip("this kernel's tunnels have all datagrams cut before")
		}
		before := w.datagrams.Load()
		w.batches(t, from, to)
		got := w.datagrams.Load() - before
		t.Logf("%v, completed %v: %d super-packets of datagrams", to, w.complete.Load(), got)
		if got != 2 && way.Name != "stock" {
			t.Errorf("%v, completed %v: %d super-packets of datagrams, want 2", to, w.complete.Load(), got)
		}
	})
}

// batches sends datagrams each way.
func (w *wire) batches(t *testing.T, from, to netip.Addr) {
	t.Helper()
	a, b := w.listen(t, from, to)
	defer a.Close()
	defer b.Close()
	for i, pair := range [][2]*net.UDPConn{{a, b}, {b, a}} {
		payload := device.Pattern(uint64(i), batch)
		device.SetSegment(t, pair[0], segmentSize)
		if _, err := pair[0].WriteToUDPAddrPort(payload, pair[1].LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatalf("send %d datagrams: %v", (batch+segmentSize-1)/segmentSize, err)
		}
		w.expect(t, pair[1], slices.Collect(slices.Chunk(payload, segmentSize))...)
		device.SetSegment(t, pair[0], 0)
	}
}

// TestDatagramsOfAProcess: a super-packet that the process itself has put into a tunnel ends in the kernel's end of the tunnel,
// and arrives datagram for datagram.
func TestDatagramsOfAProcess(t *testing.T) {
	for _, tap := range []bool{false, true} {
		for _, outer6 := range []bool{false, true} {
			k := vxlanOf(device.Tunnel{IPv6: outer6})
			k.tap = tap
			k.load(t)
			for _, way := range k.waysOfSupers() {
				t.Run(fmt.Sprintf("TAP %v, outer IPv6 %v, %s", tap, outer6, way.Name), func(t *testing.T) {
					device.Sandbox(t)
					end := way.Open(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, Offloads: device.OffloadTunnels})
					k.receiveDatagrams(t, end, outer6)
				})
			}
		}
	}
}

// receiveDatagrams sends what there is with a family of the tunnel's.
func (k kind) receiveDatagrams(t *testing.T, end device.End, outer6 bool) {
	t.Helper()
	l := end.Device()
	s := k.side(l)
	k.build(t, s)
	ip(t, "link set inner address "+l.HostMAC.String())
	within := *l.Inner()
	within.Host4, within.Host6 = s.inside4, s.inside6
	for _, sent := range allSent(batch) {
		if !sent.udp || sent.IPv6 != outer6 {
			continue
		}
		address := netip.AddrPortFrom(within.Host(sent.inner6), datagramPort)
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
		if err != nil {
			t.Fatal(err)
		}
		if err := end.Give([]device.VnetFrame{sent.of(l, &within)}); err != nil {
			t.Fatalf("%v: %v", sent, err)
		}
		for want := range slices.Chunk(sent.payload, segmentSize) {
			device.Expect(t, conn, want)
		}
		conn.Close()
		if n := end.Refusals(t); n != 0 {
			t.Errorf("%v: refused", sent)
		}
	}
}
