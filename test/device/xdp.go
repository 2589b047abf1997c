// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// PassAll attaches an XDP program to a device, natively, that lets all frames pass:
// what it meets is laid out as for any program.
func PassAll(t testing.TB, name string) {
	t.Helper()
	const pass = 2 // XDP_PASS
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mytun_test", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	if err != nil {
		t.Fatalf("XDP program: %v", err)
	}
	defer p.Close() // the device keeps it
	if err := netlink.LinkSetXdpFdWithFlags(LinkOf(t, name), p.FD(), nl.XDP_FLAGS_DRV_MODE); err != nil {
		t.Fatalf("attach an XDP program to %s: %v", name, err)
	}
}
