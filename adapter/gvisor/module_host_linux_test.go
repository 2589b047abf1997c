// SPDX-License-Identifier: MIT

//go:build mytun_device

package gvisor_test

// These tests need root and the module: they open real devices. Each runs over both backends.

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/mytun/mytun/adapter/gvisor"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The addresses of the two stacks of a link: the kernel's and gVisor's.
var (
	kernel4, user4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	kernel6, user6 = netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
)

// addresses are those of each family: the kernel's and gVisor's.
var addresses = [][2]netip.Addr{{kernel4, user4}, {kernel6, user6}}

// openDevice opens a device of the backend that the environment says, and sets it up for the kernel's stack.
func openDevice(t *testing.T, c mytunev.Config) *mytunev.Device {
	t.Helper()
	dev, err := mytunev.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dev.Close()
		device.WaitGone(t, dev.Name())
	})
	if b, why := dev.Backend(); b.String() != os.Getenv(device.BackendVariable) {
		t.Fatalf("opened over %v: %s", b, why)
	}
	device.AddAddress(t, dev.Name(), kernel4.String()+"/24")
	device.Up(t, dev.Name())
	device.AddAddress(t, dev.Name(), kernel6.String()+"/64")
	return dev
}

// A host is a gVisor stack with a device.
type host struct {
	dev      *mytunev.Device
	name     string
	mtu      int
	endpoint *gvisor.Endpoint
	stack    *stack.Stack
}

func newHost(t *testing.T, c mytunev.Config) *host {
	t.Helper()
	dev := openDevice(t, c)
	endpoint, err := gvisor.New(dev)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStack(endpoint, tcpipAddress(user4), tcpipAddress(user6))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endpoint.Close()
		endpoint.Wait()
		s.Destroy()
	})
	return &host{dev, dev.Name(), int(endpoint.MTU()), endpoint, s}
}

func tcpipAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// full is an address of gVisor's with the port that the tests use.
func full(a netip.Addr) *tcpip.FullAddress {
	return &tcpip.FullAddress{NIC: nic, Addr: tcpipAddress(a), Port: device.PeerPort}
}

// udpAddress is an address of the kernel's with that port.
func udpAddress(a netip.Addr) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, device.PeerPort))
}
