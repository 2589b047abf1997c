// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// VXLAN as the tests have it.
const (
	VXLANPort   = 4789
	VXLANNumber = 7
	vxlanHeader = 8
	vxlanFlags  = 0x08 // the number is there
)

// TunnelHeaders is what is between the outer IP header and the inner one: UDP, VXLAN, Ethernet.
const TunnelHeaders = header.UDPMinimumSize + vxlanHeader + header.EthernetMinimumSize

// A Tunnel is what goes around a packet.
type Tunnel struct {
	IPv6     bool // the tunnel's own header is
	Checksum bool // of its UDP header
}

// InTunnel is a super-packet, or what is one in all but its size, of a TUN device, put into VXLAN. It is from the
// process's side to the kernel's, whose hardware address is that of the inner frame too. It is for the kernel to finish: its
// checksums are those of the pseudo-headers.
func (l *Link) InTunnel(u Tunnel, vnet VnetHeader, inner []byte) VnetFrame {
	payload := make([]byte, vxlanHeader+header.EthernetMinimumSize, vxlanHeader+header.EthernetMinimumSize+len(inner))
	payload[0], payload[6] = vxlanFlags, VXLANNumber
	l.putEthernet(payload[vxlanHeader:], inner[0]>>4 == 6)
	_, frame := l.SuperDatagram(u.IPv6, Datagram{SrcPort: PeerPort, DstPort: VXLANPort, Payload: append(payload, inner...)}, 0)
	at := TunnelOffsets{OuterTH: uint16(l.LinkHeader() + IPHeader(u.IPv6))}
	at.InnerNH = at.OuterTH + TunnelHeaders
	vnet.GSOType |= map[bool]uint8{false: GSOTunnel4, true: GSOTunnel6}[u.IPv6]
	vnet.HdrLen += at.InnerNH
	vnet.CsumStart += at.InnerNH
	if u.Checksum {
		vnet.Flags |= VnetTunnelSum
	} else {
		binary.BigEndian.PutUint16(frame[at.OuterTH+6:], 0)
	}
	return VnetFrame{Vnet: vnet, Tunnel: at, Data: frame}
}

// Inner is the link as packets within a tunnel see it: those of a TUN device, with the same addresses.
func (l *Link) Inner() *Link {
	inner := *l
	inner.TAP = false
	return &inner
}
