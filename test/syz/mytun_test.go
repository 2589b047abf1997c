// SPDX-License-Identifier: MIT

//go:build linux

// Package syz holds a description of the device for syzkaller. Its tests compare
// that with the header of the ABI.
package syz

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	comments     = regexp.MustCompile(`(?m)^#.*$`)
	constants    = regexp.MustCompile(`\b(?:__NR_\w+|[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|TUN[GS]ET[A-Z]+)\b`)
	definitions  = regexp.MustCompile(`(?m)^define (\w+)\s+(.+)$`)
	includes     = regexp.MustCompile(`(?m)^include .*$`)
	callNames    = regexp.MustCompile(`(?m)^(\w+)\$\w+\(`)
	descriptions = regexp.MustCompile(`(?m)^(mytun_\w+) \{\n((?s:.*?))^\}`)
	arrays       = regexp.MustCompile(`^array\[(.*), (\d+)\]$`)
	integers     = regexp.MustCompile(`\bint(8|16|32|64)\b`)
)

// system are the constants that are not the module's.
var system = map[string]uint64{
	"__NR_ioctl": unix.SYS_IOCTL, "__NR_mmap": unix.SYS_MMAP, "__NR_openat": unix.SYS_OPENAT,
	"__NR_read": unix.SYS_READ, "__NR_write": unix.SYS_WRITE,
	"AT_FDCWD": 1<<64 - 100,

	"TUNSETIFF": unix.TUNSETIFF, "TUNGETIFF": unix.TUNGETIFF, "TUNGETFEATURES": unix.TUNGETFEATURES,
	"TUNSETPERSIST": unix.TUNSETPERSIST, "TUNSETOWNER": unix.TUNSETOWNER, "TUNSETGROUP": unix.TUNSETGROUP,
	"TUNSETOFFLOAD": unix.TUNSETOFFLOAD,

	"IFF_TUN": unix.IFF_TUN, "IFF_TAP": unix.IFF_TAP, "IFF_NO_PI": unix.IFF_NO_PI, "IFF_VNET_HDR": unix.IFF_VNET_HDR,
	"IFF_MULTI_QUEUE": unix.IFF_MULTI_QUEUE, "IFF_TUN_EXCL": unix.IFF_TUN_EXCL, "IFF_PERSIST": unix.IFF_PERSIST,

	"TUN_F_CSUM": unix.TUN_F_CSUM, "TUN_F_TSO4": unix.TUN_F_TSO4, "TUN_F_TSO6": unix.TUN_F_TSO6,
	"TUN_F_TSO_ECN": unix.TUN_F_TSO_ECN, "TUN_F_UFO": unix.TUN_F_UFO, "TUN_F_USO4": unix.TUN_F_USO4, "TUN_F_USO6": unix.TUN_F_USO6,
	// linux/if_tun.h and linux/virtio_net.h since 6.17
	"TUN_F_UDP_TUNNEL_GSO": 0x80, "TUN_F_UDP_TUNNEL_GSO_CSUM": 0x100, "VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM": 8,
	"VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4": 0x20, "VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6": 0x40,

	"VIRTIO_NET_HDR_F_NEEDS_CSUM": unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, "VIRTIO_NET_HDR_F_DATA_VALID": unix.VIRTIO_NET_HDR_F_DATA_VALID,
	"VIRTIO_NET_HDR_GSO_NONE": unix.VIRTIO_NET_HDR_GSO_NONE, "VIRTIO_NET_HDR_GSO_TCPV4": unix.VIRTIO_NET_HDR_GSO_TCPV4,
	"VIRTIO_NET_HDR_GSO_UDP": unix.VIRTIO_NET_HDR_GSO_UDP, "VIRTIO_NET_HDR_GSO_TCPV6": unix.VIRTIO_NET_HDR_GSO_TCPV6,
	"VIRTIO_NET_HDR_GSO_UDP_L4": unix.VIRTIO_NET_HDR_GSO_UDP_L4, "VIRTIO_NET_HDR_GSO_ECN": unix.VIRTIO_NET_HDR_GSO_ECN,
}

// description is the description without what is for people.
func description(t *testing.T) string {
	t.Helper()
	return includes.ReplaceAllString(comments.ReplaceAllString(read(t, "mytun.txt"), ""), "")
}

// values are those of the description's constants, as syzkaller would find them.
func values(t *testing.T) map[string]uint64 {
	t.Helper()
	found := map[string]uint64{}
	for line := range strings.Lines(comments.ReplaceAllString(read(t, "mytun.txt.const"), "")) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || name == "arches" {
			continue
		}
		value, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("mytun.txt.const: %v", err)
		}
		found[name] = value
	}
	return found
}

// TestValuesAreThoseOfTheHeader: or of the module, or of the system.
func TestValuesAreThoseOfTheHeader(t *testing.T) {
	want := readHeader(t).values
	maps.Copy(want, areas(t))
	maps.Copy(want, system)
	want["MYTUN_MAP_SHARED"] = unix.MAP_SHARED | unix.MAP_FIXED
	want["MYTUN_MAP_PRIVATE"] = unix.MAP_PRIVATE | unix.MAP_FIXED
	want["MYTUN_RING_SIZE_NEXT"] = 2 * want["MYTUN_RING_SIZE_MIN"]
	for name, got := range values(t) {
		if value, known := want[name]; !known {
			t.Errorf("nobody knows %s", name)
		} else if got != value {
			t.Errorf("%s is %#x, want %#x", name, got, value)
		}
	}
}

// TestDefinitionsAreTheirValues: the description says some of them twice.
func TestDefinitionsAreTheirValues(t *testing.T) {
	compared, known := 0, values(t)
	for _, m := range definitions.FindAllStringSubmatch(description(t), -1) {
		if want, err := strconv.ParseUint(m[2], 0, 64); err == nil {
			compared++
			if known[m[1]] != want {
				t.Errorf("%s is defined as %s, its value is %d", m[1], m[2], known[m[1]])
			}
		}
	}
	if compared < len(areas(t)) {
		t.Errorf("%d are defined, the module has %d areas and words", compared, len(areas(t)))
	}
}

// TestEveryConstantHasAValue: and no other has.
func TestEveryConstantHasAValue(t *testing.T) {
	text := description(t)
	needed := map[string]bool{}
	for _, m := range callNames.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "syz_") {
			needed["__NR_"+m[1]] = true
		}
	}
	withoutNames := regexp.MustCompile(`\$\w+\(`).ReplaceAllString(definitions.ReplaceAllString(text, ""), "(")
	for _, name := range constants.FindAllString(withoutNames, -1) {
		needed[name] = true
	}
	want, got := slices.Sorted(maps.Keys(needed)), slices.Sorted(maps.Keys(values(t)))
	if !slices.Equal(got, want) {
		t.Errorf("there are values of\n%q, needed are those of\n%q", got, want)
	}
}

// TestAllOfTheHeaderIsDescribed: each command and each flag that is the
// process's to choose.
func TestAllOfTheHeaderIsDescribed(t *testing.T) {
	text := description(t)
	for name := range readHeader(t).values {
		if name == "MYTUN_IOC_MAGIC" || !regexp.MustCompile(`^MYTUN_(IOC|FRAME)_`).MatchString(name) {
			continue
		}
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("%s is not described", name)
		}
	}
}

// TestStructuresAreThoseOfTheHeader: field by field.
func TestStructuresAreThoseOfTheHeader(t *testing.T) {
	described, texts := map[string][]field{}, map[string]string{}
	for _, m := range descriptions.FindAllStringSubmatch(description(t), -1) {
		texts[m[1]] = m[2]
	}
	for name, text := range texts {
		described[name] = fieldsOf(text, texts)
	}
	for name, want := range readHeader(t).structs {
		if got := described[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("struct %s is described as\n%v, is\n%v", name, got, want)
		}
	}
}

// fieldsOf are the fields of a structure's text.
func fieldsOf(text string, others map[string]string) (fields []field) {
	for line := range strings.Lines(text) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), "\t")
		fields = append(fields, field{name, sizeOf(strings.TrimSpace(what), others)})
	}
	return fields
}

// sizeOf is the size of a type in bytes, or 0 if it has no size of its own.
func sizeOf(what string, others map[string]string) (size int) {
	if what == "fd_event[opt]" {
		return 4
	}
	if m := arrays.FindStringSubmatch(what); m != nil {
		length, _ := strconv.Atoi(m[2])
		return length * sizeOf(m[1], others)
	}
	if m := integers.FindStringSubmatch(what); m != nil {
		bits, _ := strconv.Atoi(m[1])
		return bits / 8
	}
	for _, f := range fieldsOf(others[what], others) {
		size += f.Size
	}
	return size
}

// wordName is the description's name of a member of a page.
func wordName(member string) string { return "MYTUN_" + strings.ToUpper(member) }
