// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"syscall"
	"testing"
)

func attribute(kind uint16, values ...[]byte) []byte {
	b := make([]byte, 4)
	for _, v := range values {
		b = append(b, v...)
	}
	native.PutUint16(b, uint16(len(b)))
	native.PutUint16(b[2:], kind)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func word(n uint32) []byte {
	b := make([]byte, 4)
	native.PutUint32(b, n)
	return b
}

func text(s string) []byte { return append([]byte(s), 0) }

// message is a netlink message about a link.
func message(kind uint16, index int, flags uint32, attributes ...[]byte) []byte {
	b := make([]byte, syscall.SizeofNlMsghdr+syscall.SizeofIfInfomsg)
	native.PutUint32(b[syscall.SizeofNlMsghdr+4:], uint32(index))
	native.PutUint32(b[syscall.SizeofNlMsghdr+8:], flags)
	for _, a := range attributes {
		b = append(b, a...)
	}
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], kind)
	return b
}

func tunMessage(index int, name, kind string) []byte {
	const nestedBit = 0x8000
	return message(syscall.RTM_NEWLINK, index, syscall.IFF_UP,
		attribute(syscall.IFLA_IFNAME, text(name)), attribute(syscall.IFLA_MTU, word(1420)), attribute(iflaCarrier, []byte{1}),
		attribute(syscall.IFLA_LINKINFO|nestedBit, attribute(iflaInfoKind, text(kind)), attribute(iflaInfoData|nestedBit,
			attribute(iflaTunType, []byte{iffTAP}), attribute(iflaTunPersist, []byte{1}), attribute(iflaTunNumParked, word(3)))))
}

func TestParseLinks(t *testing.T) {
	dump := message(syscall.RTM_NEWLINK, 1, 0, attribute(syscall.IFLA_IFNAME, text("lo")), attribute(syscall.IFLA_MTU, word(65536)))
	dump = append(dump, tunMessage(7, "mytun0", "mytun")...)
	dump = append(dump, tunMessage(8, "tun0", "tun")...)
	dump = append(dump, message(syscall.RTM_DELLINK, 9, 0)...)
	dump = append(dump, message(syscall.NLMSG_DONE, 0, 0)...)
	got, err := parseLinks(dump)
	if err != nil {
		t.Fatal(err)
	}
	want := []link{
		{index: 1, name: "lo", mtu: 65536},
		{index: 7, name: "mytun0", kind: "mytun", mtu: 1420, up: true, carrier: true, mytun: tunAttributes{tap: true, persistent: true, parked: 3}},
		{index: 8, name: "tun0", kind: "tun", mtu: 1420, up: true, carrier: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestParseLinksCut: whatever comes of the kernel's answer, nothing is read behind it.
func TestParseLinksCut(t *testing.T) {
	whole := tunMessage(7, "mytun0", "mytun")
	for n := range whole {
		cut := append([]byte(nil), whole[:n]...)
		if n >= syscall.SizeofNlMsghdr {
			native.PutUint32(cut, uint32(n))
		}
		parseLinks(cut)
		nested(cut)
	}
	if found := nested([]byte{3, 0, 1, 0, 9, 9, 9, 9}); len(found) != 0 {
		t.Errorf("an attribute shorter than its header: %v", found)
	}
}

func TestReadLinks(t *testing.T) {
	links, err := readLinks()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.name == "lo" {
			if l.index != 1 || l.kind != "" {
				t.Errorf("lo is %+v", l)
			}
			return
		}
	}
	t.Errorf("no lo among %+v", links)
}
