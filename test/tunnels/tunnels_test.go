// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package tunnels tests that a device takes back what it has handed out: a process that carries the
// frames of one device to another need not know what they are. The kernel's tunnels go over the device,
// each kind of them, and what arrives at their far end is compared, beside the kernel's own tun.
package tunnels

import (
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
)

func TestGRE(t *testing.T)          { tryAll(t, greKinds) }
func TestIPInIP(t *testing.T)       { tryAll(t, ipKinds) }
func TestUDPTunnels(t *testing.T)   { tryAll(t, udpKinds) }
func TestOverEthernet(t *testing.T) { tryAll(t, ethernetKinds) }

// seen is what a device left to the process while a tunnel was tried.
type seen struct{ unfinished, supers bool }

// tryAll: mytun leaves checksums within tunnels to the process on every kernel, stock
// tun on older ones only those of some tunnels.
func tryAll(t *testing.T, kinds []kind) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			k.load(t)
			found := map[string]seen{}
			for _, way := range device.Ways {
				t.Run(way.Name, func(t *testing.T) { found[way.Name] = k.try(t, way) })
			}
			stock, ring := found["stock"], found[device.Ways[1].Name]
			if stock.unfinished && !ring.unfinished {
				t.Errorf("no unfinished checksums in the ring, and of stock tun there are some")
			}
			for _, way := range device.Ways[2:] {
				if found[way.Name].unfinished != ring.unfinished {
					t.Errorf("%s: unfinished checksums, super-packets: %+v, and in the ring %+v", way.Name, found[way.Name], ring)
				}
			}
		})
	}
}

// through makes a tunnel over a wire and calls visit with each pair of addresses in it, twice: the process sends frames on as they
// came, and then with nothing left to do.
func (k kind) through(t *testing.T, w *wire, visit func(from, to netip.Addr)) {
	t.Helper()
	var inside [2][]netip.Addr
	for i, e := range w.ends {
		s := k.side(e.Device())
		device.Inside(t, w.namespaces[i], func() { k.build(t, s) })
		inside[i] = s.inside(k)
	}
	for _, complete := range []bool{false, true} {
		w.complete.Store(complete)
		for i, to := range inside[1] {
			visit(inside[0][i], to)
		}
	}
	if err := w.problem(t); err != nil {
		t.Error(err)
	}
}

// try takes traffic through a tunnel.
func (k kind) try(t *testing.T, way device.Way) seen {
	w := newWire(t, way, k.tap)
	k.through(t, w, func(from, to netip.Addr) { w.traffic(t, from, to) })
	t.Logf("%d frames with a checksum to complete, %d super-packets", w.unfinished.Load(), w.supers.Load())
	return seen{w.unfinished.Load() > 0, w.supers.Load() > 0}
}
