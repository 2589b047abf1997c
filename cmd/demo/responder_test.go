// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
)

// The tests build and check frames by hand, apart from the code under test.

var (
	kernelMAC = [6]byte{0x0a, 1, 2, 3, 4, 5}
	own4      = netip.MustParseAddr("10.77.0.1")
	other4    = netip.MustParseAddr("10.77.0.2")
	own6      = netip.MustParseAddr("fd77::1")
	other6    = netip.MustParseAddr("fd77::2")
	router6   = netip.MustParseAddr("fe80::1")
)

func newResponder(tap bool) *responder {
	return &responder{tap: tap, mac: responderMAC,
		net4: netip.MustParsePrefix("10.77.0.1/24"), net6: netip.MustParsePrefix("fd77::1/64")}
}

// sum is the Internet checksum over all its arguments, each of even length but
// the last.
func sum(parts ...[]byte) uint16 {
	var n uint64
	for _, p := range parts {
		for ; len(p) > 1; p = p[2:] {
			n += uint64(p[0])<<8 | uint64(p[1])
		}
		if len(p) == 1 {
			n += uint64(p[0]) << 8
		}
	}
	for n>>16 != 0 {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}

func put16(b []byte, n uint16) { binary.BigEndian.PutUint16(b, n) }

// An ip4 is what the tests change about an IPv4 packet.
type ip4 struct {
	from, to netip.Addr
	protocol byte
	flags    uint16
	options  []byte
	payload  []byte
}

func (p ip4) bytes() []byte {
	b := make([]byte, 20, 20+len(p.options)+len(p.payload))
	b[0] = 0x40 | byte(5+len(p.options)/4)
	b[1] = 0x28
	put16(b[2:], uint16(20+len(p.options)+len(p.payload)))
	put16(b[4:], 0xbeef)
	put16(b[6:], p.flags)
	b[8], b[9] = 63, p.protocol
	copy(b[12:], p.from.AsSlice())
	copy(b[16:], p.to.AsSlice())
	b = append(b, p.options...)
	put16(b[10:], sum(b))
	return append(b, p.payload...)
}

// icmp4 is an ICMP message with the right checksum.
func icmp4(kind, code byte, data []byte) []byte {
	b := append([]byte{kind, code, 0, 0, 0x12, 0x34, 0, 7}, data...)
	put16(b[2:], sum(b))
	return b
}

func ping4(to netip.Addr, data []byte) []byte {
	return ip4{from: own4, to: to, protocol: 1, payload: icmp4(8, 0, data)}.bytes()
}

// ip6Packet is an IPv6 packet; an ICMPv6 payload gets its checksum.
func ip6Packet(from, to netip.Addr, next, hops byte, payload []byte) []byte {
	b := make([]byte, 40)
	b[0] = 0x60
	put16(b[4:], uint16(len(payload)))
	b[6], b[7] = next, hops
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	if next == 58 && len(payload) >= 4 {
		put16(payload[2:], 0)
		put16(payload[2:], sum6ByHand(b, payload))
	}
	return append(b, payload...)
}

func sum6ByHand(ip, payload []byte) uint16 {
	length := make([]byte, 4)
	put16(length[2:], uint16(len(payload)))
	return sum(ip[8:40], length, []byte{0, 58}, payload)
}

func ping6(to netip.Addr, data []byte) []byte {
	return ip6Packet(own6, to, 58, 64, append([]byte{128, 0, 0, 0, 0x12, 0x34, 0, 7}, data...))
}

func solicit(from, to, target netip.Addr, hops byte, options []byte) []byte {
	b := append([]byte{135, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef}, target.AsSlice()...)
	return ip6Packet(from, to, 58, hops, append(b, options...))
}

// group is the solicited-node address of a.
func group(a netip.Addr) netip.Addr {
	b := netip.MustParseAddr("ff02::1:ff00:0").As16()
	full := a.As16()
	copy(b[13:], full[13:])
	return netip.AddrFrom16(b)
}

func sourceOption() []byte { return append([]byte{1, 1}, kernelMAC[:]...) }

func arp(op uint16, sender, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(op)}
	b = append(append(b, kernelMAC[:]...), sender.AsSlice()...)
	return append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

func ethernet(to [6]byte, kind uint16, payload []byte) []byte {
	b := append(append(to[:], kernelMAC[:]...), byte(kind>>8), byte(kind))
	return append(b, payload...)
}

var everyone = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// data is n bytes that are not all alike.
func data(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

var sizes = []int{0, 1, 2, 3, 8, 56, 1471, 1472, 8972, 65507 - 40}

func TestEcho4(t *testing.T) {
	for _, size := range sizes {
		request := ping4(other4, data(size))
		frame := slices.Clone(request)
		n, v := newResponder(false).answer(frame)
		if v != echo4 || n != len(request) {
			t.Fatalf("%d bytes: verdict %d, length %d of %d", size, v, n, len(request))
		}
		want := slices.Clone(request)
		copy(want[12:16], request[16:20])
		copy(want[16:20], request[12:16])
		want[8] = 64
		put16(want[10:], 0)
		put16(want[10:], sum(want[:20]))
		want[20] = 0
		put16(want[22:], 0)
		put16(want[22:], sum(want[20:]))
		if !bytes.Equal(frame, want) {
			t.Errorf("%d bytes: got\n%x, want\n%x", size, frame[:28], want[:28])
		}
	}
}

func TestEcho6(t *testing.T) {
	for _, size := range sizes {
		request := ping6(other6, data(size))
		frame := slices.Clone(request)
		n, v := newResponder(false).answer(frame)
		if v != echo6 || n != len(request) {
			t.Fatalf("%d bytes: verdict %d, length %d of %d", size, v, n, len(request))
		}
		want := slices.Clone(request)
		copy(want[8:24], request[24:40])
		copy(want[24:40], request[8:24])
		want[7] = 64
		want[40] = 129
		put16(want[42:], 0)
		put16(want[42:], sum6ByHand(want, want[40:]))
		if !bytes.Equal(frame, want) {
			t.Errorf("%d bytes: got\n%x, want\n%x", size, frame[:48], want[:48])
		}
	}
}

// echoAnswer answers an echo request that has this checksum, and fails the test unless
// that happens exactly if the checksum is right, and the answer is the request but for
// the type, the checksum computed from nothing.
func echoAnswer(t *testing.T, r *responder, packet []byte, header int, sumOf func([]byte) uint16) {
	t.Helper()
	before := slices.Clone(packet)
	n, v := r.answer(packet)
	if right := sumOf(before) == 0; right != v.echo() {
		t.Fatalf("%x: verdict %d, but that the checksum is right is %v", before[header:], v, right)
	} else if !right {
		return
	}
	want := slices.Clone(before[header:])
	want[0] = packet[header]
	put16(want[2:], 0)
	put16(want[2:], sumOf(append(before[:header:header], want...)))
	if n != len(before) || !bytes.Equal(packet[header:], want) {
		t.Fatalf("%x is answered by %x, want %x", before[header:], packet[header:], want)
	}
}

func icmpSum4(packet []byte) uint16 { return sum(packet[20:]) }
func icmpSum6(packet []byte) uint16 { return sum6ByHand(packet, packet[40:]) }

// TestChecksumOfEverySum makes the rest of an echo request add up to everything there
// is, 0 included, by way of the sequence number.
func TestChecksumOfEverySum(t *testing.T) {
	r := newResponder(false)
	for _, identifier := range []uint16{0, 0xffff} {
		for n := range 1 << 16 {
			message := []byte{8, 0, 0, 0, byte(identifier >> 8), byte(identifier), byte(n >> 8), byte(n)}
			put16(message[2:], sum(message))
			echoAnswer(t, r, ip4{from: own4, to: other4, protocol: 1, payload: message}.bytes(), 20, icmpSum4)
			message[0] = 128
			echoAnswer(t, r, ip6Packet(own6, other6, 58, 64, message), 40, icmpSum6)
		}
	}
}

// TestEveryChecksum: of all checksums that a request may come with, those are answered
// that are right: one, or both that stand for 0.
func TestEveryChecksum(t *testing.T) {
	r := newResponder(false)
	zero := make([]byte, 8)
	for _, rest := range [][]byte{zero[:4], {0, 0, 0xf7, 0xff}, data(9)} {
		p4 := ip4{from: own4, to: other4, protocol: 1, payload: append([]byte{8, 0, 0, 0}, rest...)}.bytes()
		p6 := ip6Packet(own6, other6, 58, 64, append([]byte{128, 0, 0, 0}, rest...))
		for n := range 1 << 16 {
			for _, p := range []struct {
				packet []byte
				header int
				sumOf  func([]byte) uint16
			}{{p4, 20, icmpSum4}, {p6, 40, icmpSum6}} {
				frame := slices.Clone(p.packet)
				put16(frame[p.header+2:], uint16(n))
				echoAnswer(t, r, frame, p.header, p.sumOf)
			}
		}
	}
}

// TestAllZero is what an echo request looks like that has nothing to say: the checksum
// of its answer is not 0.
func TestAllZero(t *testing.T) {
	for _, size := range []int{0, 1, 2, 56, 1472} {
		frame := ip4{from: own4, to: other4, protocol: 1,
			payload: append([]byte{8, 0, 0xf7, 0xff}, make([]byte, 4+size)...)}.bytes()
		if _, v := newResponder(false).answer(frame); v != echo4 || !bytes.Equal(frame[20:24], []byte{0, 0, 0xff, 0xff}) {
			t.Errorf("%d bytes of data: verdict %d, answer begins with %x", size, v, frame[20:24])
		}
	}
}

func TestTrailer(t *testing.T) {
	packet := ping4(other4, data(4))
	frame := ethernet(responderMAC, 0x0800, append(packet, data(14)...))
	if n, v := newResponder(true).answer(frame); v != echo4 || n != 14+len(packet) {
		t.Errorf("padded frame: verdict %d, length %d, want %d", v, n, 14+len(packet))
	}
}

func TestEthernet(t *testing.T) {
	for _, test := range []struct {
		name    string
		frame   []byte
		verdict verdict
	}{
		{"IPv4", ethernet(responderMAC, 0x0800, ping4(other4, nil)), echo4},
		{"IPv6", ethernet(responderMAC, 0x86dd, ping6(other6, nil)), echo6},
		{"IPv4 to everyone", ethernet(everyone, 0x0800, ping4(other4, nil)), ignoredOther},
		{"IPv6 to everyone", ethernet(everyone, 0x86dd, ping6(other6, nil)), ignoredOther},
		{"to somebody else", ethernet(kernelMAC, 0x0800, ping4(other4, nil)), ignoredAddress},
		{"VLAN", ethernet(responderMAC, 0x8100, ping4(other4, nil)), ignoredOther},
		{"short", make([]byte, 13), ignoredInvalid},
		{"empty", ethernet(responderMAC, 0x0800, nil), ignoredInvalid},
	} {
		frame := slices.Clone(test.frame)
		n, v := newResponder(true).answer(frame)
		if v != test.verdict || (n > 0) != v.answered() {
			t.Errorf("%s: verdict %d, want %d, length %d", test.name, v, test.verdict, n)
		}
		if n > 0 && !bytes.Equal(frame[:12], append(slices.Clone(kernelMAC[:]), responderMAC[:]...)) {
			t.Errorf("%s: answer goes from and to %x", test.name, frame[:12])
		}
	}
}

func TestARP(t *testing.T) {
	zero := netip.MustParseAddr("0.0.0.0")
	for _, test := range []struct {
		name    string
		packet  []byte
		verdict verdict
	}{
		{"request", arp(1, own4, other4), arpRequest},
		{"request from elsewhere", arp(1, netip.MustParseAddr("192.0.2.1"), other4), arpRequest},
		{"reply", arp(2, own4, other4), ignoredOther},
		{"for the kernel's address", arp(1, other4, own4), ignoredAddress},
		{"announcement", arp(1, own4, own4), ignoredAddress},
		{"announcement of ours", arp(1, other4, other4), ignoredAddress},
		{"probe", arp(1, zero, other4), ignoredAddress},
		{"other subnet", arp(1, own4, netip.MustParseAddr("10.78.0.2")), ignoredAddress},
		{"broadcast", arp(1, own4, netip.MustParseAddr("10.77.0.255")), ignoredAddress},
		{"short", arp(1, own4, other4)[:27], ignoredInvalid},
		{"not IPv4", append([]byte{0, 1, 8, 1}, arp(1, own4, other4)[4:]...), ignoredInvalid},
	} {
		n, v := newResponder(true).answer(ethernet(everyone, 0x0806, test.packet))
		if v != test.verdict || (n > 0) != v.answered() {
			t.Errorf("%s: verdict %d, want %d, length %d", test.name, v, test.verdict, n)
		}
	}
}

func TestARPReply(t *testing.T) {
	frame := ethernet(everyone, 0x0806, arp(1, own4, other4))
	n, _ := newResponder(true).answer(frame)
	want := ethernet(kernelMAC, 0x0806, slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2},
		responderMAC[:], other4.AsSlice(), kernelMAC[:], own4.AsSlice()))
	copy(want[6:12], responderMAC[:])
	if !bytes.Equal(frame[:n], want) {
		t.Errorf("got\n%x, want\n%x", frame[:n], want)
	}
}

func TestSolicitation(t *testing.T) {
	unspecified := netip.IPv6Unspecified()
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	for _, test := range []struct {
		name    string
		packet  []byte
		verdict verdict
		length  int // of the answer
	}{
		{"multicast", solicit(own6, group(other6), other6, 255, sourceOption()), solicitation, 72},
		{"from a link-local address", solicit(router6, group(other6), other6, 255, sourceOption()), solicitation, 72},
		{"two options", solicit(own6, group(other6), other6, 255, append(nonce, sourceOption()...)), solicitation, 72},
		{"unicast without option", solicit(own6, other6, other6, 255, nil), solicitation, 64},
		{"multicast without option", solicit(own6, group(other6), other6, 255, nil), ignoredInvalid, 0},
		{"from another link", solicit(own6, other6, other6, 64, sourceOption()), ignoredInvalid, 0},
		{"duplicate address detection", solicit(unspecified, group(other6), other6, 255, nonce), ignoredAddress, 0},
		{"for the kernel's address", solicit(router6, group(own6), own6, 255, sourceOption()), ignoredAddress, 0},
		{"for another subnet", solicit(own6, other6, netip.MustParseAddr("fd78::2"), 255, nil), ignoredAddress, 0},
		{"option of length 0", solicit(own6, other6, other6, 255, make([]byte, 8)), ignoredInvalid, 0},
		{"option too long", solicit(own6, other6, other6, 255, []byte{1, 2, 0, 0, 0, 0, 0, 0}), ignoredInvalid, 0},
		{"option cut off", solicit(own6, other6, other6, 255, []byte{1, 1, 0}), ignoredInvalid, 0},
	} {
		frame := ethernet([6]byte{0x33, 0x33, 0xff, 0, 0, 2}, 0x86dd, test.packet)
		n, v := newResponder(true).answer(frame)
		if v != test.verdict || (n > 0) != v.answered() {
			t.Errorf("%s: verdict %d, want %d, length %d", test.name, v, test.verdict, n)
		}
		if v == solicitation && n != 14+test.length {
			t.Errorf("%s: length %d, want %d", test.name, n, 14+test.length)
		}
		if v == solicitation {
			checkAdvertisement(t, test.name, frame[14:n], test.packet)
		}
	}
}

func checkAdvertisement(t *testing.T, name string, got, question []byte) {
	t.Helper()
	from := netip.AddrFrom16([16]byte(question[8:24]))
	options := []byte{}
	if len(question) > 64 {
		options = append([]byte{2, 1}, responderMAC[:]...)
	}
	body := slices.Concat([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, other6.AsSlice(), options)
	if want := ip6Packet(other6, from, 58, 255, body); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%x, want\n%x", name, got, want)
	}
}

func TestSolicitationOnTUN(t *testing.T) {
	packet := solicit(own6, other6, other6, 255, sourceOption())
	if _, v := newResponder(false).answer(packet); v != ignoredOther {
		t.Errorf("verdict %d, want %d", v, ignoredOther)
	}
}

// flip returns frame with one bit changed.
func flip(frame []byte, at int) []byte {
	frame = slices.Clone(frame)
	frame[at] ^= 0x40
	return frame
}

func TestLeftAlone(t *testing.T) {
	addr := netip.MustParseAddr
	request4, request6 := icmp4(8, 0, data(56)), ping6(other6, data(56))[40:]
	from4 := func(a string) []byte { return ip4{from: addr(a), to: other4, protocol: 1, payload: request4}.bytes() }
	to6 := func(a string) []byte { return ping6(addr(a), nil) }
	for _, test := range []struct {
		name    string
		packet  []byte
		verdict verdict
	}{
		{"nothing", nil, ignoredInvalid},
		{"version 5", []byte{0x50}, ignoredInvalid},
		{"cut IPv4 header", ping4(other4, nil)[:19], ignoredInvalid},
		{"cut IPv4 packet", ping4(other4, nil)[:27], ignoredInvalid},
		{"short ICMP", ip4{from: own4, to: other4, protocol: 1, payload: request4[:7]}.bytes(), ignoredInvalid},
		{"IPv4 header checksum", flip(ping4(other4, nil), 10), ignoredChecksum},
		{"ICMP checksum", flip(ping4(other4, nil), 22), ignoredChecksum},
		{"ICMP data", flip(ping4(other4, data(9)), 30), ignoredChecksum},
		{"fragment", ip4{from: own4, to: other4, protocol: 1, flags: 0x2000, payload: request4}.bytes(), ignoredExtended},
		{"last fragment", ip4{from: own4, to: other4, protocol: 1, flags: 3, payload: request4}.bytes(), ignoredExtended},
		{"IPv4 options", ip4{from: own4, to: other4, protocol: 1, options: []byte{1, 1, 1, 0}, payload: request4}.bytes(), ignoredExtended},
		{"UDP", ip4{from: own4, to: other4, protocol: 17, payload: request4}.bytes(), ignoredOther},
		{"echo reply", ip4{from: own4, to: other4, protocol: 1, payload: icmp4(0, 0, nil)}.bytes(), ignoredOther},
		{"echo with a code", ip4{from: own4, to: other4, protocol: 1, payload: icmp4(8, 1, nil)}.bytes(), ignoredOther},
		{"to the kernel", ping4(own4, nil), ignoredAddress},
		{"to the broadcast address", ping4(addr("10.77.0.255"), nil), ignoredAddress},
		{"to another subnet", ping4(addr("10.78.0.2"), nil), ignoredAddress},
		{"to a group", ping4(addr("224.0.0.1"), nil), ignoredAddress},
		{"from the broadcast address", from4("10.77.0.255"), ignoredAddress},
		{"from everyone", from4("255.255.255.255"), ignoredAddress},
		{"from nobody", from4("0.0.0.0"), ignoredAddress},
		{"from a group", from4("224.0.0.1"), ignoredAddress},
		{"from loopback", from4("127.0.0.1"), ignoredAddress},
		{"cut IPv6 header", ping6(other6, nil)[:39], ignoredInvalid},
		{"cut IPv6 packet", ping6(other6, nil)[:47], ignoredInvalid},
		{"short ICMPv6", ip6Packet(own6, other6, 58, 64, slices.Clone(request6[:7])), ignoredInvalid},
		{"ICMPv6 checksum", flip(ping6(other6, nil), 42), ignoredChecksum},
		{"IPv6 fragment", ip6Packet(own6, other6, 44, 64, append(make([]byte, 8), request6...)), ignoredExtended},
		{"IPv6 options", ip6Packet(own6, other6, 0, 64, append(make([]byte, 8), request6...)), ignoredExtended},
		{"IPv6 UDP", ip6Packet(own6, other6, 17, 64, data(20)), ignoredOther},
		{"ICMPv6 echo reply", ip6Packet(own6, other6, 58, 64, []byte{129, 0, 0, 0, 0, 0, 0, 0}), ignoredOther},
		{"IPv6 to the kernel", to6("fd77::1"), ignoredAddress},
		{"IPv6 to another subnet", to6("fd78::1"), ignoredAddress},
		{"IPv6 to a group", to6("ff02::1"), ignoredAddress},
		{"IPv6 from a group", ip6Packet(addr("ff02::1"), other6, 58, 64, slices.Clone(request6)), ignoredAddress},
	} {
		frame := slices.Clone(test.packet)
		if n, v := newResponder(false).answer(frame); v != test.verdict || n != 0 {
			t.Errorf("%s: verdict %d, want %d, length %d", test.name, v, test.verdict, n)
		}
		if !bytes.Equal(frame, test.packet) {
			t.Errorf("%s: the frame was changed", test.name)
		}
	}
}

func TestAnswersFor(t *testing.T) {
	for _, test := range []struct {
		subnet, addr string
		want         bool
	}{
		{"10.77.0.1/24", "10.77.0.0", true}, // an ordinary address since Linux 5.14
		{"10.77.0.1/24", "10.77.0.1", false},
		{"10.77.0.1/24", "10.77.0.254", true},
		{"10.77.0.1/24", "10.77.0.255", false},
		{"10.77.0.1/24", "10.77.1.0", false},
		{"10.77.0.1/24", "fd77::2", false},
		{"10.77.0.0/31", "10.77.0.1", true},
		{"10.77.0.1/30", "10.77.0.3", false},
		{"0.0.0.1/0", "255.255.255.255", false},
		{"fd77::1/64", "fd77::ffff:ffff:ffff:ffff", true},
		{"fd77::1/64", "fd77::1", false},
		{"fd77::1/127", "fd77::", true},
	} {
		r, p := &responder{}, netip.MustParsePrefix(test.subnet)
		if p.Addr().Is4() {
			r.net4 = p
		} else {
			r.net6 = p
		}
		if got := r.answersFor(netip.MustParseAddr(test.addr)); got != test.want {
			t.Errorf("%s answers for %s: %v", test.subnet, test.addr, got)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, test := range []struct {
		name  string
		tap   bool
		frame []byte
	}{
		{"IPv4", false, ping4(other4, data(1400))},
		{"IPv6", false, ping6(other6, data(1400))},
		{"Ethernet IPv4", true, ethernet(responderMAC, 0x0800, ping4(other4, nil))},
		{"ARP", true, ethernet(everyone, 0x0806, arp(1, own4, other4))},
		{"solicitation", true, ethernet(responderMAC, 0x86dd, solicit(own6, group(other6), other6, 255, sourceOption()))},
		{"left alone", false, ping4(own4, nil)},
	} {
		r, frame := newResponder(test.tap), make([]byte, len(test.frame))
		if n := testing.AllocsPerRun(100, func() {
			copy(frame, test.frame)
			r.answer(frame)
		}); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}

// FuzzAnswer feeds anything to both kinds of responder, with checksums made right or as
// they are. An answer must fit where the question was, go back to who asked, have the
// checksums that its sender would compute from nothing, and not be a question itself.
func FuzzAnswer(f *testing.F) {
	zero := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	for _, right := range []bool{false, true} {
		f.Add(ping4(other4, data(8)), false, right)
		f.Add(ping6(other6, data(8)), false, right)
		f.Add(ip4{from: own4, to: other4, protocol: 1, payload: zero}.bytes(), false, right)
		f.Add(ethernet(responderMAC, 0x0800, ping4(other4, nil)), true, right)
		f.Add(ethernet(responderMAC, 0x86dd, ping6(other6, data(3))), true, right)
		f.Add(ethernet(everyone, 0x0806, arp(1, own4, other4)), true, right)
		f.Add(ethernet(everyone, 0x86dd, solicit(own6, group(other6), other6, 255, sourceOption())), true, right)
	}
	f.Fuzz(func(t *testing.T, frame []byte, tap, right bool) {
		r := newResponder(tap)
		if right {
			sign(packetOf(frame, tap))
		}
		before := slices.Clone(frame)
		n, v := r.answer(frame[:len(frame):len(frame)])
		switch {
		case n < 0 || n > len(frame) || (n > 0) != v.answered():
			t.Fatalf("length %d of %d, verdict %d", n, len(frame), v)
		case n == 0 && !bytes.Equal(frame, before):
			t.Fatal("left alone, but changed")
		case n > 0:
			checkAnswer(t, r, before, frame[:n], v)
		}
	})
}

func packetOf(frame []byte, tap bool) []byte {
	if tap {
		return frame[min(14, len(frame)):]
	}
	return frame
}

// sign makes the checksums of an IPv4 header and of an ICMP message right, if they are
// where they are in a packet without options.
func sign(packet []byte) {
	switch {
	case len(packet) >= 28 && packet[0] == 0x45:
		put16(packet[10:], 0)
		put16(packet[10:], sum(packet[:20]))
		if end := int(binary.BigEndian.Uint16(packet[2:])); end >= 28 && end <= len(packet) {
			put16(packet[22:], 0)
			put16(packet[22:], sum(packet[20:end]))
		}
	case len(packet) >= 48 && packet[0]>>4 == 6:
		if end := 40 + int(binary.BigEndian.Uint16(packet[4:])); end >= 48 && end <= len(packet) {
			put16(packet[42:], 0)
			put16(packet[42:], sum6ByHand(packet, packet[40:end]))
		}
	}
}

func checkAnswer(t *testing.T, r *responder, question, answer []byte, v verdict) {
	packet, asked := packetOf(answer, r.tap), packetOf(question, r.tap)
	if r.tap && !bytes.Equal(answer[:12], append(slices.Clone(question[6:12]), r.mac[:]...)) {
		t.Fatalf("the answer goes from and to %x, the question %x", answer[:12], question[:12])
	}
	want := slices.Clone(packet)
	sign(want)
	if v != arpRequest && !bytes.Equal(packet, want) {
		t.Fatalf("wrong checksum: the answer is\n%x, want\n%x", packet, want)
	}
	switch v {
	case echo4:
		if !bytes.Equal(packet[12:20], slices.Concat(asked[16:20], asked[12:16])) || !bytes.Equal(packet[24:], asked[24:len(packet)]) {
			t.Fatalf("%x is answered by %x", asked, packet)
		}
	case echo6:
		if !bytes.Equal(packet[8:40], slices.Concat(asked[24:40], asked[8:24])) || !bytes.Equal(packet[44:], asked[44:len(packet)]) {
			t.Fatalf("%x is answered by %x", asked, packet)
		}
	}
	if _, v := r.answer(answer); v.answered() {
		t.Fatalf("the answer was answered: verdict %d", v)
	}
}

func BenchmarkEcho4(b *testing.B) {
	r, request := newResponder(false), ping4(other4, data(56))
	frame := make([]byte, len(request))
	for b.Loop() {
		copy(frame, request)
		r.answer(frame)
	}
}
