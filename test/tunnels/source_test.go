// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// A source is the kernel's end of a VXLAN tunnel that nobody but the test sends through, and the process is at the other end of.
type source struct {
	side side
	peer netip.AddrPort // within the tunnel, the process's
	conn *net.UDPConn
}

// vxlanOf is the tunnel that a process is at the other end of.
func vxlanOf(u device.Tunnel) kind {
	checksum := map[bool]string{true: "udpcsum ", false: "noudpcsum "}[u.Checksum]
	over := over4
	if u.IPv6 {
		checksum, over = map[bool]string{false: "udp6zerocsumtx udp6zerocsumrx "}[u.Checksum], over6
	}
	return ipKind("vxlan", "vxlan", "vxlan id 7 dstport 4789 "+checksum+over)
}

// newSource makes the tunnel over a device, with datagramPort on the kernel's side of it.
func newSource(t *testing.T, l *device.Link, u device.Tunnel) *source {
	t.Helper()
	k := vxlanOf(u)
	k.only4 = true
	k.load(t)
	s := &source{side: k.side(l), peer: netip.AddrPortFrom(netip.MustParseAddr("10.98.0.2"), datagramPort)}
	k.build(t, s.side)
	ip(t, "link set inner address "+l.HostMAC.String())
	ip(t, "neigh add "+s.peer.Addr().String()+" lladdr "+l.PeerMAC.String()+" dev inner nud permanent")
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.side.inside4, datagramPort)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.conn = conn
	device.SetSegment(t, conn, segmentSize)
	return s
}

// send sends a super-packet through the tunnel.
func (s *source) send(t *testing.T) {
	t.Helper()
	if _, err := s.conn.WriteToUDPAddrPort(device.Pattern(1, batch), s.peer); err != nil {
		t.Fatalf("send %d bytes in datagrams of %d: %v", batch, segmentSize, err)
	}
}
