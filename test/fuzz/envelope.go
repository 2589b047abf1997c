// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"github.com/mytun/mytun/test/device"
)

// Packets in VXLAN, which the kernel may be asked to cut up within the tunnel.

// envelope is what goes around such a packet, and whether it is to be forwarded.
type envelope struct {
	device.Tunnel
	routed bool
}

var envelopes = map[string]envelope{
	"vxlan4":       {},
	"vxlan6":       {Tunnel: device.Tunnel{IPv6: true}},
	"vxlan4_sum":   {Tunnel: device.Tunnel{Checksum: true}},
	"vxlan6_sum":   {Tunnel: device.Tunnel{IPv6: true, Checksum: true}},
	"vxlan_routed": {Tunnel: device.Tunnel{Checksum: true}, routed: true},
}

// envelopedMax is the largest payload for which the outer lengths are right.
const envelopedMax = 65000

// enveloped is a packet of the kind that is claimed, in a tunnel. A claim about the
// checksum alone, or none, is not about the tunnel.
func enveloped(l *device.Link, u envelope, claim string, size int) device.VnetFrame {
	if u.routed {
		l.Host4 = beyondSink
	}
	within, payload := l.Inner(), make([]byte, size)
	var vnet device.VnetHeader
	var inner []byte
	switch claim {
	case "plain", "csum", "udp":
		vnet, inner = within.SuperDatagram(false, device.Datagram{SrcPort: 5555, DstPort: 5556, Payload: payload}, gsoSize)
	default:
		segment := uint16(gsoSize)
		if claim == "tiny" {
			segment = gsoSizeTiny
		}
		vnet, inner = (&device.TCPPeer{Link: within, IPv6: claim == "tcp6"}).Super(payload, segment)
	}
	f := l.InTunnel(u.Tunnel, vnet, inner)
	switch claim {
	case "plain":
		f.Vnet, f.Tunnel = device.VnetHeader{}, device.TunnelOffsets{}
	case "csum":
		f.Vnet.Flags, f.Vnet.GSOType, f.Vnet.GSOSize, f.Tunnel = device.VnetNeedsCsum, device.GSONone, 0, device.TunnelOffsets{}
	case "ecn":
		f.Vnet.GSOType |= device.GSOECN
	}
	return f
}
