// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// innerIP is where the inner packet begins, of VXLAN over IPv4 on a TUN device.
const innerIP = 20 + device.TunnelHeaders

// TestSuperPacketsThatWereChangedOnTheWay: a program between the tunnel and the device may make a super-packet what nobody could
// cut up. It is dropped, and counts; what is changed elsewhere comes.
func TestSuperPacketsThatWereChangedOnTheWay(t *testing.T) {
	for _, c := range []struct {
		what  string
		at    int32
		value uint8
		comes bool
	}{
		{"time to live", 8, 3, true},
		{"inner time to live", innerIP + 8, 3, true},
		{"outer protocol", ipv4Protocol, experimental, false},
		{"outer header a fragment's", 6, 0x20, false},
		{"inner version", innerIP, 0x55, false},
		{"inner header longer", innerIP, 0x46, false},
		{"inner header a fragment's", innerIP + 6, 0x20, false},
		{"inner protocol", innerIP + ipv4Protocol, unix.IPPROTO_TCP, false},
	} {
		for _, way := range device.Ways[1:] {
			t.Run(c.what+", "+way.Name, func(t *testing.T) {
				device.Sandbox(t)
				end := way.Open(t, device.Config{Flags: device.Vnet, Offloads: device.OffloadTunnels | device.OffloadUSO})
				s := newSource(t, end.Device(), device.Tunnel{Checksum: true})
				change(t, end.Device().Name, c.at, c.value)
				before := device.Counters(t, end.Device().Name)
				s.send(t)
				sendMarker(t, end.Device())
				supers := uint64(takeToMarker(t, end))
				after := device.Counters(t, end.Device().Name)
				want := map[bool]uint64{true: 1}[c.comes]
				if dropped := after.TxDropped - before.TxDropped; supers != want || dropped != 1-want {
					t.Errorf("%d super-packets came, %d frames were dropped, want %d and %d", supers, dropped, want, 1-want)
				}
				if sent := after.TxPackets - before.TxPackets; sent != want+1 {
					t.Errorf("%d frames count as sent, want %d", sent, want+1)
				}
			})
		}
	}
}

// takeToMarker takes frames until the marker comes, and tells how many super-packets in tunnels were before it.
func takeToMarker(t *testing.T, end device.End) (supers int) {
	t.Helper()
	device.WaitFor(t, "the datagram behind the super-packet", func() bool {
		for _, f := range end.Take() {
			if f.Vnet.GSOType != device.GSONone {
				supers++
			}
			if bytes.HasSuffix(f.Data, marker) {
				return true
			}
		}
		return false
	})
	return supers
}

// change has a byte of each super-packet replaced that the stack sends on a device.
func change(t *testing.T, name string, at int32, value uint8) {
	t.Helper()
	const lengthInContext = 0 // of struct __sk_buff
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "mytun_test", License: "GPL", Type: ebpf.SchedCLS, Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, lengthInContext, asm.Word),
		asm.JLT.Imm(asm.R2, batch, "end"),
		asm.StoreImm(asm.RFP, -8, int64(value), asm.Byte),
		asm.Mov.Imm(asm.R2, at),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 1),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("end"), // TC_ACT_UNSPEC: goes on
		asm.Return(),
	}})
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	defer program.Close()
	link := device.LinkOf(t, name).Attrs().Index
	clsact := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact",
	}
	if err := netlink.QdiscAdd(clsact); err != nil {
		t.Fatalf("clsact on %s: %v", name, err)
	}
	err = netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: link, Parent: netlink.HANDLE_MIN_EGRESS, Protocol: unix.ETH_P_ALL, Priority: 1},
		Fd:          program.FD(), Name: "mytun_test", DirectAction: true,
	})
	if err != nil {
		t.Fatalf("program on %s: %v", name, err)
	}
}
