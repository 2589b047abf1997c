// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package tags tests that what the kernel keeps beside a frame becomes bytes of it for the process, whichever way the frame
// came to the device: VLAN tags, and the place of a checksum that is to be filled in, which lies further back by them.
package tags

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// mtu has room for super-packets: a program of XDP redirects nothing that is longer.
const mtu = 9000

func TestOneTagOnEachPath(t *testing.T)  { onEachPath(t, single) }
func TestTwoTagsOnEachPath(t *testing.T) { onEachPath(t, double) }

func onEachPath(t *testing.T, tags []tag) {
	for _, path := range paths {
		t.Run(path.name, func(t *testing.T) { path.try(t, tags) })
	}
}

// try compares what comes by each way with what was sent, and with what stock tun hands out.
func (p path) try(t *testing.T, tags []tag) {
	var stock [][]device.VnetFrame
	for _, way := range device.Ways {
		t.Run(way.Name, func(t *testing.T) {
			got := p.deliver(t, way, tags)
			if stock == nil {
				stock = got
			}
			for i := range stock {
				if !slices.EqualFunc(got[i], stock[i], same) {
					t.Errorf("sample %d: %s, by stock tun %s", i, describe(got[i]), describe(stock[i]))
				}
			}
		})
	}
}

// deliver sends each sample, and returns what came of it.
func (p path) deliver(t *testing.T, way device.Way, tags []tag) (all [][]device.VnetFrame) {
	device.Sandbox(t)
	end := way.Open(t, device.Config{Name: tap, TAP: true, MTU: mtu, NoAddresses: true, Flags: device.Vnet})
	source := device.NewVnetSocket(t, p.lay(t, tags), 0)
	l := *end.Device()
	l.Host4, l.Peer4, l.Host6, l.Peer6, l.HostMAC, l.PeerMAC = l.Peer4, l.Host4, l.Peer6, l.Host6, l.PeerMAC, l.HostMAC
	for _, s := range samples(t, &l) {
		whole := tagged(s.VnetFrame, tags)
		if p.plain && s.Vnet != (device.VnetHeader{}) || len(tags) > 1 && s.Vnet.GSOType != device.GSONone {
			continue // the stack may cut up what has two tags
		}
		last := device.VnetFrame{Data: l.Frame(false, device.Datagram{Payload: fmt.Appendf(nil, "behind the %s", s.name)})}
		for _, f := range []device.VnetFrame{s.VnetFrame, last} {
			if p.bytes {
				f = tagged(f, tags)
			}
			source.Send(t, f)
		}
		got := takeUntil(t, end, tagged(last, tags).Data)
		if len(got) != 1 || !same(got[0], whole) {
			t.Errorf("%s: sent %s, came %s", s.name, describe([]device.VnetFrame{whole}), describe(got))
		}
		all = append(all, got)
	}
	return all
}

// takeUntil is all that comes before a frame.
func takeUntil(t *testing.T, end device.End, last []byte) (frames []device.VnetFrame) {
	t.Helper()
	for deadline := time.Now().Add(device.Deadline); time.Now().Before(deadline); {
		for _, f := range end.Take() {
			if bytes.Equal(f.Data, last) {
				return frames
			}
			frames = append(frames, f)
		}
	}
	t.Fatalf("waited %v in vain for the last frame, and got %s", device.Deadline, describe(frames))
	return nil
}

// same compares frames. How long the headers are is a hint; that of a packet socket is another.
func same(a, b device.VnetFrame) bool {
	a.Vnet.HdrLen, b.Vnet.HdrLen = 0, 0
	a.Vnet.Flags &^= device.VnetDataValid
	b.Vnet.Flags &^= device.VnetDataValid
	return a.Vnet == b.Vnet && bytes.Equal(a.Data, b.Data)
}

func describe(frames []device.VnetFrame) string {
	s := fmt.Sprintf("%d frames", len(frames))
	for _, f := range frames[:min(len(frames), 1)] {
		s += fmt.Sprintf("; %d bytes % x..., %+v", len(f.Data), f.Data[:min(len(f.Data), 24)], f.Vnet)
	}
	return s
}
