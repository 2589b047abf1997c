// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Spec is a kind of operation.
type Spec struct {
	Name   string
	Weight int // how often it is drawn, among the others
	Kinds  []kind

	run func(w *world, t *thread, a []uint64) error
}

// Places for descriptors.
const (
	files  = 4
	events = 8
)

// Names that other parts of the fuzzer know operations by.
const (
	deviceName = "device"
	syncName   = "sync"
	stormName  = "storm"
	dieName    = "die"
)

// Kinds of arguments.
var (
	fileSlot  = slot{'f', files}
	eventSlot = slot{'e', events}

	names   = enum{"fz0", "fz1", "fz%d", "lo", "none", "fz/0"}
	devices = enum{"fz0", "fz1"}

	attachFlags = flags{
		{"tun", unix.IFF_TUN}, {"tap", unix.IFF_TAP}, {"no_pi", unix.IFF_NO_PI},
		{"vnet_hdr", unix.IFF_VNET_HDR}, {"multi_queue", unix.IFF_MULTI_QUEUE},
		{"excl", unix.IFF_TUN_EXCL}, {"persist", unix.IFF_PERSIST},
		{"no_carrier", device.NoCarrier}, {"one_queue", unix.IFF_ONE_QUEUE},
		{"napi", unix.IFF_NAPI}, {"napi_frags", unix.IFF_NAPI_FRAGS}, {"backpressure", device.Backpressure},
	}
	queueFlags   = flags{{"attach", unix.IFF_ATTACH_QUEUE}, {"detach", unix.IFF_DETACH_QUEUE}}
	offloadFlags = flags{
		{"csum", device.OffloadCsum}, {"tso4", device.OffloadTSO4}, {"tso6", device.OffloadTSO6},
		{"ecn", device.OffloadTSOECN}, {"ufo", device.OffloadUFO}, {"uso", device.OffloadUSO},
		{"tunnel", device.OffloadTunnel}, {"tunnel_sum", device.OffloadTunnelSum},
	}
	protections = flags{{"read", unix.PROT_READ}, {"write", unix.PROT_WRITE}, {"exec", unix.PROT_EXEC}}

	// kinds of device that work, so that a program comes far. Those for many
	// queues have 256 queueing disciplines
	devicekinds = expensive{enum{"tun", "tap", "tun_vnet", "tap_vnet", "tun_multi", "tap_multi", "tun_vnet_multi"}, 4}
	portkinds   = expensive{enum{
		"tun", "tap", "tun_pi", "tap_pi", "tun_vnet", "tap_vnet", "tun_napi", "tap_vnet_napi", "tun_pi_vnet",
		"tun_multi", "tap_multi", "tap_vnet_napi_multi",
	}, 9}

	ringSizes  = number{interesting: []uint64{128 << 10, 128 << 10, 128 << 10, 256 << 10, 1 << 20, 0, 64 << 10, 192 << 10, 4096, 128 << 20, 1 << 31}}
	bigRing    = number{interesting: []uint64{128 << 10, 128 << 10, 256 << 10, 1 << 20}, limit: 1 << 20}
	small      = number{interesting: []uint64{0, 1, 2, 3, 255, 256, 1 << 16, 1<<32 - 1}}
	usecs      = number{interesting: []uint64{0, 1, 50, 1000, device.PollMaxUsecs, device.PollMaxUsecs + 1}}
	indices    = number{interesting: []uint64{0, 32, 64, 128, 4096, 128 << 10, 256 << 10, 1 << 31, 1<<32 - 64, 1<<32 - 128, 1<<32 - 1}}
	excess     = number{interesting: []uint64{0, 0, 0, 0, 0, 0, 1, 32, 64, 65536, 1 << 31, 1<<32 - 1, 1<<32 - 32, 1<<32 - 64}}
	vnetFlags  = number{interesting: []uint64{0, 0, 1, 1, 2, 3, 4, 8, 9}, limit: 255}
	gsoTypes   = number{interesting: []uint64{0, 0, 1, 3, 4, 5, 0x81, 0x85, 0x21, 0x24, 0x45, 0x60, 0xa1}, limit: 255}
	sizes      = number{interesting: []uint64{0, 1, 20, 28, 40, 100, 1400, 1472, 2049, 8000, 65000, 65540, device.FrameMax}, limit: device.FrameMax + 1}
	shorts     = number{interesting: []uint64{0, 1, 6, 14, 16, 20, 34, 40, 54, 100, 1400, 65480, 65500, 65535}, limit: 65535}
	counts     = number{interesting: []uint64{1, 2, 3, 16, 64, 65, 256, 300}, limit: 600}
	flips      = number{interesting: []uint64{10, 100, 1000, 5000}, limit: 5000}
	seeds      = number{limit: 1 << 16}
	millis     = number{interesting: []uint64{0, 1, 5}, limit: 20}
	pages      = number{interesting: []uint64{0, 1, 2, 31, 32, 33, 63, 64, 65}, limit: 70}
	pieces     = number{interesting: []uint64{1, 1, 2, 3, 17, 1024}, limit: 1024}
	moves      = number{interesting: []uint64{0, 4, 14, 20, 60, 100, 256, 1000}, limit: 4096}
	controlled = number{interesting: []uint64{0, 0, 1, 1, 2, 3, 10, 12, 20, 24, 32, 255, 4096, 1<<32 - 1}}
	rounds     = number{interesting: []uint64{1, 2, 4}, limit: 8}
	protocols  = number{interesting: []uint64{0, 0x0800, 0x86dd, 0x0806, 0xffff}, limit: 65535}

	regions   = enum{"kernel", "user", "rx", "tx"}
	sharings  = enum{"shared", "private"}
	userWords = enum{"rx_consumer", "rx_need_wakeup", "tx_producer", "tx_need_space"}
	targets   = enum{"headers", "words", "payloads", "producer", "consumer"}
	packets   = enum{"udp4", "udp6", "tcp4", "tcp6", "fragment", "ipip", "arp", "vlan", "zeros", "noise", "routed", "vxlan4", "vxlan6", "vxlan4_sum", "vxlan6_sum", "vxlan_routed"}
	claims    = enum{"plain", "csum", "tcp4", "tcp6", "udp", "ecn", "tiny"}
	families  = enum{"ipv4", "ipv6"}
	eventKind = enum{"eventfd", "semaphore", "pipe", "socket", "epoll", "device", "file"}
	places    = enum{"null", "kernel", "readonly", "edge", "ring", "hole"}
	commands  = enum{
		"setiff", "getiff", "getfeatures", "setpersist", "setowner", "setgroup", "setoffload", "get_info", "set_rings",
		"set_eventfds", "set_poll", "get_stats", "set_backpressure", "unknown", "setnoc", "getsndbuf",
		"setlink", "settxfilter", "attachfilter", "detachfilter", "getfilter", "setqueue",
		"setifindex", "setcarrier", "setsteering", "setfilter", "getaddress", "setaddress",
		"setsndbuf", "getvnethdrsz", "setvnethdrsz", "setvnetle", "setvnetbe", "setbatch",
		"wait",
	}
	controls    = enum{"link", "carrier", "ifindex", "detachfilter", "sndbuf", "vnethdrsz", "vnetle", "vnetbe", "batch"}
	screens     = enum{"address", "multicast", "accept", "drop", "cut"}
	linkChanges = enum{"up", "down", "delete", "mtu", "queuelen", "address", "promiscuous", "rename", "rps", "qdisc", "bridge", "headroom", "unbridge", "vlan"}
	ethtools    = enum{"driver", "channels", "rings", "statistics", "coalesce", "set_coalesce", "queue_coalesce", "gro", "gso", "tso"}
	flows       = enum{"udp", "udp_segments", "raw", "raw_super", "tcp", "tagged", "accelerated"}
	blockers    = enum{"read", "write", "wait"}
	programs    = enum{"steering", "filter"}
	shapes      = enum{"as_is", "head", "tail", "meta"}
	directions  = enum{"more", "less"}
	verdicts    = enum{"aborted", "drop", "pass", "back", "redirect", "senseless"}
	modes       = enum{"native", "generic", "either"}
)

var specs = []Spec{
	{deviceName, 6, []kind{fileSlot, devices, devicekinds, bigRing, bigRing}, (*world).device},
	{"open", 3, []kind{fileSlot}, (*world).open},
	{"close", 3, []kind{fileSlot}, (*world).close},
	{"dup", 1, []kind{fileSlot, fileSlot}, (*world).dup},
	{"stash", 1, []kind{fileSlot}, (*world).stash},
	{"poll", 3, []kind{fileSlot, millis}, (*world).poll},
	{"epoll", 2, []kind{eventSlot, fileSlot}, (*world).epoll},
	{"fdinfo", 1, []kind{fileSlot}, (*world).fdinfo},

	{"port", 4, []kind{fileSlot, devices, portkinds}, (*world).port},
	{"read", 4, []kind{fileSlot, sizes, pieces, counts}, (*world).read},
	{"write", 5, []kind{fileSlot, packets, claims, sizes, pieces, counts}, (*world).write},
	{"writeany", 5, []kind{fileSlot, packets, sizes, protocols, vnetFlags, gsoTypes, shorts, shorts, shorts, shorts, pieces}, (*world).writeAny},
	{"writemany", 3, []kind{fileSlot, packets, claims, sizes, counts, excess, shorts}, (*world).writeMany},
	{"sndbuf", 3, []kind{fileSlot, sndbufs}, (*world).sndbuf},
	{"stream", 4, []kind{fileSlot, families, sizes, counts}, (*world).stream},
	{"changing", 3, []kind{fileSlot, families, sizes, counts, sndbufs, sndbufs}, (*world).changing},
	{"wait", 1, []kind{fileSlot}, (*world).wait},
	{"block", 2, []kind{devices, portkinds, blockers}, (*world).block},
	{"async", 1, []kind{fileSlot, small}, (*world).async},

	{"setiff", 4, []kind{fileSlot, names, attachFlags}, (*world).setiff},
	{"setrings", 4, []kind{fileSlot, ringSizes, ringSizes, small}, (*world).setrings},
	{"seteventfds", 4, []kind{fileSlot, eventSlot, eventSlot, eventSlot, small}, (*world).seteventfds},
	{"unset_eventfds", 1, []kind{fileSlot}, (*world).unsetEventfds},
	{"setpersist", 2, []kind{fileSlot, small}, (*world).setpersist},
	{"setowner", 1, []kind{fileSlot, small}, (*world).setowner},
	{"setgroup", 1, []kind{fileSlot, small}, (*world).setgroup},
	{"setoffload", 4, []kind{fileSlot, offloadFlags}, (*world).setoffload},
	{"setpoll", 2, []kind{fileSlot, usecs}, (*world).setpoll},
	{"setbackpressure", 3, []kind{fileSlot, small}, (*world).setbackpressure},
	{"setqueue", 4, []kind{fileSlot, queueFlags}, (*world).setqueue},
	{"control", 4, []kind{fileSlot, controls, controlled}, (*world).control},
	{"screen", 3, []kind{fileSlot, screens, small}, (*world).screen},
	{"program", 2, []kind{fileSlot, programs, small}, (*world).program},
	{"unprogram", 1, []kind{fileSlot, programs}, (*world).unprogram},
	{"query", 2, []kind{fileSlot}, (*world).query},
	{"ioctl", 3, []kind{fileSlot, commands, places}, (*world).ioctl},
	{stormName, 2, []kind{fileSlot, stormed, rounds}, (*world).storm},

	{"map", 4, []kind{fileSlot, regions, protections, sharings}, (*world).mapRegion},
	{"mapraw", 2, []kind{fileSlot, regions, indices, pages, protections}, (*world).mapRaw},
	{"unmap", 2, []kind{fileSlot, regions, pages, pages}, (*world).unmap},
	{"protect", 2, []kind{fileSlot, regions, pages, protections}, (*world).protect},
	{"remap", 2, []kind{fileSlot, regions, fileSlot, pages, pages}, (*world).remap},
	{"advise", 1, []kind{fileSlot, regions, number{limit: 30}}, (*world).advise},

	{"word", 5, []kind{fileSlot, userWords, indices}, (*world).word},
	{"follow", 5, []kind{fileSlot, userWords, indices}, (*world).follow},
	{"push", 8, []kind{fileSlot, packets, claims, sizes, counts}, (*world).push},
	{"frame", 8, []kind{fileSlot, packets, sizes, excess, small, vnetFlags, gsoTypes, shorts, shorts, shorts, shorts}, (*world).frame},
	{"untrue", 6, []kind{fileSlot, carriers, wrapped, claims, sizes, fields, changes, shorts}, (*world).untrue},
	{"pull", 5, []kind{fileSlot, counts}, (*world).pull},
	{"junk", 2, []kind{fileSlot, regions, seeds, counts}, (*world).junk},
	{"flip", 4, []kind{fileSlot, targets, seeds, flips}, (*world).flip},

	{"event", 3, []kind{eventSlot, eventKind}, (*world).newEvent},
	{"closeevent", 2, []kind{eventSlot}, (*world).closeEvent},
	{"dupevent", 1, []kind{eventSlot, eventSlot}, (*world).dupEvent},
	{"signal", 5, []kind{eventSlot, small}, (*world).signal},
	{"consume", 1, []kind{eventSlot}, (*world).consume},
	{"nofile", 1, []kind{number{interesting: []uint64{0, 3, 100, 104, 110, 118}, limit: 200}}, (*world).nofile},

	{"link", 6, []kind{devices, linkChanges, small}, (*world).link},
	{"type", 2, []kind{fileSlot, devices, hardware}, (*world).hardwareType},
	{"move", 2, []kind{devices}, (*world).move},
	{"redirect", 3, []kind{devices, tags, sizes, counts}, (*world).redirect},
	{"tunnel", 2, []kind{tunnels, inners, sizes}, (*world).tunnel},
	{"ethtool", 3, []kind{devices, ethtools, usecs, small}, (*world).ethtool},
	{"xdp", 4, []kind{devices, shapes, directions, moves, verdicts, modes}, (*world).xdp},
	{"unxdp", 1, []kind{devices}, (*world).unxdp},
	{"send", 7, []kind{devices, flows, sizes, counts}, (*world).send},

	{"sleep", 2, []kind{millis}, (*world).sleep},
	{"fork", 1, nil, (*world).fork},
	{dieName, 1, nil, (*world).die},
	{syncName, 5, nil, nil}, // the phases' bounds: nobody runs it
}

// weights is the sum of all.
var weights = func() (sum int) {
	for i := range specs {
		sum += specs[i].Weight
	}
	return sum
}()

// specOf is the kind of operation of that name, or nil.
func specOf(name string) *Spec {
	for i := range specs {
		if specs[i].Name == name {
			return &specs[i]
		}
	}
	return nil
}
