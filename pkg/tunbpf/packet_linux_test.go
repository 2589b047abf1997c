// SPDX-License-Identifier: MIT

package tunbpf

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Packets as bytes, header by header. Checksums are left out: no program looks at
// them.

func big(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// ip is a packet of the addresses' family.
func ip(from, to netip.Addr, protocol byte, payload ...[]byte) []byte {
	data := slices.Concat(payload...)
	if from.Is6() {
		return slices.Concat([]byte{0x60, 0, 0, 0}, big(uint16(len(data))), []byte{protocol, 64}, from.AsSlice(), to.AsSlice(), data)
	}
	head := slices.Concat([]byte{0x45, 0}, big(uint16(20+len(data)), 0, 0), []byte{64, protocol, 0, 0})
	return slices.Concat(head, from.AsSlice(), to.AsSlice(), data)
}

// withOptions puts options into an IPv4 header.
func withOptions(p []byte) []byte {
	p = slices.Insert(slices.Clone(p), 20, make([]byte, 8)...)
	p[0] = 0x47
	return p
}

// fragment makes a fragment of an IPv4 packet: its offset in units of 8 bytes, and
// whether more follow.
func fragment(p []byte, offset uint16, more bool) []byte {
	if more {
		offset |= 0x2000
	}
	p = slices.Clone(p)
	binary.BigEndian.PutUint16(p[6:], offset)
	return p
}

// behind puts an extension header between an IPv6 header and the rest.
func behind(p []byte, kind byte, extension []byte) []byte {
	p, extension = slices.Clone(p), slices.Clone(extension)
	extension[0], p[6] = p[6], kind
	return slices.Insert(p, 40, extension...)
}

// Extension headers. The first byte is the next header's kind.
func options(length int) []byte {
	return append([]byte{0, byte(length/8 - 1)}, make([]byte, length-2)...)
}

func fragmentHeader(offset uint16, more bool) []byte {
	offset <<= 3
	if more {
		offset |= 1
	}
	return slices.Concat([]byte{0, 0}, big(offset), []byte{1, 2, 3, 4})
}

func ethernet(kind uint16, payload ...[]byte) []byte {
	macs := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	return slices.Concat(macs, big(kind), slices.Concat(payload...))
}

func tag(kind uint16, payload []byte) []byte { return slices.Concat(big(0x2005, kind), payload) }

// kindOf is the number that Ethernet has for an IP packet.
func kindOf(p []byte) uint16 {
	if p[0]>>4 == 6 {
		return unix.ETH_P_IPV6
	}
	return unix.ETH_P_IP
}

func udp(from, to uint16, payload ...[]byte) []byte {
	data := slices.Concat(payload...)
	return slices.Concat(big(from, to, uint16(8+len(data)), 0), data)
}

// A flow is one direction of a flow.
type flow struct {
	from, to netip.AddrPort
	protocol byte
}

func newFlow(from, to string) flow {
	return flow{netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), unix.IPPROTO_TCP}
}

func (f flow) back() flow { return flow{f.to, f.from, f.protocol} }

func (f flow) packet() []byte {
	return ip(f.from.Addr(), f.to.Addr(), f.protocol, big(f.from.Port(), f.to.Port()), make([]byte, 16))
}

// someFlows are flows that differ in one port or in one address.
func someFlows(ipv6 bool, n int) (all []flow) {
	prefix := "10.1.0."
	if ipv6 {
		prefix = "fd01::"
	}
	for i := range n {
		host, port := uint16(1), uint16(1000+i)
		if i%2 == 1 {
			host, port = uint16(2+i), 1000
		}
		from, to := netip.MustParseAddr(prefix+"1").As16(), netip.MustParseAddr(prefix+"2").As16()
		if ipv6 && i%4 == 1 {
			from[4] = byte(host) // in the first half
		} else {
			from[15] = byte(host)
		}
		all = append(all, flow{
			netip.AddrPortFrom(netip.AddrFrom16(from).Unmap(), port),
			netip.AddrPortFrom(netip.AddrFrom16(to).Unmap(), 443), unix.IPPROTO_TCP,
		})
	}
	return all
}
