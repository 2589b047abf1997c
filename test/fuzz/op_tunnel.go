// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"net"
	"runtime"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a device hands out it must take back: the frames of tunnels over it,
// whose checksums the kernel left to be completed.

const (
	tunnelName = "fztunnel"
	greCsum    = 0x8000 // GRE_CSUM
	greKey     = 0x2000 // GRE_KEY
	nobodys    = 253    // a protocol for experiments
)

// inners are what goes through a tunnel: with a checksum that can be left to be
// completed itself, without one, where the tunnel's own can be, and to be cut.
var inners = enum{"udp", "raw", "segments"}

var tunnels = enum{"gre", "gre_key", "gretap", "ip6gre", "ip6gretap", "ipip", "vxlan", "geneve"}

// Addresses within a tunnel.
var (
	innerHost = net.IPv4(10, 97, 0, 1)
	innerPeer = net.IPv4(10, 97, 0, 2)
)

// harm is what the kernel did that it must not do, and does not say itself.
type harm struct{ what string }

func (h harm) Error() string { return h.what }

// tunnel makes a device and a tunnel over it in a namespace of its own, where no
// other operation comes.
func (w *world) tunnel(t *thread, a []uint64) (err error) {
	runtime.LockOSThread() // for good, if the thread does not come back
	ns := device.NewNamespace(t)
	device.Inside(t, ns, func() { err = returnFrame(t, tunnels[a[0]], inners[a[1]], int(a[2])) })
	runtime.UnlockOSThread()
	return err
}

// returnFrame lets a tunnel send a frame, and gives it back as it came.
func returnFrame(t *thread, kind, inner string, size int) error {
	l := device.NewLink(t, device.Config{Name: "fzt", Flags: device.Vnet, IPv6: true})
	q := l.Queue()
	q.SetOffload(t, device.OffloadAll|device.OffloadTunnels)
	if err := addTunnel(l, kind); err != nil {
		return err
	}
	size = min(size, device.UDPMax)
	if err := sendInner(inner, size); err != nil {
		return err
	}
	before := q.Stats(t)
	h, frame := q.Receive(t, func(_ device.Header, frame []byte) bool { return len(frame) > min(size, 1000) })
	q.PutRaw(h, frame, device.Footprint(len(frame)))
	q.Publish()
	device.WaitFor(t, "the frame to be delivered or refused", func() bool {
		now := q.Stats(t)
		return now.TxFrames+now.Refused()+now.TxDroppedMemory > before.TxFrames+before.Refused()+before.TxDroppedMemory
	})
	if now := q.Stats(t); now.Refused() != before.Refused() {
		return harm{fmt.Sprintf("a frame of %s with %s in it, %d bytes, was handed out with %+v and refused when it came back: %+v", kind, inner, len(frame), h, now)}
	}
	return nil
}

// addTunnel makes a tunnel from the kernel's side to the process's, with an
// address.
func addTunnel(l *device.Link, kind string) error {
	attrs := netlink.LinkAttrs{Name: tunnelName}
	link := map[string]netlink.Link{
		"gre":       &netlink.Gretun{LinkAttrs: attrs, Local: l.Host4.AsSlice(), Remote: l.Peer4.AsSlice(), OFlags: greCsum},
		"gre_key":   &netlink.Gretun{LinkAttrs: attrs, Local: l.Host4.AsSlice(), Remote: l.Peer4.AsSlice(), OFlags: greCsum | greKey, OKey: 9},
		"gretap":    &netlink.Gretap{LinkAttrs: attrs, Local: l.Host4.AsSlice(), Remote: l.Peer4.AsSlice(), OFlags: greCsum},
		"ip6gre":    &netlink.Gretun{LinkAttrs: attrs, Local: l.Host6.AsSlice(), Remote: l.Peer6.AsSlice(), OFlags: greCsum},
		"ip6gretap": &netlink.Gretap{LinkAttrs: attrs, Local: l.Host6.AsSlice(), Remote: l.Peer6.AsSlice(), OFlags: greCsum},
		"ipip":      &netlink.Iptun{LinkAttrs: attrs, Local: l.Host4.AsSlice(), Remote: l.Peer4.AsSlice()},
		"vxlan":     &netlink.Vxlan{LinkAttrs: attrs, VxlanId: 5, SrcAddr: l.Host4.AsSlice(), Group: l.Peer4.AsSlice(), Port: 4789, UDPCSum: true},
		"geneve":    &netlink.Geneve{LinkAttrs: attrs, ID: 5, Remote: l.Peer4.AsSlice(), UdpCsum: 1},
	}[kind]
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("add %s: %w", kind, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: innerHost, Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	if made, err := netlink.LinkByName(tunnelName); err == nil && len(made.Attrs().HardwareAddr) == 6 {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: made.Attrs().Index, State: netlink.NUD_PERMANENT, IP: innerPeer, HardwareAddr: l.PeerMAC,
		})
	}
	return nil
}

// sendInner sends a datagram through the tunnel.
func sendInner(inner string, size int) error {
	kind, protocol := unix.SOCK_DGRAM, 0
	if inner == "raw" {
		kind, protocol = unix.SOCK_RAW, nobodys
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if inner == "segments" {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, gsoSize); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, make([]byte, size), 0, &unix.SockaddrInet4{Port: portOfProcess, Addr: [4]byte(innerPeer.To4())})
}
