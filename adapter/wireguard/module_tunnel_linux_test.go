// SPDX-License-Identifier: MIT

//go:build mytun_device

package wireguard_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"

	"github.com/vishvananda/netlink"
	wg "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// streamSize is how many bytes a stream takes through a tunnel.
var streamSize = device.Times(1 << 20)

// TestModuleKernel: wireguard-go at one end, the kernel's WireGuard at the other.
func TestModuleKernel(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		a, b := newEnds(t)
		b.startKernel(t)
		a.startGo(t)
		carry(t, a, b)
	})
}

// TestModuleBothEnds: wireguard-go at both.
func TestModuleBothEnds(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		a, b := newEnds(t)
		a.startGo(t)
		b.startGo(t)
		carry(t, a, b)
	})
}

// carry takes traffic of every kind through a tunnel, with both families, and checks all of it.
func carry(t *testing.T, a, b *end) {
	device.Enter(t, a.ns)
	for _, address := range []netip.Addr{b.inner4, b.inner6} {
		headers := device.IPHeader(address.Is6()) + 8 // of ICMP as of UDP
		most := wg.DefaultMTU - headers
		for _, size := range []int{56, most, most + 1} {
			device.Ping(t, address, size)
		}
		device.Datagrams(t, b.ns, address, sizes(most)...)
		segments(t, a, b, address)
		device.Streams(t, b.ns, address, streamSize/4)
	}
	superPackets(t, a, b)
	a.check(t)
	b.check(t)
}

// sizes are payloads of datagrams up to the longest that is not sent in fragments, and one that is.
func sizes(most int) (sizes []int) {
	for size := 0; size < most; size += 53 {
		sizes = append(sizes, size)
	}
	return append(sizes, 1, 3, most-1, most, most+1, 5000)
}

// segments sends many datagrams at once each way, of which the last is shorter: what the device gets, if it
// can, as a super-packet.
func segments(t *testing.T, a, b *end, address netip.Addr) {
	t.Helper()
	const size, count, last = 1200, 20, 700
	left, right := device.DialUDP(t, b.ns, address)
	defer left.Close()
	defer right.Close()
	for _, way := range [][2]*net.UDPConn{{left, right}, {right, left}} {
		device.SetSegment(t, way[0], size)
		all := device.Pattern(1, (count-1)*size+last)
		if _, err := way[0].Write(all); err != nil {
			t.Fatalf("send %d datagrams at once to %v: %v", count, way[1].LocalAddr(), err)
		}
		for at := 0; at < len(all); at += size {
			device.Expect(t, way[1], all[at:min(at+size, len(all))])
		}
	}
}

// superPackets sends a stream each way, one after the other, and makes sure that packets were together when they went
// to a wireguard-go and, if it had them from another, came from one: what it hears from the kernel's WireGuard may come alone.
func superPackets(t *testing.T, a, b *end) {
	t.Helper()
	left, right := device.DialTCP(t, b.ns, b.inner4)
	defer left.Close()
	defer right.Close()
	there, back := a.counters(t), b.counters(t)
	device.OneWay(t, left, right, streamSize)
	a.checkJoined(t, "to", a.counters(t).TxPackets-there.TxPackets)
	b.checkJoined(t, "from", b.counters(t).RxPackets-back.RxPackets)
	there, back = a.counters(t), b.counters(t)
	device.OneWay(t, right, left, streamSize)
	b.checkJoined(t, "to", b.counters(t).TxPackets-back.TxPackets)
	a.checkJoined(t, "from", a.counters(t).RxPackets-there.RxPackets)
}

// checkJoined: a stream needs more packets than that if each has a packet's size.
func (e *end) checkJoined(t *testing.T, direction string, packets uint64) {
	t.Helper()
	if e.dev == nil || direction == "from" && e.peer.dev == nil {
		return
	}
	single := uint64(streamSize / wg.DefaultMTU)
	t.Logf("%d packets %s wireguard-go of %v, which would be %d of the MTU's size", packets, direction, e.outer, single)
	if packets >= single && !device.Slow() {
		t.Errorf("no super-packets went %s wireguard-go of %v", direction, e.outer)
	}
}

func (e *end) counters(t *testing.T) (s netlink.LinkStatistics) {
	t.Helper()
	device.Inside(t, e.ns, func() { s = device.Counters(t, tunnel) })
	return s
}

// check makes sure that neither the kernel nor wireguard-go has something to complain of.
func (e *end) check(t *testing.T) {
	t.Helper()
	if s := e.counters(t); s.RxErrors != 0 || s.TxErrors != 0 {
		t.Errorf("%v: %d rx and %d tx errors", e.outer, s.RxErrors, s.TxErrors)
	}
	if c := e.complaints(); len(c) > 0 {
		t.Errorf("wireguard-go of %v complains: %q", e.outer, c)
	}
}

// TestModuleGone: the interface of one end is deleted under traffic, and wireguard-go ends, and says why; that of
// the other is closed under its.
func TestModuleGone(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		a, b := newEnds(t)
		a.startGo(t)
		b.startGo(t)
		device.Enter(t, a.ns)
		traffic := newTraffic(t, b)
		traffic.wait(t, 256<<10)
		device.Delete(t, tunnel)
		ended(t, a)
		if c := a.complaints(); len(c) == 0 || !strings.Contains(strings.Join(c, "\n"), "Failed to read packet from TUN device") {
			t.Errorf("wireguard-go complains %q, want a word of its device", c)
		}
		b.dev.Close()
		ended(t, b)
		device.Inside(t, b.ns, func() { device.WaitGone(t, tunnel) })
	})
}

// ended waits until an end's wireguard-go has ended.
func ended(t *testing.T, e *end) {
	t.Helper()
	select {
	case <-e.dev.Wait():
	case <-time.After(device.Deadline):
		t.Fatalf("wireguard-go of %v did not end in %v", e.outer, device.Deadline)
	}
}

// TestModuleEvents: wireguard-go hears what becomes of the interface.
func TestModuleEvents(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		d, err := wireguard.CreateTUN(tunnel, wg.DefaultMTU)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		expect := func(want tun.Event) {
			t.Helper()
			select {
			case event := <-d.Events():
				if event != want {
					t.Errorf("event %v, want %v", event, want)
				}
			case <-time.After(device.Deadline):
				t.Errorf("event %v did not come", want)
			}
		}
		device.Up(t, tunnel)
		expect(tun.EventUp)
		if err := netlink.LinkSetMTU(device.LinkOf(t, tunnel), 1280); err != nil {
			t.Fatal(err)
		}
		expect(tun.EventMTUUpdate)
		if mtu, err := d.MTU(); mtu != 1280 || err != nil {
			t.Errorf("MTU %d, %v, want 1280", mtu, err)
		}
		device.Down(t, tunnel)
		expect(tun.EventDown)
		device.Delete(t, tunnel)
		if _, err := d.Read([][]byte{make([]byte, 2000)}, make([]int, 1), 0); !errors.Is(err, mytunev.ErrDetached) {
			t.Errorf("Read: %v, want %v", err, mytunev.ErrDetached)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if event, ok := <-d.Events(); ok {
			t.Errorf("event %v after Close", event)
		}
	})
}
