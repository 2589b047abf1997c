// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// superPayload is what the super-packets of these tests carry.
const superPayload, superSegment = 10000, 1000

// superTCP is a sound super-packet of a connection that does not exist.
func superTCP(l *device.Link, ipv6 bool) (device.VnetHeader, []byte) {
	p := &device.TCPPeer{Link: l, IPv6: ipv6}
	return p.Super(device.Pattern(1, superPayload), superSegment)
}

func superUDP(l *device.Link, ipv6 bool) (device.VnetHeader, []byte) {
	d := device.Datagram{SrcPort: peerPort, DstPort: 1, Payload: device.Pattern(2, superPayload)}
	return l.SuperDatagram(ipv6, d, superSegment)
}

// lie is what a header says of a frame to which it was sound before.
type lie struct {
	name string
	tell func(v *device.VnetHeader, length *int)
}

// liesForAll are wrong on every kind of super-packet.
func liesForAll(start int) []lie {
	lies := []lie{
		{"segments of no bytes", func(v *device.VnetHeader, _ *int) { v.GSOSize = 0 }},
		{"segments by fragments", func(v *device.VnetHeader, _ *int) { v.GSOSize = 0xffff }},
		{"headers longer than the frame", func(v *device.VnetHeader, n *int) { v.HdrLen = uint16(*n + 1) }},
		{"checksum starts at the end", func(v *device.VnetHeader, n *int) { v.CsumStart = uint16(*n) }},
		{"checksum starts far outside", func(v *device.VnetHeader, _ *int) { v.CsumStart = 0xffff }},
		{"checksum starts within the transport header", func(v *device.VnetHeader, _ *int) { v.CsumStart += 2; v.CsumOffset -= 2 }},
		{"checksum starts within the IP header", func(v *device.VnetHeader, _ *int) { v.CsumStart -= 2; v.CsumOffset += 2 }},
		{"checksum far outside", func(v *device.VnetHeader, _ *int) { v.CsumOffset = 0xffff }},
		{"checksum in another place", func(v *device.VnetHeader, _ *int) { v.CsumOffset += 2 }},
		{"fragmentation of UDP", func(v *device.VnetHeader, _ *int) { v.GSOType = device.GSOUDP }},
		{"congestion mark alone", func(v *device.VnetHeader, _ *int) { v.GSOType = device.GSOECN }},
		{"frame ends within its transport header", func(v *device.VnetHeader, n *int) {
			*n = start + 7
			v.HdrLen = 0
		}},
	}
	for _, kind := range []uint8{2, 6, 7, 8, 0x40, 0x7f} {
		lies = append(lies, lie{fmt.Sprintf("unknown kind %#x", kind), func(v *device.VnetHeader, _ *int) { v.GSOType = kind }})
	}
	return lies
}

func liesForTCP(ipv6 bool) []lie {
	lies := []lie{
		{"TCP as UDP", func(v *device.VnetHeader, _ *int) { v.GSOType, v.CsumOffset = device.GSOUDPL4, 6 }},
	}
	if ipv6 {
		return append(lies, lie{"IPv6 as IPv4", func(v *device.VnetHeader, _ *int) { v.GSOType = device.GSOTCPv4 }})
	}
	return append(lies, lie{"IPv4 as IPv6", func(v *device.VnetHeader, _ *int) { v.GSOType = device.GSOTCPv6 }})
}

func liesForUDP(ipv6 bool) []lie {
	tcp := uint8(device.GSOTCPv4)
	if ipv6 {
		tcp = device.GSOTCPv6
	}
	return []lie{
		{"UDP as TCP", func(v *device.VnetHeader, _ *int) { v.GSOType, v.CsumOffset = tcp, 16 }},
		{"checksum not left to the kernel", func(v *device.VnetHeader, _ *int) { v.Flags = 0 }},
		{"congestion mark", func(v *device.VnetHeader, _ *int) { v.GSOType |= device.GSOECN }},
		{"more segments than one call may send", func(v *device.VnetHeader, _ *int) { v.GSOSize = 1 }},
	}
}

func lying(lies []lie, family string, vnet device.VnetHeader, frame []byte) (frames []malformed) {
	for _, lie := range lies {
		v, length := vnet, len(frame)
		lie.tell(&v, &length)
		h := device.Header{Length: uint32(length), Vnet: v}
		frames = append(frames, malformed{family + ": " + lie.name, h, frame[:length], byVnet})
	}
	return frames
}

// lyingSuperPackets are all lies about all kinds.
func lyingSuperPackets(l *device.Link) (frames []malformed) {
	for _, ipv6 := range []bool{false, true} {
		start := l.LinkHeader() + device.IPHeader(ipv6)
		vnet, frame := superTCP(l, ipv6)
		lies := slices.Concat(liesForAll(start), liesForTCP(ipv6))
		frames = append(frames, lying(lies, fmt.Sprintf("TCP, IPv6 %v", ipv6), vnet, frame)...)
		vnet, frame = superUDP(l, ipv6)
		lies = slices.Concat(liesForAll(start), liesForUDP(ipv6))
		frames = append(frames, lying(lies, fmt.Sprintf("UDP, IPv6 %v", ipv6), vnet, frame)...)
	}
	return frames
}

// TestSuperPacketsThatLieAreRefused: what is said of a frame has to fit it.
func TestSuperPacketsThatLieAreRefused(t *testing.T) {
	for _, tap := range []bool{false, true} {
		t.Run(fmt.Sprintf("tap=%v", tap), func(t *testing.T) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, TxSize: 512 << 10})
			refuse(t, l, lyingSuperPackets(l))
		})
	}
}

// TestSuperPacketsNeedTheVnetHeader: sound ones, on a device without.
func TestSuperPacketsNeedTheVnetHeader(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{IPv6: true, TxSize: 512 << 10})
	sound := []lie{{"sound", func(*device.VnetHeader, *int) {}}}
	vnet, frame := superTCP(l, true)
	frames := lying(sound, "TCP", vnet, frame)
	vnet, frame = superUDP(l, false)
	refuse(t, l, append(frames, lying(sound, "UDP", vnet, frame)...))
}

// TestSuperPacketsShorterThanTheirIPHeaderSays are taken, and dropped by who
// reads that header; those behind them arrive.
func TestSuperPacketsShorterThanTheirIPHeaderSays(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{IPv6: true, Flags: device.Vnet, TxSize: 512 << 10})
	conn := l.ListenUDP(t, false, hostPort)
	for i, ipv6 := range []bool{false, true} {
		vnet, frame := superTCP(l, ipv6)
		l.Queue().PutVnet(vnet, frame[:len(frame)-1])
		vnet, frame = superUDP(l, ipv6)
		l.Queue().PutVnet(vnet, frame[:len(frame)-1])
		l.Queue().Put(numbered(l, i))
		l.Queue().Publish()
		device.Expect(t, conn, number(i))
	}
	counters := device.SNMP(t)
	if n := device.NetStat(t)["IpExt.InTruncatedPkts"] + counters["Ip6.InTruncatedPkts"]; n != 4 {
		t.Errorf("%d of 4 truncated packets were noticed", n)
	}
}
