// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Places in front of the tunnel's UDP header.
const (
	etherAddresses = 12
	ipv6Length     = 4
	ipv6Next       = 6
	ipv4Protocol   = 9
)

// experimental is an IP protocol that nobody knows.
const experimental = 253

// A front is what stands in front of a tunnel's UDP header, besides the usual.
type front struct {
	name string
	tags []uint16 // protocols of VLAN tags
	ext  bool     // an extension header of IPv6
}

var fronts = []front{
	{name: "nothing"},
	{name: "a tag", tags: []uint16{unix.ETH_P_8021Q}},
	{name: "a tag and an extension header", tags: []uint16{unix.ETH_P_8021Q}, ext: true},
	{name: "two tags", tags: []uint16{unix.ETH_P_8021AD, unix.ETH_P_8021Q}},
	{name: "an extension header", ext: true},
}

// of is a super-packet in a tunnel behind the front.
func (r front) of(l *device.Link, checksum bool) device.VnetFrame {
	s := sent{Tunnel: device.Tunnel{IPv6: r.ext, Checksum: checksum}, payload: device.Pattern(1, 5*segmentSize)}
	f := s.of(l, l.Inner())
	if r.ext {
		ip := f.Data[int(f.Tunnel.OuterTH)-device.IPHeader(true):]
		options := []byte{ip[ipv6Next], 0, 1, 4, 0, 0, 0, 0} // that say nothing
		ip[ipv6Next] = unix.IPPROTO_DSTOPTS
		binary.BigEndian.PutUint16(ip[ipv6Length:], binary.BigEndian.Uint16(ip[ipv6Length:])+uint16(len(options)))
		f = put(f, int(f.Tunnel.OuterTH), options)
	}
	for i, protocol := range slices.Backward(r.tags) {
		tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, protocol), uint16(7+i))
		f = put(f, etherAddresses, tag)
	}
	return f
}

// put is a frame with more bytes somewhere in front of the tunnel's UDP header.
func put(f device.VnetFrame, at int, more []byte) device.VnetFrame {
	n := uint16(len(more))
	f.Data = slices.Insert(f.Data, at, more...)
	f.Vnet.HdrLen += n
	f.Vnet.CsumStart += n
	f.Tunnel.OuterTH += n
	f.Tunnel.InnerNH += n
	return f
}

// addTunnelEnds makes the kernel know VXLAN, so that GRO looks for what is within.
func addTunnelEnds(t *testing.T, l *device.Link) {
	t.Helper()
	(kind{modules: "vxlan"}).load(t)
	for name, addresses := range map[string]string{
		"end4": fmt.Sprintf("local %v remote %v", l.Host4, l.Peer4), "end6": fmt.Sprintf("local %v remote %v", l.Host6, l.Peer6),
	} {
		ip(t, "link add "+name+" up type vxlan id 9 dstport 4789 udp6zerocsumrx "+addresses)
	}
}

// TestSuperPacketsKeepOutOfGRO: whatever stands in front of the tunnel. Nothing would be merged with them, and the outer headers
// would lose their places.
func TestSuperPacketsKeepOutOfGRO(t *testing.T) {
	for _, tap := range []bool{false, true} {
		for _, way := range device.Ways[1:] {
			for _, r := range fronts {
				if !tap && r.tags != nil {
					continue
				}
				t.Run(fmt.Sprintf("TAP %v, %s, %s", tap, way.Name, r.name), func(t *testing.T) {
					device.Sandbox(t)
					c := device.Config{TAP: tap, NoAddresses: true, Flags: device.Vnet, Offloads: device.OffloadTunnels}
					if way.Name == "write" {
						c.Flags |= unix.IFF_NAPI
					}
					r.keepOut(t, way.Open(t, c))
				})
			}
		}
	}
}

// keepOut sends a few, and behind them what GRO does get.
func (r front) keepOut(t *testing.T, end device.End) {
	t.Helper()
	l := end.Device()
	addTunnelEnds(t, l)
	plain := device.VnetFrame{Data: l.Frame(false, device.Datagram{Payload: marker})}
	plain.Data[l.LinkHeader()+ipv4Protocol] = experimental
	trace := device.TraceGRO(t, l.Name)
	if err := end.Give([]device.VnetFrame{r.of(l, false), r.of(l, true), plain}); err != nil {
		t.Fatal(err)
	}
	device.WaitFor(t, "the last frame in GRO", func() bool {
		if n := end.Refusals(t); n != 0 {
			t.Fatalf("%d frames were refused", n)
		}
		return slices.Contains(trace.Numbers(t, "gso_size"), 0)
	})
	if sizes := trace.Numbers(t, "gso_size"); len(sizes) != 1 {
		t.Errorf("2 super-packets in tunnels and one other frame were sent, and GRO got some with segments of %d bytes", sizes)
	}
}
