// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
)

const inner = "inner"

// mtu is the tunnel's: what any of them puts in front has room on the wire. Some know by themselves, others do not.
const mtu = 1380

// load loads a kind's modules.
func (k kind) load(t *testing.T) {
	t.Helper()
	for _, module := range strings.Fields(k.modules) {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			t.Skipf("this kernel has no %s: %s", module, out)
		}
	}
}

// A side is one end of a tunnel.
type side struct {
	link    *device.Link
	inside4 netip.Addr
	inside6 netip.Addr
}

func (k kind) side(l *device.Link) side {
	prefix := k.prefix6
	if prefix == "" {
		prefix = "fd98:"
	}
	number := "2"
	if l.Host4.As4()[3] == 1 {
		number = "1"
	}
	return side{l, netip.MustParseAddr("10.98.0." + number), netip.MustParseAddr(prefix + number + "::1")}
}

// inside are the addresses to try.
func (s side) inside(k kind) (addresses []netip.Addr) {
	if !k.only6 {
		addresses = append(addresses, s.inside4)
	}
	if !k.only4 {
		addresses = append(addresses, s.inside6)
	}
	return addresses
}

// build makes the tunnel at one end. Call it in that end's namespace.
func (k kind) build(t *testing.T, s side) {
	t.Helper()
	l := s.link
	words := strings.NewReplacer(
		"{local4}", l.Host4.String(), "{remote4}", l.Peer4.String(), "{local6}", l.Host6.String(), "{remote6}", l.Peer6.String(),
		"{local}", within(l.Host4), "{remote}", within(l.Peer4), "{remotemac}", l.PeerMAC.String(),
	)
	for _, command := range k.commands {
		ip(t, words.Replace(command))
	}
	if k.keyed {
		setKeys(t, l)
	}
	ip(t, "link set inner mtu "+strconv.Itoa(mtu))
	if !k.only4 {
		device.Sysctl(t, "net/ipv6/conf/"+inner+"/disable_ipv6", "0")
	}
	device.Up(t, inner)
	if !k.only6 {
		device.AddAddress(t, inner, s.inside4.String()+"/24")
	}
	if !k.only4 {
		device.AddAddress(t, inner, s.inside6.String()+"/24")
	}
}

// within is the address of a device between the wire and the tunnel.
func within(a netip.Addr) string {
	b := a.As4()
	return netip.AddrFrom4([4]byte{10, 97, 0, b[3]}).String()
}

func ip(t *testing.T, words string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}
