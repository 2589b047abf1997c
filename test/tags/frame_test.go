// SPDX-License-Identifier: MIT

//go:build mytun_device

package tags

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A tag is a VLAN tag.
type tag struct {
	protocol uint16
	id       uint16
}

const tagSize = 4

var (
	single = []tag{{unix.ETH_P_8021Q, 7}}
	double = []tag{{unix.ETH_P_8021AD, 8}, {unix.ETH_P_8021Q, 7}}
)

func (g tag) name() string {
	if g.protocol == unix.ETH_P_8021AD {
		return "802.1ad"
	}
	return "802.1q"
}

// addressesSize is what stands in front of the tags.
const addressesSize = 12

// tagged is a frame with tags.
func tagged(f device.VnetFrame, tags []tag) device.VnetFrame {
	data := append([]byte(nil), f.Data[:addressesSize]...)
	for _, g := range tags {
		data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(data, g.protocol), g.id)
	}
	vnet, added := f.Vnet, uint16(len(tags)*tagSize)
	if vnet.HdrLen != 0 {
		vnet.HdrLen += added
	}
	if vnet.Flags&device.VnetNeedsCsum != 0 {
		vnet.CsumStart += added
	}
	return device.VnetFrame{Vnet: vnet, Data: append(data, f.Data[addressesSize:]...)}
}

// A sample is a frame to send.
type sample struct {
	name string
	device.VnetFrame
}

// samples are frames of each kind from one end of a wire to the other, without tags.
func samples(t *testing.T, l *device.Link) (all []sample) {
	t.Helper()
	for _, ipv6 := range []bool{false, true} {
		d := device.Datagram{SrcPort: 1, DstPort: 2, Payload: device.Pattern(1, 333)}
		all = append(all, sample{fmt.Sprintf("plain, IPv6 %v", ipv6), device.VnetFrame{Data: l.Frame(ipv6, d)}})
		vnet, frame := l.SuperDatagram(ipv6, d, 0)
		vnet.GSOType, vnet.HdrLen = device.GSONone, 0
		all = append(all, sample{fmt.Sprintf("unfinished checksum, IPv6 %v", ipv6), device.VnetFrame{Vnet: vnet, Data: frame}})
		vnet, frame = (&device.TCPPeer{Link: l, IPv6: ipv6}).Super(device.Pattern(2, 5000), 1000)
		all = append(all, sample{fmt.Sprintf("TCP super-packet, IPv6 %v", ipv6), device.VnetFrame{Vnet: vnet, Data: frame}})
		if device.KernelAtLeast(t, 6, 2) {
			d.Payload = device.Pattern(3, 5000)
			vnet, frame = l.SuperDatagram(ipv6, d, 1000)
			all = append(all, sample{fmt.Sprintf("UDP super-packet, IPv6 %v", ipv6), device.VnetFrame{Vnet: vnet, Data: frame}})
		}
	}
	return all
}
