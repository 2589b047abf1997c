// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A tunnel says how two of a program make one.
type tunnel struct {
	prepare   func(t *testing.T, e *end)       // makes what the program reads
	command   func(e *end) []string            // runs it in the foreground
	fixed     bool                             // the program opens /dev/net/tun and nothing else
	addresses bool                             // it gives its device the IPv4 address and sets it up
	stays     bool                             // the device was there before
	join      func(t *testing.T, ends [2]*end) // once both have a device: what is missing for a tunnel
	listens   string                           // what the right end says when the left one may start
}

// An end is one end of a tunnel: a network namespace with a program and its device.
type end struct {
	ns     netns.NsHandle
	node   string // what the program is to open
	name   string // of the device
	dir    string // for the program's files
	peer   *end
	wire   netip.Addr // how the programs reach each other
	inner4 netip.Addr // what the tunnel is for
	inner6 netip.Addr
	*process
}

// onBoth makes the tunnel on each node and tries it.
func (tun tunnel) onBoth(t *testing.T) {
	device.LoadStockTun(t)
	for _, node := range device.Nodes {
		t.Run(path.Base(node), func(t *testing.T) {
			device.Sandbox(t)
			tun.try(t, newEnds(t, node))
		})
	}
}

func (tun tunnel) try(t *testing.T, ends [2]*end) {
	for _, e := range ends {
		if tun.prepare != nil {
			tun.prepare(t, e)
		}
	}
	// the right end first: that is where a server is, if one end is a server
	for _, e := range slices.Backward(ends[:]) {
		device.Inside(t, e.ns, func() { tun.start(t, e) })
	}
	for _, e := range ends {
		device.Inside(t, e.ns, func() { tun.configure(t, e) })
	}
	if tun.join != nil {
		tun.join(t, ends)
	}
	carry(t, ends)
	for _, e := range ends {
		device.Inside(t, e.ns, func() { e.checkDriver(t) })
	}
	for i, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		e := ends[i]
		device.Inside(t, e.ns, func() {
			e.end(t, signal)
			if tun.stays {
				e.checkStays(t)
				device.Delete(t, e.name)
			}
			device.WaitGone(t, e.name)
		})
	}
}

// newEnds are two namespaces, joined by a wire whose packets are large enough for those of
// the tunnel.
func newEnds(t *testing.T, node string) [2]*end {
	t.Helper()
	const wire, mtu = "wire", 4000
	ends := [2]*end{newEnd(t, node, "left", 1), newEnd(t, node, "right", 2)}
	left, right := ends[0], ends[1]
	left.peer, right.peer = right, left
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: wire, MTU: mtu, Namespace: netlink.NsFd(left.ns)},
		PeerName:  wire, PeerNamespace: netlink.NsFd(right.ns), PeerMTU: mtu,
	})
	if err != nil {
		t.Fatalf("a veth pair: %v", err)
	}
	for _, e := range ends {
		device.Inside(t, e.ns, func() {
			device.Up(t, wire)
			device.AddAddress(t, wire, e.wire.String()+"/24")
		})
	}
	for _, e := range ends {
		device.Inside(t, e.ns, func() { device.WaitCarrier(t, wire) })
	}
	return ends
}

func newEnd(t *testing.T, node, name string, number byte) *end {
	t.Helper()
	return &end{
		node: node, name: name, dir: t.TempDir(), ns: device.NewNamespace(t),
		wire:   netip.AddrFrom4([4]byte{10, 1, 0, number}),
		inner4: netip.AddrFrom4([4]byte{10, 2, 0, number}),
		inner6: netip.AddrFrom16([16]byte{0xfd, 2, 15: number}),
	}
}

// start starts the program of an end, in whose namespace the thread is.
func (tun tunnel) start(t *testing.T, e *end) {
	t.Helper()
	command := tun.command(e)
	if tun.fixed {
		command = atNode(e.node, command...)
	}
	e.process = start(t, command...)
	if tun.listens != "" && e.peer.process == nil {
		e.waitFor(t, "a word of a server that listens", func() bool { return strings.Contains(e.output(t), tun.listens) })
	}
}

// configure waits for the device of an end, in whose namespace the thread is, and does what the
// program leaves to others.
func (tun tunnel) configure(t *testing.T, e *end) {
	t.Helper()
	e.waitFor(t, "a device "+e.name, func() bool { return device.LinkExists(e.name) })
	if !tun.addresses {
		device.AddAddress(t, e.name, e.inner4.String()+"/24")
		device.Up(t, e.name)
	}
	e.waitFor(t, "a device "+e.name+" with an address", func() bool {
		link := device.LinkOf(t, e.name)
		addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
		return err == nil && len(addresses) > 0 && link.Attrs().Flags&net.FlagRunning != 0
	})
	device.Sysctl(t, "net/ipv6/conf/"+e.name+"/disable_ipv6", "0")
	device.AddAddress(t, e.name, e.inner6.String()+"/64")
}

// checkDriver makes sure that it was this node's device which carried the packets.
func (e *end) checkDriver(t *testing.T) {
	t.Helper()
	if driver := device.DriverOf(t, e.name); driver.Name != path.Base(e.node) {
		t.Errorf("%s was to open %s, and its device is of the driver %q", e.Path, e.node, driver.Name)
	}
	s := device.Counters(t, e.name)
	if s.RxBytes < carried || s.TxBytes < carried {
		t.Errorf("%s carried %d and %d bytes, and must have carried %d in each direction", e.name, s.RxBytes, s.TxBytes, carried)
	}
	if s.RxErrors != 0 || s.TxErrors != 0 {
		t.Errorf("%s counts %d rx and %d tx errors", e.name, s.RxErrors, s.TxErrors)
	}
}

// checkStays makes sure that a device has outlived its program, and knows that.
func (e *end) checkStays(t *testing.T) {
	t.Helper()
	device.WaitFor(t, e.name+" to lose its carrier", func() bool {
		return device.LinkOf(t, e.name).Attrs().RawFlags&unix.IFF_LOWER_UP == 0
	})
}
