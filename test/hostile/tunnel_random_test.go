// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A liar makes frames up that begin as sound ones in tunnels.
type liar struct {
	*rand.Rand
	near, beyond *device.Link
}

func (r liar) bool() bool { return r.IntN(2) == 0 }

func oneOf[T any](r liar, choices ...T) T { return choices[r.IntN(len(choices))] }

// sound is a super-packet, or what is one in all but its size, to the tunnel's end here or to somewhere else.
func (r liar) sound() device.VnetFrame {
	l, inner6 := oneOf(r, r.near, r.beyond), r.bool()
	payload := device.Pattern(r.Uint64(), oneOf(r, 1, 7, 100, 999, 1000, 1001, 5000))
	size := oneOf[uint16](r, 8, 100, 1000, 1400)
	super, inner := l.Inner().SuperDatagram(inner6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload}, size)
	if r.bool() {
		super, inner = (&device.TCPPeer{Link: l.Inner(), IPv6: inner6}).Super(payload, size)
	}
	return l.InTunnel(device.Tunnel{IPv6: r.bool(), Checksum: r.bool()}, super, inner)
}

// number is one that is near to what it was, or is far from it, or stands at an end.
func (r liar) number(n uint16, length int) uint16 {
	return oneOf(r, n+uint16(r.IntN(5))-2, uint16(r.IntN(200)), uint16(r.Uint32()), 0, uint16(length), uint16(length)-1, 0xffff)
}

// lie makes one thing untrue, as a rule.
func (r liar) lie(f *device.VnetFrame) {
	v := &f.Vnet
	switch numbers := []*uint16{&v.HdrLen, &v.GSOSize, &v.CsumStart, &v.CsumOffset, &f.Tunnel.OuterTH, &f.Tunnel.InnerNH}; r.IntN(6) {
	case 0:
		v.Flags = oneOf(r, 0, 1, 8, 9, uint8(r.Uint32()))
	case 1:
		v.GSOType = oneOf[uint8](r, 0, 1, 3, 4, 5) | oneOf[uint8](r, 0, 0x20, 0x40, 0x60) | oneOf[uint8](r, 0, 0, 0, 0x80)
	case 2:
		f.Data[r.IntN(min(len(f.Data), 150))] = oneOf(r, 0x45, 0x60, 6, 17, uint8(r.Uint32()))
	case 3:
		f.Data = f.Data[:1+r.IntN(len(f.Data))]
	case 4:
		scribble(r.Rand, f.Data)
		f.Data[min(r.near.LinkHeader(), len(f.Data)-1)] = oneOf[uint8](r, 0x45, 0x60)
	default:
		n := oneOf(r, numbers...)
		*n = r.number(*n, len(f.Data))
	}
}

func (r liar) frames(n int) (frames []device.VnetFrame) {
	for range n {
		f := r.sound()
		for range r.IntN(3) {
			r.lie(&f)
		}
		frames = append(frames, f)
	}
	return frames
}

// tunnelEnds are for IPv4 and for IPv6.
var tunnelEnds = map[bool]string{false: "myend4", true: "myend6"}

// addTunnelEnd makes the kernel's end of the tunnel, which takes off what is around the packets for it.
func addTunnelEnd(t *testing.T, l *device.Link, ipv6 bool) {
	t.Helper()
	link := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: tunnelEnds[ipv6], HardwareAddr: l.HostMAC}, VxlanId: device.VXLANNumber,
		SrcAddr: l.Host(ipv6).AsSlice(), Group: l.Peer(ipv6).AsSlice(), Port: device.VXLANPort, UDP6ZeroCSumRx: true,
	}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatalf("add a VXLAN device: %v", err)
	}
	device.Up(t, link.Name)
}

// TestTunnelsThatAreHalfTrue: frames with a tunnel's bits and offsets of which a part is untrue. Those that are taken are cut up by the
// kernel, as they leave by a device that can do nothing, or end at the tunnel's end. None is lost count of.
func TestTunnelsThatAreHalfTrue(t *testing.T) {
	frames := device.Times(1000)
	for _, tap := range []bool{false, true} {
		for _, way := range device.Ways[1:] {
			t.Run(fmt.Sprintf("TAP %v, %s", tap, way.Name), func(t *testing.T) {
				device.Sandbox(t)
				end := way.Open(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, Offloads: device.OffloadTunnels})
				l := end.Device()
				device.PlainWire(t)
				addTunnelEnd(t, l, false)
				addTunnelEnd(t, l, true)
				r := liar{rand.New(rand.NewPCG(1, uint64(len(way.Name)))), l, l.Beyond()}
				accountFor(t, end, way.Name, r.frames(frames))
				device.CheckWorks(t)
			})
		}
	}
}

// accountFor gives all frames, and finds each of them in one counter.
func accountFor(t *testing.T, end device.End, way string, frames []device.VnetFrame) {
	t.Helper()
	unsound := uint64(0) // of those that are given one by one, whose giver is told
	for _, f := range frames {
		if err := end.Give([]device.VnetFrame{f}); errors.Is(err, unix.EINVAL) && way == "write" {
			unsound++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	counters := end.(interface {
		Stats(testing.TB) device.Stats
	})
	settled := func() (s device.Stats, done bool) {
		s = counters.Stats(t)
		if way == "write" {
			return s, s.TxFrames+unsound == uint64(len(frames)) && s.Refused() <= unsound
		}
		return s, s.TxFrames+s.Refused() == uint64(len(frames))
	}
	device.WaitFor(t, fmt.Sprintf("all of %d frames, %d of them told to be in error, in %+v", len(frames), unsound, counters.Stats(t)),
		func() bool { _, done := settled(); return done })
	s, _ := settled()
	device.WaitFor(t, "the device to have received what was taken", func() bool {
		return device.Counters(t, end.Device().Name).RxPackets == s.TxFrames
	})
	if errors := device.Counters(t, end.Device().Name).RxErrors; way != "write" && errors != s.Refused() {
		t.Errorf("the device counts %d errors, and %d frames were refused", errors, s.Refused())
	}
	segments, ended := device.Counters(t, device.PlainFar).RxPackets, uint64(0)
	for _, name := range tunnelEnds {
		ended += device.Counters(t, name).RxPackets
	}
	t.Logf("%d taken, %d refused, %d writes in error; %d segments left, %d came out of the tunnels", s.TxFrames, s.Refused(), unsound, segments, ended)
	least := uint64(len(frames) / 10)
	if s.TxFrames < least || s.Refused() < least || segments < least || ended < least/10 {
		t.Error("too much of it was true, or too little")
	}
}
