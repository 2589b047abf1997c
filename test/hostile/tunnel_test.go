// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// superTunnel is a sound super-packet in VXLAN.
func superTunnel(l *device.Link, outer6, inner6, udp bool) (device.Header, []byte) {
	super := superTCP
	if udp {
		super = superUDP
	}
	vnet, inner := super(l.Inner(), inner6)
	f := l.InTunnel(device.Tunnel{IPv6: outer6}, vnet, inner)
	return f.Header(), f.Data
}

// tunnelLies are wrong on every super-packet in a tunnel.
var tunnelLies = []struct {
	name string
	tell func(h *device.Header, frame []byte)
}{
	{"no checksum to fill in", func(h *device.Header, _ []byte) { h.Vnet.Flags = 0 }},
	{"both tunnels", func(h *device.Header, _ []byte) { h.Vnet.GSOType |= device.GSOTunnel4 | device.GSOTunnel6 }},
	{"the other tunnel", func(h *device.Header, _ []byte) { h.Vnet.GSOType ^= device.GSOTunnel4 | device.GSOTunnel6 }},
	{"nothing within", func(h *device.Header, _ []byte) { h.Vnet.GSOType &= device.GSOTunnel4 | device.GSOTunnel6 }},
	{"fragmentation within", func(h *device.Header, _ []byte) { h.Vnet.GSOType = h.Vnet.GSOType&0x60 | device.GSOUDP }},
	{"unknown kind within", func(h *device.Header, _ []byte) { h.Vnet.GSOType = h.Vnet.GSOType&0x60 | 2 }},
	{"unknown flag", func(h *device.Header, _ []byte) { h.Vnet.Flags |= 4 }},
	{"segments of no bytes", func(h *device.Header, _ []byte) { h.Vnet.GSOSize = 0 }},
	{"segments by fragments", func(h *device.Header, _ []byte) { h.Vnet.GSOSize = 0xffff }},
	{"no offsets", func(h *device.Header, _ []byte) { h.Tunnel = device.TunnelOffsets{} }},
	{"outer header too early", func(h *device.Header, _ []byte) { h.Tunnel.OuterTH-- }},
	{"outer header too late", func(h *device.Header, _ []byte) { h.Tunnel.OuterTH++ }},
	{"outer header outside", func(h *device.Header, _ []byte) { h.Tunnel.OuterTH = 0xffff }},
	{"inner header too early", func(h *device.Header, _ []byte) { h.Tunnel.InnerNH-- }},
	{"inner header too late", func(h *device.Header, _ []byte) { h.Tunnel.InnerNH++ }},
	{"inner header in the outer one", func(h *device.Header, _ []byte) { h.Tunnel.InnerNH = h.Tunnel.OuterTH + 7 }},
	{"inner header at the beginning", func(h *device.Header, _ []byte) { h.Tunnel.InnerNH = 0 }},
	{"inner header outside", func(h *device.Header, _ []byte) { h.Tunnel.InnerNH = 0xffff }},
	{"checksum in the outer packet", func(h *device.Header, _ []byte) { h.Vnet.CsumStart, h.Vnet.CsumOffset = h.Tunnel.OuterTH, 6 }},
	{"checksum too early", func(h *device.Header, _ []byte) { h.Vnet.CsumStart -= 2; h.Vnet.CsumOffset += 2 }},
	{"checksum too late", func(h *device.Header, _ []byte) { h.Vnet.CsumStart += 2; h.Vnet.CsumOffset -= 2 }},
	{"checksum in another place", func(h *device.Header, _ []byte) { h.Vnet.CsumOffset += 2 }},
	{"checksum far outside", func(h *device.Header, _ []byte) { h.Vnet.CsumStart = 0xffff }},
	{"inner IP of version 5", func(h *device.Header, b []byte) { b[h.Tunnel.InnerNH] = 0x55 }},
	{"inner IP of the other version", func(h *device.Header, b []byte) { b[h.Tunnel.InnerNH] ^= 0x20 }},
	{"inner protocol of nobody", func(h *device.Header, b []byte) {
		at := h.Tunnel.InnerNH + 9
		if b[h.Tunnel.InnerNH]>>4 == 6 {
			at = h.Tunnel.InnerNH + 6
		}
		b[at] = 253
	}},
	{"outer protocol TCP", func(h *device.Header, b []byte) {
		at := h.Tunnel.OuterTH - 20 + 9
		if h.Vnet.GSOType&device.GSOTunnel6 != 0 {
			at = h.Tunnel.OuterTH - 40 + 6
		}
		b[at] = 6
	}},
	{"frame ends in the inner header", func(h *device.Header, _ []byte) { h.Length = uint32(h.Vnet.CsumStart) + 7; h.Vnet.HdrLen = 0 }},
	{"frame ends in the outer header", func(h *device.Header, _ []byte) { h.Length = uint32(h.Tunnel.OuterTH) + 7; h.Vnet.HdrLen = 0 }},
}

// lyingTunnels are all lies about all kinds.
func lyingTunnels(l *device.Link) (frames []malformed) {
	for kind := range 8 {
		h, frame := superTunnel(l, kind&1 != 0, kind&2 != 0, kind&4 != 0)
		for _, lie := range tunnelLies {
			h, b := h, slices.Clone(frame)
			lie.tell(&h, b)
			frames = append(frames, malformed{fmt.Sprintf("tunnel of kind %d: %s", kind, lie.name), h, b[:h.Length], byVnet})
		}
	}
	return frames
}

// TestTunnelsThatLieAreRefused: wherever a header is said to be, it has to be.
func TestTunnelsThatLieAreRefused(t *testing.T) {
	for _, tap := range []bool{false, true} {
		t.Run(fmt.Sprintf("tap=%v", tap), func(t *testing.T) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, TxSize: 1 << 20})
			for kind := range 8 {
				h, frame := superTunnel(l, kind&1 != 0, kind&2 != 0, kind&4 != 0)
				q := l.Queue()
				q.WaitTaken(t)
				q.PutRaw(h, frame, device.Footprint(len(frame)))
				q.Publish()
				if s := q.Settled(t); s.Refused() != 0 {
					t.Fatalf("sound tunnel of kind %d refused: %+v", kind, s)
				}
			}
			refuse(t, l, lyingTunnels(l))
		})
	}
}
