// SPDX-License-Identifier: MIT

//go:build linux

package conform

import "slices"

// Difference is something that mytun does otherwise than stock tun, on purpose
// or because it does not do it yet.
type Difference struct {
	ID    string // its row in docs/compatibility.md, which gives the reason
	Probe string // in probes: only where the kernel's stock tun is found to be so
	Where []Place
}

// Place is where a Difference is seen. All are globs, in which * stands for
// anything and ? for one character; an empty one is a *.
type Place struct {
	Scenario string
	Call     string
	Stock    string // what stock tun answers
	Mytun    string // what mytun answers
}

// in is a place in each of some groups of scenarios.
func in(p Place, groups ...string) (places []Place) {
	for _, group := range groups {
		q := p
		q.Scenario = group + "/*"
		places = append(places, q)
	}
	return places
}

// refusedAlone is what TUNSETIFF with a flag leads to, for a device's first queue.
func refusedAlone(flag string) []Place {
	return []Place{
		{"flags/*", "*" + flag + "* TUNSETIFF*", "0*", "EINVAL*"},
		{"flags/*", "*" + flag + "* TUNGETIFF", "0*", "EBADFD*"},
		{"flags/*", "*" + flag + "* sysfs *", "", "ENOENT"},
	}
}

// refusedAtRandom is what TUNSETIFF with a flag leads to in a random sequence.
func refusedAtRandom(flags ...string) (places []Place) {
	for _, flag := range flags {
		places = append(places, Place{Scenario: "random/*", Call: "*TUNSETIFF *" + flag + "*", Stock: "0*", Mytun: "EINVAL*"})
	}
	return places
}

// refused is what TUNSETIFF with each of some flags leads to, for any queue.
func refused(flags ...string) (places []Place) {
	for _, flag := range flags {
		places = append(places, refusedAlone(flag)...)
		places = append(places,
			Place{"further/*", "*" + flag + "* TUNSETIFF*", "", "EINVAL*"},
			Place{"further/*", "*" + flag + "* TUNGETIFF", "0*", "EBADFD*"},
		)
	}
	return places
}

// looks are the groups that look at a device as ip link does.
var looks = []string{"random", "attach", "persist", "queues", "look", "mtu", "type", "multicast"}

// Known are all differences. One that is seen and not listed here fails the
// test; so does one that is listed and not seen.
var Known = []Difference{
	{ID: "default-name", Where: in(Place{Call: "*TUN*IFF*", Stock: `0, "t*0" *`, Mytun: `0, "myt*0" *`}, "names")},
	{ID: "driver-name", Where: slices.Concat(
		in(Place{Call: "link kind", Stock: "tun", Mytun: "mytun"}, looks...),
		in(Place{Call: "ethtool driver"}, "ethtool"))},
	{ID: "flag-ignored", Where: slices.Concat(
		refused("TUN|TAP", "bit2", "bit3", "ATTACH_QUEUE", "DETACH_QUEUE", "PERSIST"),
		refusedAtRandom("TUN|TAP", "bit2", "bit3", "ATTACH_QUEUE", "DETACH_QUEUE", "PERSIST"))},
	{ID: "napi-frags", Where: slices.Concat(
		refusedAlone("NAPI_FRAGS"), refusedAtRandom("NAPI_FRAGS"),
		in(Place{Call: "*TUNGETFEATURES*", Stock: "0, wrote ?3710000", Mytun: "0, wrote d3710000"}, "ioctl", "rights", "random"))},
	{ID: "framing", Where: []Place{
		{"further/*", "*T??|MULTI_QUEUE TUNSETIFF*", "0*", "EINVAL*"},
		{"further/*", "*T??|MULTI_QUEUE TUNGETIFF", "0*", "EBADFD*"},
		{"further/*", "*VNET_HDR TUNSETIFF*", "0*", "EINVAL*"},
		{"further/*", "*VNET_HDR TUNGETIFF", "0*", "EBADFD*"},
	}},
	{ID: "offload-without-vnet", Where: slices.Concat(
		in(Place{Call: "*TUNSETOFFLOAD *", Stock: "0", Mytun: "EINVAL"}, "ioctl", "rights", "ethtool", "random"),
		in(Place{Call: "ethtool -k tx-*", Stock: "true", Mytun: "false"}, "ethtool"))},
	{ID: "name-not-told", Where: []Place{{"attach/into read-only memory", "is there conf", "true", "false"}}},
	{ID: "foreign-type", Where: slices.Concat(
		in(Place{Call: "*TUNSETLINK *", Stock: "0", Mytun: "EINVAL"}, "ioctl", "rights", "type", "random"),
		in(Place{Call: "8?? sysfs *"}, "type"),
		in(Place{Call: "32 sysfs *"}, "type"),
		in(Place{Call: "512 sysfs *"}, "type"),
		in(Place{Call: "*SIOCSIFHWADDR, type *", Stock: "0", Mytun: "EINVAL"}, "type"))},
	{ID: "debug", Where: slices.Concat(
		in(Place{Call: "*TUNSETDEBUG *", Stock: "0", Mytun: "EINVAL"}, "ioctl", "rights", "random"),
		in(Place{Call: "ethtool *message level", Stock: "0*", Mytun: "ENOTSUP*"}, "ethtool"))},
	{ID: "tap-mtu", Where: slices.Concat(
		in(Place{Call: "link max mtu", Stock: "f1ff0000", Mytun: "ffff0000"}, "attach", "persist", "look", "mtu", "type", "multicast", "random"),
		in(Place{Call: "mtu 655*", Stock: "EINVAL", Mytun: "0"}, "mtu", "random"),
		in(Place{Call: "link mtu", Stock: "f1ff0000", Mytun: "ffff0000"}, "mtu"))},
	{ID: "queue-length", Where: in(Place{Call: "link txqlen", Stock: "f4010000", Mytun: "e8030000"}, looks...)},
	{ID: "queue-shrinks", Where: in(Place{Call: "waiting after it shrank", Stock: "5", Mytun: "50"}, "length")},
	{ID: "ethtool-rings", Where: in(Place{Call: "ethtool rings"}, "ethtool")},
	{ID: "ethtool-coalesce", Where: in(Place{Call: "ethtool coalescing"}, "ethtool")},
	{ID: "bad-filter-remembered", Where: []Place{{"bpf/what is no filter", "file TUNGETFILTER *", "0, wrote *", "0"}}},
	{ID: "filtered-queue-attaches", Where: []Place{
		{"bpf/a persistent device without NO_PI", "again TUNGETIFF", "EBADFD*", "0*"},
		{"bpf/a queue that was detached", "file TUNGETIFF", "0, \"conf\" 0x15*", "0, \"conf\" 0x11*"},
	}},
	{ID: "large-write", Where: []Place{
		{"write/*", "file write too large", "70*", "EMSGSIZE"},
		{"write/*", "received too large", "", "[], EAGAIN"},
	}},
	{ID: "far-checksum", Where: []Place{
		{"vnet/far behind", "file write checksum at 16382", "20010", "EINVAL"},
		{"vnet/far behind", "received checksum at 16382", "*", "[], EAGAIN"},
	}},
	{ID: "smallest-buffer", Where: in(Place{Call: "file poll with a send buffer of *", Stock: "0, 0x0", Mytun: "0, 0x104"}, "sndbuf")},
	{ID: "vnet-errors", Where: []Place{{"vnet/metadata", "counters", "*errors 0,*frame ?; *", "*errors ?,*frame 0; *"}}},
	{ID: "xdp-unfinished", Where: []Place{
		{"xdp/*", "file unfinished, counted", "rx 0 *dropped 1; *", "rx 0 *dropped 0; *"},
		{"xdp/verdict 3*", "file unfinished, counted", "rx 1 *", "rx 0 *"},
		{"xdp/verdict 3*", "file unfinished, read", "2??, 00*", "2??, 01*"},
	}},
	{ID: "xdp-bytes", Where: []Place{{"xdp/verdict 3*", "file s*, counted", "rx 1 *; tx 1 *", "rx 1 *; tx 1 *"}}},
	{ID: "xdp-down", Where: []Place{
		{"xdp/*", "file write down", "224", "EIO"},
		{"xdp/verdict 3*", "file down, *", "", ""},
	}},

	// stock tun of some kernels, whatever their number: what it learns is given to older ones too
	{ID: "ownerless", Probe: "attaches ownerless", Where: []Place{
		{"rights/owner -1 group -1", "* TUNSETIFF*", "0*", "EPERM*"},
		{"rights/of an ordinary user", `file TUNSETIFF "conf" TUN|NO_PI`, "EBUSY*", "EPERM*"},
	}},
	{ID: "ethtool-channels", Probe: "no channels", Where: in(Place{Call: "ethtool channels", Stock: "ENOTSUP*", Mytun: "0*"}, "ethtool")},
	{ID: "nowait", Probe: "no RWF_NOWAIT", Where: slices.Concat(
		in(Place{Call: "file preadv2 *", Stock: "ENOTSUP*", Mytun: ""}, "nowait"),
		[]Place{
			{"random/*", "* flags 0x8", "ENOTSUP*", ""},
			{"random/*", "* flags 0x8, byte *", "ENOTSUP", ""},
		})},
	{ID: "backpressure", Probe: "no IFF_BACKPRESSURE", Where: slices.Concat(
		in(Place{Call: "*BACKPRESSURE* TUNGETIFF", Stock: "0, *", Mytun: "0, *"}, "flags"),
		in(Place{Call: "*BACKPRESSURE* sysfs tun_flags", Stock: "0x*", Mytun: "0x*"}, "flags"))},
	{ID: "backpressure-stays", Where: slices.Concat(
		in(Place{Call: "*TUNGETIFF", Stock: `0, "*" 0x*0?, *`, Mytun: `0, "*" 0x*8?, *`}, "random"),
		in(Place{Call: "*TUNGETIFF", Stock: `0, "*" 0x*1?, *`, Mytun: `0, "*" 0x*9?, *`}, "random"),
		in(Place{Call: "*sysfs tun_flags", Stock: "0x*", Mytun: "0x*"}, "random"))},
	{ID: "vnet-rest", Probe: "vnet rest left", Where: []Place{
		{"vnet/sizes", "file read [300]", "*, 0000000000000000000055*", "*, 0000000000000000000000*"},
		{"random/*", "* read *", "*55*", "*00*"},
	}},
	{ID: "tunnel-offloads", Probe: "no tunnel offloads", Where: []Place{
		{"ioctl/vnet", "TUNSETOFFLOAD  0x83", "EINVAL", "0"},
		{"ioctl/vnet", "TUNSETOFFLOAD  0x185", "EINVAL", "0"},
	}},
	{ID: "uso", Probe: "no USO", Where: []Place{{"ioctl/vnet", "TUNSETOFFLOAD  0x61", "EINVAL", "0"}}},
}
