// SPDX-License-Identifier: MIT

//go:build mytun_device

package wireguard_test

// These tests need root and the module: they open real devices. Each runs over both backends.

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/test/device"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	wg "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

const (
	tunnel = "wg0"  // the interface of an end
	wire   = "wire" // the veth of an end
	wgPort = 51820
)

// onBoth runs a test over each backend, in a network namespace of its own.
func onBoth(t *testing.T, test func(t *testing.T)) {
	device.OnBothBackends(t, func(t *testing.T) {
		device.Sandbox(t)
		test(t)
	})
}

// An end is one of a tunnel's: a network namespace with a veth to the other's, and an interface of WireGuard's.
type end struct {
	ns             netns.NsHandle
	outer          netip.Addr
	inner4, inner6 netip.Addr
	key            *ecdh.PrivateKey
	peer           *end
	dev            *wg.Device // wireguard-go, or nil: the kernel's WireGuard

	mu     sync.Mutex
	errors []string // of wireguard-go
}

// newEnds are two namespaces, joined by a wire, without a tunnel.
func newEnds(t *testing.T) (a, b *end) {
	t.Helper()
	a, b = newEnd(t, 1), newEnd(t, 2)
	a.peer, b.peer = b, a
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: wire, Namespace: netlink.NsFd(a.ns)},
		PeerName:  wire, PeerNamespace: netlink.NsFd(b.ns),
	})
	if err != nil {
		t.Fatalf("a veth pair: %v", err)
	}
	for _, e := range []*end{a, b} {
		device.Inside(t, e.ns, func() {
			device.Up(t, wire)
			device.AddAddress(t, wire, e.outer.String()+"/24")
		})
	}
	for _, e := range []*end{a, b} {
		device.Inside(t, e.ns, func() { device.WaitCarrier(t, wire) })
	}
	return a, b
}

func newEnd(t *testing.T, number byte) *end {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(device.Pattern(uint64(number), 32))
	if err != nil {
		t.Fatal(err)
	}
	return &end{
		ns: device.NewNamespace(t), key: key,
		outer:  netip.AddrFrom4([4]byte{10, 1, 0, number}),
		inner4: netip.AddrFrom4([4]byte{10, 2, 0, number}),
		inner6: netip.AddrFrom16([16]byte{0xfd, 2, 15: number}),
	}
}

// startGo makes the interface with wireguard-go, over a device of ours.
func (e *end) startGo(t *testing.T) {
	t.Helper()
	e.startWith(t, func() (tun.Device, error) { return wireguard.CreateTUN(tunnel, wg.DefaultMTU) })
}

// startWith is startGo with a device that create makes.
func (e *end) startWith(t *testing.T, create func() (tun.Device, error)) {
	t.Helper()
	device.Inside(t, e.ns, func() {
		tunDevice, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if driver, want := device.DriverOf(t, tunnel).Name, os.Getenv(device.BackendVariable); driver != want {
			t.Errorf("%s is of the driver %s, want %s", tunnel, driver, want)
		}
		e.dev = wg.NewDevice(tunDevice, conn.NewDefaultBind(), &wg.Logger{Verbosef: wg.DiscardLogf, Errorf: e.logError})
		t.Cleanup(e.dev.Close)
		err = e.dev.IpcSet(fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%v:%d\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n",
			hex.EncodeToString(e.key.Bytes()), wgPort, hex.EncodeToString(e.peer.key.PublicKey().Bytes()), e.peer.outer, wgPort))
		if err != nil {
			t.Fatal(err)
		}
		// the socket has to be this namespace's, and not that of whoever hears that the interface is up
		if err := e.dev.Up(); err != nil {
			t.Fatal(err)
		}
		e.configure(t)
	})
}

// startKernel makes the interface with the kernel's own WireGuard, or skips the test where there is none.
func (e *end) startKernel(t *testing.T) {
	t.Helper()
	device.Inside(t, e.ns, func() {
		err := netlink.LinkAdd(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: tunnel, MTU: wg.DefaultMTU}})
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this kernel has no WireGuard")
		}
		if err != nil {
			t.Fatalf("a WireGuard device of the kernel's: %v", err)
		}
		device.SetWireguard(t, tunnel, e.key, wgPort, device.WireguardPeer{
			Key: e.peer.key.PublicKey(), Endpoint: netip.AddrPortFrom(e.peer.outer, wgPort),
		})
		e.configure(t)
	})
}

// configure gives the interface addresses and sets it up.
func (e *end) configure(t *testing.T) {
	t.Helper()
	device.Sysctl(t, "net/ipv6/conf/"+tunnel+"/disable_ipv6", "0")
	device.AddAddress(t, tunnel, e.inner4.String()+"/24")
	device.Up(t, tunnel)
	device.AddAddress(t, tunnel, e.inner6.String()+"/64")
}

func (e *end) logError(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errors = append(e.errors, fmt.Sprintf(format, args...))
}

// complaints are the errors that wireguard-go has logged.
func (e *end) complaints() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.errors
}
