// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// A claim is what a header says of a frame whose checksum is complete.
type claim struct {
	gso    uint8
	frames []string // of which it is true
	alone  bool     // one that frames with a struct mytun_frame may not make
}

// Datagrams are cut up only if their checksum is left to be completed; fragmented, which nobody is invited to ask for, even so.
var claims = []claim{
	{gso: device.GSOTCPv4, frames: []string{"tcp4", "tagged tcp4"}}, {gso: device.GSOTCPv6, frames: []string{"tcp6", "tagged tcp6"}},
	{gso: device.GSOUDPL4}, {gso: device.GSOUDP, frames: []string{"udp4", "udp6"}, alone: true},
}

// superFrames are frames with more payload than one segment has, and their checksum.
func superFrames(l *device.Link) map[string][]byte {
	payload := device.Pattern(3, 4*segmentSize)
	frames := map[string][]byte{}
	for _, ipv6 := range []bool{false, true} {
		version := map[bool]string{false: "4", true: "6"}[ipv6]
		frames["udp"+version] = l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload})
		frames["tcp"+version] = (&device.TCPPeer{Link: l, IPv6: ipv6}).Segment(payload)
	}
	if l.TAP {
		tag := []byte{0x81, 0, 0, 5}
		for _, inner := range []string{"tcp4", "tcp6"} {
			frames["tagged "+inner] = slices.Insert(slices.Clone(frames[inner]), 12, tag...)
		}
	}
	return frames
}

const segmentSize = 1000

// TestSuperPacketsWithCompleteChecksums: what is claimed of them is found out from the frame itself, on each kernel in a way of its own. A
// claim that is true is taken, by all ways and by stock tun; one that is not is refused with a struct mytun_frame in front.
func TestSuperPacketsWithCompleteChecksums(t *testing.T) {
	for _, tap := range []bool{false, true} {
		for _, way := range device.Ways {
			t.Run(fmt.Sprintf("tap=%v,%s", tap, way.Name), func(t *testing.T) {
				device.Sandbox(t)
				e := way.Open(t, device.Config{Flags: device.Vnet, TAP: tap, IPv6: true})
				for name, frame := range superFrames(e.Device()) {
					for _, c := range claims {
						lenient := way.Name == "stock" || way.Name == "write" // the more so the older the kernel is
						holds := slices.Contains(c.frames, name) && (!c.alone || lenient)
						if holds || !lenient {
							expectClaim(t, e, c, name, frame, holds)
						}
					}
				}
			})
		}
	}
}

func expectClaim(t *testing.T, e device.End, c claim, name string, frame []byte, want bool) {
	t.Helper()
	for _, flags := range []uint8{0, device.VnetDataValid} {
		v := device.VnetHeader{Flags: flags, GSOType: c.gso, GSOSize: segmentSize}
		before := device.Counters(t, e.Device().Name).RxPackets
		refused := e.Refusals(t)
		err := e.Give([]device.VnetFrame{{Vnet: v, Data: frame}})
		device.WaitFor(t, "the frame to be taken or refused", func() bool {
			return device.Counters(t, e.Device().Name).RxPackets != before || e.Refusals(t) != refused
		})
		if taken := device.Counters(t, e.Device().Name).RxPackets != before; taken != want {
			t.Errorf("%s with %+v: taken is %v, want %v: %v", name, v, taken, want, err)
		}
	}
}

// TestStreamInSuperPacketsWithCompleteChecksums: the receiver checks them, and cuts nothing up.
func TestStreamInSuperPacketsWithCompleteChecksums(t *testing.T) {
	eachLink(t, device.Config{Flags: device.Vnet, TxSize: 1 << 20}, func(t *testing.T, l *device.Link, ipv6 bool) {
		p := l.DialTCP(t, ipv6, 4000)
		for i, size := range []int{segmentSize + 1, 10 * segmentSize, device.WindowMin} {
			data := device.Pattern(uint64(i), size)
			vnet, frame := p.Super(data, segmentSize)
			vnet.FillChecksum(frame)
			l.Queue().SendVnet(t, device.VnetHeader{GSOType: vnet.GSOType, HdrLen: vnet.HdrLen, GSOSize: vnet.GSOSize}, frame)
			expectStream(t, p, data)
		}
		expectRefused(t, l, 0)
	})
}
