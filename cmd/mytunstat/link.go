// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"syscall"
)

// A link is a network device, as rtnetlink tells of it.
type link struct {
	index       int
	name        string
	kind        string // "mytun", or of others what "ip -d link" says
	mtu         int    // bytes
	up, carrier bool
	mytun       tunAttributes
}

// tunAttributes are the IFLA_TUN_* of a mytun device.
type tunAttributes struct {
	tap, persistent bool
	parked          int // queues that get no packets
}

// Attributes of linux/if_link.h, which package syscall lacks.
const (
	iflaCarrier  = 33
	iflaInfoKind = 1
	iflaInfoData = 2

	iflaTunType      = 3
	iflaTunPersist   = 6
	iflaTunNumParked = 9

	attributeTypeMask = 0x3fff
	iffTAP            = 0x2
)

// readLinks asks for all devices of the network namespace.
func readLinks() ([]link, error) {
	dump, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	links, err := parseLinks(dump)
	if err != nil {
		return nil, fmt.Errorf("list network devices: the kernel's answer: %w", err)
	}
	return links, nil
}

// parseLinks reads the messages of a dump of links.
func parseLinks(dump []byte) ([]link, error) {
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, err
	}
	var links []link
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return nil, err
		}
		links = append(links, newLink(m.Data, attributes))
	}
	return links, nil
}

// newLink makes a link of a struct ifinfomsg and what follows it.
func newLink(info []byte, attributes []syscall.NetlinkRouteAttr) link {
	l := link{
		index: int(int32(native.Uint32(info[4:]))),
		up:    native.Uint32(info[8:])&syscall.IFF_UP != 0,
	}
	for _, a := range attributes {
		switch a.Attr.Type & attributeTypeMask {
		case syscall.IFLA_IFNAME:
			l.name = cString(a.Value)
		case syscall.IFLA_MTU:
			l.mtu = int(number(a.Value))
		case iflaCarrier:
			l.carrier = number(a.Value) != 0
		case syscall.IFLA_LINKINFO:
			l.readInfo(nested(a.Value))
		}
	}
	return l
}

func (l *link) readInfo(info map[uint16][]byte) {
	l.kind = cString(info[iflaInfoKind])
	if l.kind != moduleName {
		return // what its data means is another kind's
	}
	data := nested(info[iflaInfoData])
	l.mytun = tunAttributes{
		tap:        number(data[iflaTunType])&iffTAP != 0,
		persistent: number(data[iflaTunPersist]) != 0,
		parked:     int(number(data[iflaTunNumParked])),
	}
}

// nested are the attributes in an attribute, by type. What is cut off is left out.
func nested(b []byte) map[uint16][]byte {
	const header = syscall.SizeofRtAttr
	found := map[uint16][]byte{}
	for len(b) >= header {
		length := int(native.Uint16(b))
		if length < header || length > len(b) {
			break
		}
		found[native.Uint16(b[2:])&attributeTypeMask] = b[header:length]
		next := (length + syscall.RTA_ALIGNTO - 1) &^ (syscall.RTA_ALIGNTO - 1)
		if next > len(b) {
			break
		}
		b = b[next:]
	}
	return found
}

// number is an attribute of one or four bytes; 0 if there is none.
func number(b []byte) uint32 {
	switch len(b) {
	case 1:
		return uint32(b[0])
	case 4:
		return native.Uint32(b)
	}
	return 0
}
