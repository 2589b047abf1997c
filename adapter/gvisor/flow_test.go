// SPDX-License-Identifier: MIT

package gvisor

import (
	"encoding/binary"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// What a packet of the tests is like.
type kind struct {
	six      bool
	protocol tcpip.TransportProtocolNumber
	host     byte // the last of the sender's address
	ports    [2]uint16
	options  int    // bytes, of IPv4
	offset   uint16 // of an IPv4 fragment, in bytes
	more     bool   // fragments follow
}

// packet makes it, with a body behind the ports.
func (k kind) packet(body string) []byte {
	segment := binary.BigEndian.AppendUint16(nil, k.ports[0])
	segment = binary.BigEndian.AppendUint16(segment, k.ports[1])
	segment = append(segment, body...)
	if k.six {
		p := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(segment))
		header.IPv6(p).Encode(&header.IPv6Fields{PayloadLength: uint16(len(segment)), TransportProtocol: k.protocol, HopLimit: 64,
			SrcAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: k.host}), DstAddr: tcpip.AddrFrom16([16]byte{0xfd, 14: 1, 15: 1})})
		return append(p, segment...)
	}
	length := header.IPv4MinimumSize + k.options
	p := make([]byte, length, length+len(segment))
	ip := header.IPv4(p)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(length + len(segment)), Protocol: uint8(k.protocol), TTL: 64, FragmentOffset: k.offset,
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 1, 0, k.host}), DstAddr: tcpip.AddrFrom4([4]byte{10, 1, 1, 1})})
	ip.SetHeaderLength(uint8(length))
	if k.more {
		ip.SetFlagsFragmentOffset(header.IPv4FlagMoreFragments, k.offset)
	}
	return append(p, segment...)
}

const (
	tcpProtocol = header.TCPProtocolNumber
	udpProtocol = header.UDPProtocolNumber
)

// TestFlow: what makes packets those of one flow, and what does not.
func TestFlow(t *testing.T) {
	ports, others := [2]uint16{1, 2}, [2]uint16{1, 3}
	for name, c := range map[string]struct {
		a, b kind
		same bool
	}{
		"TCP":                  {kind{protocol: tcpProtocol, ports: ports}, kind{protocol: tcpProtocol, ports: ports}, true},
		"with options":         {kind{protocol: tcpProtocol, ports: ports}, kind{protocol: tcpProtocol, ports: ports, options: 40}, true},
		"other ports":          {kind{protocol: tcpProtocol, ports: ports}, kind{protocol: tcpProtocol, ports: others}, false},
		"another host":         {kind{protocol: tcpProtocol, ports: ports}, kind{protocol: tcpProtocol, ports: ports, host: 1}, false},
		"another protocol":     {kind{protocol: tcpProtocol, ports: ports}, kind{protocol: udpProtocol, ports: ports}, false},
		"IPv6":                 {kind{six: true, protocol: udpProtocol, ports: ports}, kind{six: true, protocol: udpProtocol, ports: ports}, true},
		"IPv6, other ports":    {kind{six: true, protocol: udpProtocol, ports: ports}, kind{six: true, protocol: udpProtocol, ports: others}, false},
		"IPv6, another host":   {kind{six: true, protocol: udpProtocol, ports: ports}, kind{six: true, protocol: udpProtocol, ports: ports, host: 1}, false},
		"IPv6, extension":      {kind{six: true, protocol: 44, ports: ports}, kind{six: true, protocol: 44, ports: others}, true},
		"ICMP":                 {kind{protocol: header.ICMPv4ProtocolNumber, ports: ports}, kind{protocol: header.ICMPv4ProtocolNumber, ports: others}, true},
		"fragments":            {kind{protocol: udpProtocol, ports: ports, more: true}, kind{protocol: udpProtocol, ports: others, offset: 1480}, true},
		"fragments in between": {kind{protocol: udpProtocol, ports: ports, more: true}, kind{protocol: udpProtocol, ports: others, offset: 1480, more: true}, true},
	} {
		a, b := flowOf(c.a.packet("a")), flowOf(c.b.packet("a longer one"))
		if (a == b) != c.same {
			t.Errorf("%s: %#x and %#x, which are to be the same: %v", name, a, b, c.same)
		}
	}
}

// TestFlowSpread: flows that differ little are spread over all queues, so that none has more than twice its share.
func TestFlowSpread(t *testing.T) {
	const flows = 256
	for name, flow := range map[string]func(i int) kind{
		"ports":      func(i int) kind { return kind{protocol: tcpProtocol, ports: [2]uint16{uint16(40000 + i), 80}} },
		"even ports": func(i int) kind { return kind{protocol: tcpProtocol, ports: [2]uint16{uint16(40000 + 2*i), 80}} },
		"far ports":  func(i int) kind { return kind{protocol: udpProtocol, ports: [2]uint16{53, uint16(1024 + i)}} },
		"hosts":      func(i int) kind { return kind{protocol: header.ICMPv4ProtocolNumber, host: byte(i)} },
		"IPv6 ports": func(i int) kind {
			return kind{six: true, protocol: tcpProtocol, ports: [2]uint16{uint16(40000 + i), 80}}
		},
		"IPv6 hosts":  func(i int) kind { return kind{six: true, protocol: header.ICMPv6ProtocolNumber, host: byte(i)} },
		"one by port": func(i int) kind { return kind{protocol: udpProtocol, ports: [2]uint16{uint16(i), uint16(i)}} },
	} {
		for _, queues := range []int{2, 3, 8} {
			shares := make([]int, queues)
			for i := range flows {
				shares[share(flowOf(flow(i).packet("")), queues)]++
			}
			if most, least := slices.Max(shares), slices.Min(shares); most > 2*flows/queues || least == 0 {
				t.Errorf("%s: queues get %v of %d flows", name, shares, flows)
			}
		}
	}
}

// TestFlowOfWhatIsShort: a packet is looked at no further than it goes, and a part of headSize is as good as all of it.
func TestFlowOfWhatIsShort(t *testing.T) {
	for _, k := range []kind{{protocol: tcpProtocol}, {protocol: tcpProtocol, options: 40}, {six: true, protocol: udpProtocol}} {
		p := k.packet("the body of a packet, which may be long")
		for n := range p {
			part := slices.Clip(p[:n])
			if flow := flowOf(part); n >= headSize && flow != flowOf(p) {
				t.Errorf("%+v: %#x of %d bytes, %#x of all", k, flow, n, flowOf(p))
			}
		}
	}
	for _, p := range [][]byte{nil, {}, {0x45}, {0x60}, {0xf0}, make([]byte, 100)} {
		if flow := flowOf(p); flow != 0 {
			t.Errorf("%#x of % x, which is no packet", flow, p)
		}
	}
}
