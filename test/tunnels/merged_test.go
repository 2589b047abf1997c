// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// TestSegmentsThatAreMergedOnTheWay: the kernel, which has a tunnel of that kind of its own, merges segments within a tunnel that
// it forwards. The process gets one super-packet, in a tunnel.
func TestSegmentsThatAreMergedOnTheWay(t *testing.T) {
	for _, tap := range []bool{false, true} {
		t.Run(fmt.Sprintf("TAP %v", tap), func(t *testing.T) {
			device.Sandbox(t)
			way := device.Ways[3] // what one call sends is merged together
			in := way.Open(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet})
			out := newOut(t, way, in.Device())
			for _, s := range allSent(10 * segmentSize) {
				if !s.udp {
					merge(t, in, out, s)
				}
			}
		})
	}
}

// newOut is a device that the kernel routes to, and makes the kernel know VXLAN.
func newOut(t *testing.T, way device.Way, in *device.Link) device.End {
	t.Helper()
	addTunnelEnds(t, in)
	out := way.Open(t, device.Config{Name: "out", IPv6: true, NoAddresses: true, Flags: device.Vnet, Offloads: device.OffloadTunnels})
	device.AddAddress(t, "out", "10.88.0.1/24")
	device.AddAddress(t, "out", "fd88::1/64")
	device.Sysctl(t, "net/ipv4/ip_forward", "1")
	device.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	return out
}

// merge sends the segments of a super-packet, and expects it.
func merge(t *testing.T, in, out device.End, s sent) {
	t.Helper()
	l := in.Device().Beyond()
	f := s.of(l, l.Inner())
	segments, err := (&wire{tap: l.TAP}).split(f)
	if err != nil || len(segments) != len(s.payload)/segmentSize {
		t.Fatalf("%v: %d segments, %v", s, len(segments), err)
	}
	if err := in.Give(segments); err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	var got device.VnetFrame
	device.WaitFor(t, "a super-packet of "+s.String(), func() bool {
		for _, got = range out.Take() {
			if got.Vnet.GSOType != device.GSONone {
				return true
			}
		}
		return false
	})
	// the device that it goes out by has no link header
	link := uint16(l.LinkHeader())
	want := f.Vnet
	want.CsumStart -= link
	want.HdrLen = got.Vnet.HdrLen
	at := device.TunnelOffsets{OuterTH: f.Tunnel.OuterTH - link, InnerNH: f.Tunnel.InnerNH - link}
	if got.Vnet != want || got.Tunnel != at || len(got.Data) != len(f.Data)-int(link) || !bytes.HasSuffix(got.Data, s.payload) {
		t.Errorf("%v: %d bytes with %+v, %+v, want %d with %+v, %+v", s, len(got.Data), got.Vnet, got.Tunnel, len(f.Data)-int(link), want, at)
	}
}
