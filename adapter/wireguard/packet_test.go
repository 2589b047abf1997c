// SPDX-License-Identifier: MIT

package wireguard

import (
	"encoding/binary"
	"net/netip"

	"github.com/mytun/mytun/pkg/gso"
	"github.com/mytun/mytun/pkg/mytunev"
)

const headers = 28 // of IPv4 and UDP

var (
	here  = netip.MustParseAddr("10.1.0.1")
	there = netip.MustParseAddr("10.1.0.2")
)

// datagram makes an IPv4 packet of UDP, with its checksums.
func datagram(payload []byte) []byte {
	p := unsummed(payload)
	if err := gso.Checksum(p, vnet(0)); err != nil {
		panic(err)
	}
	return p
}

// unsummed makes one whose UDP checksum is still to be computed: a sum of the pseudo header alone.
func unsummed(payload []byte) []byte {
	p := make([]byte, headers+len(payload))
	p[0], p[6], p[8], p[9] = 0x45, 0x40, 64, 17 // not to be fragmented: then the identification says nothing
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], here.AsSlice())
	copy(p[16:], there.AsSlice())
	binary.BigEndian.PutUint16(p[10:], ^sum(p[:20], 0))
	binary.BigEndian.PutUint16(p[20:], 1000)
	binary.BigEndian.PutUint16(p[22:], 2000)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	binary.BigEndian.PutUint16(p[26:], sum(p[12:20], 17+uint32(8+len(payload))))
	copy(p[headers:], payload)
	return p
}

func sum(b []byte, more uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		more += uint32(binary.BigEndian.Uint16(b))
	}
	for more>>16 != 0 {
		more = more&0xffff + more>>16
	}
	return uint16(more)
}

// vnet is what is left to do to an unsummed packet: cut it up into segments, if they have a size.
func vnet(segment int) mytunev.VNetHeader {
	v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, CsumStart: 20, CsumOffset: 6}
	if segment > 0 {
		v.GSOType, v.GSOSize, v.HdrLen = mytunev.GSOUDPL4, uint16(segment), headers
	}
	return v
}

// pattern is a payload that differs from those of other numbers.
func pattern(number, length int) []byte {
	p := make([]byte, length)
	for i := range p {
		p[i] = byte(number*31 + i)
	}
	return p
}
