// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// TestEnvelopedPacketsAreSound: what is said of them is so, and the packet within is what is claimed.
func TestEnvelopedPacketsAreSound(t *testing.T) {
	w := emptyWorld(t)
	for _, kind := range []string{"tun_vnet", "tap_vnet"} {
		w.flags[0].Store(uint32(flagsOf(kind)))
		for _, what := range wrapped {
			for _, claim := range []string{"tcp4", "tcp6", "udp", "ecn", "tiny"} {
				for _, size := range []int{1, 5000, device.FrameMax + 1} {
					checkEnveloped(t, w, what, claim, size)
				}
			}
		}
	}
}

func checkEnveloped(t *testing.T, w *world, what, claim string, size int) {
	t.Helper()
	l := sides(0)
	l.TAP = w.isTAP(0)
	f := w.packet(0, what, claim, size)
	if want := l.LinkHeader() + device.IPHeader(envelopes[what].IPv6); int(f.Tunnel.OuterTH) != want {
		t.Errorf("%s, %s: outer header at %d, want %d", what, claim, f.Tunnel.OuterTH, want)
	}
	outer := f.Data[f.Tunnel.OuterTH:]
	if got := int(header.UDP(outer).Length()); got != len(outer) || len(f.Data) > device.FrameMax {
		t.Errorf("%s, %s: outer length %d of %d", what, claim, got, len(outer))
	}
	h, inner := f.Header(), f.Data[f.Tunnel.InnerNH:]
	h.Vnet.Flags &^= device.VnetTunnelSum
	h.Vnet.GSOType &^= device.GSOTunnel4 | device.GSOTunnel6
	h.Vnet.CsumStart -= f.Tunnel.InnerNH
	h.Vnet.HdrLen -= f.Tunnel.InnerNH
	if size <= int(h.Vnet.GSOSize) {
		h.Vnet.GSOType, h.Vnet.GSOSize = device.GSONone, 0 // one segment is no super-packet
	}
	if err := (&device.Link{MTU: 1500}).Check(h, inner); err != nil {
		t.Errorf("%s, %s, %d bytes: packet within: %v", what, claim, size, err)
	}
}

// TestEnvelopedPacketsWithoutAClaim: nothing is said of the tunnel.
func TestEnvelopedPacketsWithoutAClaim(t *testing.T) {
	w := emptyWorld(t)
	for claim, flags := range map[string]uint8{"plain": 0, "csum": device.VnetNeedsCsum} {
		f := w.packet(0, "vxlan4_sum", claim, 100)
		if f.Tunnel != (device.TunnelOffsets{}) || f.Vnet.GSOType != device.GSONone || f.Vnet.Flags != flags {
			t.Errorf("%s: %+v, %+v", claim, f.Vnet, f.Tunnel)
		}
	}
}

func TestRoutedEnvelopesAreForTheSink(t *testing.T) {
	f := emptyWorld(t).packet(0, "vxlan_routed", "tcp4", 100)
	if got := header.IPv4(f.Data).DestinationAddress().As4(); got != beyondSink.As4() {
		t.Errorf("for %v, want %v", got, beyondSink)
	}
}

// TestAlterChangesOneThing: each field is another, and all of them can be changed each way.
func TestAlterChangesOneThing(t *testing.T) {
	w := emptyWorld(t)
	seen := map[string]string{}
	for _, field := range fields {
		for _, how := range changes {
			f := w.packet(0, "vxlan6", "tcp4", 100)
			before := f
			before.Data = slices.Clone(f.Data)
			alter(&f, field, how, 3)
			if same := reflect.DeepEqual(f, before); same != (field == "nothing" || field == "length" && how == "add") {
				t.Errorf("%s, %s: changed nothing: %v", field, how, same)
			}
			if how != "xor" || field == "nothing" {
				continue
			}
			h := f.Header()
			text := string(encode(&h)) + string(f.Data)
			if other := seen[text]; other != "" {
				t.Errorf("%s is the same as %s", field, other)
			}
			seen[text] = field
		}
	}
}

// TestAlterFindsBytesInAnyFrame: also where the offsets are not true, or where there are none.
func TestAlterFindsBytesInAnyFrame(t *testing.T) {
	for _, f := range []device.VnetFrame{
		{Data: []byte{0x45}},
		{Tunnel: device.TunnelOffsets{OuterTH: 0xffff, InnerNH: 0xffff}, Data: make([]byte, 100)},
		{Vnet: device.VnetHeader{GSOType: device.GSOTunnel6, CsumStart: 0xffff}, Tunnel: device.TunnelOffsets{OuterTH: 20}, Data: make([]byte, 60)},
	} {
		for _, field := range fields {
			alter(&f, field, "set", 0xffff)
		}
	}
}
