// SPDX-License-Identifier: MIT

//go:build mytun_device

package tags

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The devices: the process's, and a veth pair. What is sent on near comes to far.
const (
	tap  = "tap"
	near = "near"
	far  = "far"
)

// A path is a way on which tagged frames come to the process's device. What is sent on the device that
// lay returns takes it, with its tags in the frame already or added on the way.
type path struct {
	name  string
	bytes bool // the tags are in the frame already
	plain bool // it takes no frames with something left to do
	lay   func(t *testing.T, tags []tag) (source string)
}

var paths = []path{
	{name: "VLAN device", lay: func(t *testing.T, tags []tag) string { return addTags(t, tap, tags) }},
	{name: "packet socket", bytes: true, lay: func(*testing.T, []tag) string { return tap }},
	{name: "generic XDP", lay: func(t *testing.T, tags []tag) string {
		addVeth(t)
		redirectXDP(t, nl.XDP_FLAGS_SKB_MODE)
		return addTags(t, near, tags)
	}},
	{name: "native XDP", plain: true, lay: func(t *testing.T, tags []tag) string {
		addVeth(t)
		run(t, "ethtool -K near txvlan off tx-vlan-stag-hw-insert off")
		redirectXDP(t, nl.XDP_FLAGS_DRV_MODE)
		return addTags(t, near, tags)
	}},
	{name: "mirred", lay: func(t *testing.T, tags []tag) string {
		addVeth(t)
		run(t, "tc qdisc add dev far ingress")
		run(t, "tc filter add dev far ingress protocol all matchall action mirred egress redirect dev tap")
		return addTags(t, near, tags)
	}},
	{name: "bpf_redirect", lay: func(t *testing.T, tags []tag) string {
		addVeth(t)
		run(t, "tc qdisc add dev far clsact")
		redirectTC(t)
		return addTags(t, near, tags)
	}},
	{name: "bridge", lay: func(t *testing.T, tags []tag) string {
		addVeth(t)
		run(t, "ip link add bridge up type bridge mcast_snooping 0 vlan_filtering 1 vlan_protocol "+tags[0].name())
		for _, port := range []string{far, tap} {
			run(t, "ip link set "+port+" master bridge")
			run(t, "bridge vlan add dev "+port+" vid "+strconv.Itoa(int(tags[0].id)))
		}
		return addTags(t, near, tags)
	}},
}

func run(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

func addVeth(t *testing.T) {
	t.Helper()
	run(t, "ip link add near up type veth peer name far")
	device.Up(t, far)
	device.WaitCarrier(t, "near", far)
}

// addTags stacks VLAN devices on one, so that what is sent on the last has all tags, the first outermost.
func addTags(t *testing.T, name string, tags []tag) string {
	t.Helper()
	for _, tag := range tags {
		upper := name + "." + strconv.Itoa(int(tag.id))
		run(t, "ip link add link "+name+" "+upper+" up type vlan proto "+tag.name()+" id "+strconv.Itoa(int(tag.id)))
		name = upper
	}
	return name
}

func load(t *testing.T, kind ebpf.ProgramType) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "mytun_test", License: "GPL", Type: kind, Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(device.LinkOf(t, tap).Attrs().Index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}})
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	t.Cleanup(func() { program.Close() })
	return program
}

func redirectXDP(t *testing.T, mode int) {
	t.Helper()
	err := netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, far), load(t, ebpf.XDP).FD(), mode)
	if err != nil {
		t.Fatalf("XDP program on %s: %v", far, err)
	}
}

func redirectTC(t *testing.T) {
	t.Helper()
	err := netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: device.LinkOf(t, far).Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: load(t, ebpf.SchedCLS).FD(), Name: "mytun_test", DirectAction: true,
	})
	if err != nil {
		t.Fatalf("tc program on %s: %v", far, err)
	}
}
