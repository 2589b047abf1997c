// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func hasCarrier(t *testing.T, name string) bool {
	t.Helper()
	return device.LinkOf(t, name).Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

func TestCarrierFollowsTheProcess(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Multi)
	f.SetPersist(t, true)
	device.Up(t, name)
	if !hasCarrier(t, name) {
		t.Error("no carrier with a queue attached")
	}
	second := device.Open(t)
	second.Attach(t, name, device.TUN|device.Multi)
	f.Close()
	if !hasCarrier(t, name) {
		t.Error("no carrier with one of two queues left")
	}
	second.Close()
	if hasCarrier(t, name) {
		t.Error("carrier without a queue")
	}
	f = device.Open(t)
	f.Attach(t, name, device.TUN|device.Multi)
	if !hasCarrier(t, name) {
		t.Error("no carrier after attaching again")
	}
	f.SetPersist(t, false)
}

func TestLinksLookLikeTunAndTap(t *testing.T) {
	device.Sandbox(t)
	device.Open(t).Attach(t, "mylook0", device.TUN)
	device.Open(t).Attach(t, "mylook1", device.TAP)
	tun, tap := device.LinkOf(t, "mylook0").Attrs(), device.LinkOf(t, "mylook1").Attrs()
	if tun.EncapType != "none" || len(tun.HardwareAddr) != 0 || tun.RawFlags&unix.IFF_POINTOPOINT == 0 {
		t.Errorf("tun: %+v", tun)
	}
	if tap.EncapType != "ether" || len(tap.HardwareAddr) != 6 || tap.HardwareAddr[0]&3 != 2 {
		t.Errorf("tap: %+v", tap)
	}
	for _, attrs := range []*netlink.LinkAttrs{tun, tap} {
		if attrs.MTU != 1500 || attrs.TxQLen != 1000 {
			t.Errorf("mtu %d qlen %d", attrs.MTU, attrs.TxQLen)
		}
	}
}

func TestMTULimits(t *testing.T) {
	device.Sandbox(t)
	for _, flags := range []uint16{device.TUN, device.TAP} {
		f := device.Open(t)
		link := device.LinkOf(t, f.Attach(t, "", flags))
		for mtu, ok := range map[int]bool{67: false, 68: true, 1500: true, 65535: true, 65536: false} {
			if err := netlink.LinkSetMTU(link, mtu); (err == nil) != ok {
				t.Errorf("flags %#x mtu %d: %v", flags, mtu, err)
			}
		}
	}
}

func TestEthtoolTellsTheDriver(t *testing.T) {
	device.Sandbox(t)
	for flags, bus := range map[uint16]string{device.TUN: "tun", device.TAP: "tap"} {
		name := device.Open(t).Attach(t, "", flags)
		got := device.DriverOf(t, name)
		if got.Name != "mytun" || got.Version == "" || got.Bus != bus {
			t.Errorf("ethtool -i: %+v", got)
		}
	}
}

func TestEthtoolTellsChannelsAndRings(t *testing.T) {
	device.Sandbox(t)
	first, second := device.Open(t), device.Open(t)
	name := first.Attach(t, "", device.TUN|device.Multi)
	if rxMax, txMax, rx, tx := device.RingsOf(t, name); rxMax != maxRing || txMax != maxRing || rx != 0 || tx != 0 {
		t.Errorf("rings before SET_RINGS: %d %d %d %d", rxMax, txMax, rx, tx)
	}
	first.SetRings(t, minRing, 2*minRing)
	second.Attach(t, name, device.TUN|device.Multi)
	if most, count := device.ChannelsOf(t, name); most != device.QueuesMax || count != 2 {
		t.Errorf("channels: %d of %d", count, most)
	}
	if _, _, rx, tx := device.RingsOf(t, name); rx != minRing || tx != 2*minRing {
		t.Errorf("rings %d %d", rx, tx)
	}
	first.Close()
	if _, count := device.ChannelsOf(t, name); count != 1 {
		t.Errorf("%d channels after one left", count)
	}
	single := device.Open(t).Attach(t, "", device.TAP)
	if most, count := device.ChannelsOf(t, single); most != 1 || count != 1 {
		t.Errorf("single queue: channels %d of %d", count, most)
	}
}

func TestEthtoolCountersAreTheQueues(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	conn := l.ListenUDP(t, false, 7000)
	q := l.Queues[1]
	for range 5 {
		q.Send(t, l.Frame(false, device.Datagram{SrcPort: 9, DstPort: 7000, Payload: []byte("count")}))
		receive(t, conn, "count")
	}
	q.PutRaw(device.Header{Length: 40, Flags: 0x80}, nil, device.Footprint(40))
	q.Publish()
	q.WaitTaken(t)
	stats := q.Settled(t)
	names, values := device.StatisticsOf(t, l.Name)
	for i, want := range []string{"q0_rx_frames", "q0_rx_bytes"} {
		if names[i] != want {
			t.Errorf("counter %d is %q, want %q", i, names[i], want)
		}
	}
	for name, want := range map[string]uint64{
		"q0_tx_frames": 0, "q1_tx_frames": 5, "q1_tx_refused_flags": 1, "q1_tx_refused_length": 0,
		"q1_tx_bytes": stats.TxBytes, "q1_tx_doorbells": stats.TxDoorbells,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// TestEthtoolCountersOfADeviceWithoutQueues: there are none, as of stock tun. The kernel warns of a set that is there and empty, and
// whoever asks needs no rights.
func TestEthtoolCountersOfADeviceWithoutQueues(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	f.SetPersist(t, true)
	f.Close()
	defer device.Delete(t, name)
	const statistics = 1 // ETH_SS_STATS
	for what, command := range map[string]uint32{"strings": unix.ETHTOOL_GSTRINGS, "counters": unix.ETHTOOL_GSTATS} {
		b := make([]byte, 12)
		binary.NativeEndian.PutUint32(b, command)
		binary.NativeEndian.PutUint32(b[4:], statistics)
		expect(t, what, device.Ethtool(t, name, b), unix.EOPNOTSUPP)
	}
	if n := device.DriverOf(t, name).Counters; n != 0 {
		t.Errorf("the driver tells of %d counters", n)
	}
}

func TestLinkAddSaysHowToDoItInstead(t *testing.T) {
	device.Sandbox(t)
	nl.EnableErrorMessageReporting = true
	err := netlink.LinkAdd(&netlink.GenericLink{
		LinkAttrs: netlink.LinkAttrs{Name: "myadd"}, LinkType: "mytun",
	})
	expect(t, "link add", err, unix.EOPNOTSUPP)
	if err != nil && !strings.Contains(err.Error(), device.Node) {
		t.Errorf("the message %q does not name %s", err, device.Node)
	}
	if device.LinkExists("myadd") {
		t.Error("there is a device all the same")
	}
}

func TestLinkKindIsMytun(t *testing.T) {
	device.Sandbox(t)
	name := device.Open(t).Attach(t, "", device.TUN)
	if kind := device.LinkOf(t, name).Type(); kind != "mytun" {
		t.Errorf("kind %q", kind)
	}
}

func TestNodeIsACharacterDevice(t *testing.T) {
	info, err := os.Stat(device.Node)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("%s has mode %v", device.Node, info.Mode())
	}
	misc, err := os.ReadFile("/proc/misc")
	if err != nil || !slices.Contains(strings.Fields(string(misc)), "mytun") {
		t.Errorf("/proc/misc: %q, %v", misc, err)
	}
}

func TestKernelThreadsAreNamedAfterTheirQueues(t *testing.T) {
	device.Sandbox(t)
	const name = "mythreads"
	for i := range 3 {
		f := device.Open(t)
		f.Attach(t, name, device.TUN|device.Multi)
		if got := device.Kthreads(name); len(got) != i {
			t.Errorf("threads %v before the rings of queue %d", got, i)
		}
		f.SetRings(t, minRing, minRing)
		if want := fmt.Sprintf("mytun/%s/%d", name, i); !slices.Contains(device.Kthreads(name), want) {
			t.Errorf("no thread %q among %v", want, device.Kthreads(name))
		}
	}
	device.Delete(t, name)
	device.WaitGone(t, name) // each ends by itself
}
