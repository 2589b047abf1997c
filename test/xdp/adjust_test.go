// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A change is what a program does to a frame before its verdict.
type change struct {
	what string
	code asm.Instructions
	of   func(frame []byte) []byte
}

// head moves the frame's beginning, and marks the first four bytes, which are of
// the destination's address: the program's own word for where the frame is for.
func head(bytes int32) asm.Instructions {
	return concat(loadPacket(14), call(asm.FnXdpAdjustHead, bytes), reload(14),
		asm.Instructions{asm.StoreImm(asm.R2, 0, 0x00000002, asm.Word)})
}

func tail(bytes int32) asm.Instructions {
	return concat(loadPacket(14), call(asm.FnXdpAdjustTail, bytes))
}

// untag takes a VLAN tag out, as a program does that terminates VLANs.
func untag() asm.Instructions {
	return concat(loadPacket(18), asm.Instructions{
		asm.LoadMem(asm.R7, asm.R2, 0, asm.DWord),
		asm.LoadMem(asm.R8, asm.R2, 8, asm.Word),
	}, call(asm.FnXdpAdjustHead, 4), reload(14), asm.Instructions{
		asm.StoreMem(asm.R2, 0, asm.R7, asm.DWord),
		asm.StoreMem(asm.R2, 8, asm.R8, asm.Word),
	})
}

func tagged(frame []byte) []byte {
	return slices.Insert(slices.Clone(frame), 12, 0x81, 0x00, 0x00, 0x2a)
}

var marked = []byte{2, 0, 0, 0}

// Each begins with the same frame, so that the stack has a proper one in the end.
var changes = []change{
	{"shorter head", head(4), func(f []byte) []byte { return append([]byte{9, 9, 9, 9}, f...) }},
	{"longer head", head(-4), func(f []byte) []byte { return f[4:] }},
	{"shorter tail", tail(-7), func(f []byte) []byte { return append(slices.Clone(f), 1, 2, 3, 4, 5, 6, 7) }},
	{"longer tail", tail(3), func(f []byte) []byte { return f[:len(f)-3] }},
	{"untagged", untag(), tagged},
}

// TestChangedFrames: the stack, and the process, have what the program left, and
// the protocol is that of what it left.
func TestChangedFrames(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		stack, conn := newTap(t, p.Name), p.ListenUDP(t, false, hostPort)
		// the end of the longer tail is zeros
		payload := append(device.Pattern(3, 200), 0, 0, 0)
		want := p.up(payload)
		if !slices.Equal(want[:4], marked) {
			t.Fatalf("the frame begins with % x", want[:4])
		}
		for _, c := range changes {
			sent := c.of(want)
			attach(t, p.Name, load(t, concat(c.code, ending(pass))...))
			p.send(t, sent, sent)
			for range 2 {
				got, protocol := stack.receive(t)
				if !slices.Equal(got, want) || protocol != unix.ETH_P_IP {
					t.Errorf("%s: protocol %#x, %d bytes % x ..., want %d", c.what, protocol, len(got), got[:40], len(want))
				}
				device.Expect(t, conn, payload)
			}
			attach(t, p.Name, load(t, concat(c.code, ending(back))...))
			p.send(t, sent)
			p.expect(t, 1, want)
		}
	})
}

// TestHeadroom: 256 bytes in front of a frame are the program's.
func TestHeadroom(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		frame := p.up([]byte("headroom"))
		stack := newTap(t, p.Name)
		for _, c := range []struct {
			grow   int32
			passes bool
		}{{200, true}, {1000, false}} {
			attach(t, p.Name, load(t, concat(head(-c.grow), ending(pass))...))
			before := p.count(t)
			p.send(t, frame)
			if !c.passes {
				p.expectCounted(t, before, counted{taken: 1, dropped: 1})
				continue
			}
			got, _ := stack.receive(t)
			if len(got) != len(frame)+int(c.grow) || !slices.Equal(got[c.grow:], frame) {
				t.Errorf("%d bytes came", len(got))
			}
		}
	})
}

// TestMetadataReachesTheStack: what an XDP program notes of a frame, a program of
// tc can read.
func TestMetadataReachesTheStack(t *testing.T) {
	const magic = 0x1234567
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		attach(t, p.Name, load(t, concat(
			asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)},
			call(asm.FnXdpAdjustMeta, -4),
			asm.Instructions{
				asm.LoadMem(asm.R2, asm.R6, 8, asm.Word), // data_meta
				asm.LoadMem(asm.R3, asm.R6, mdData, asm.Word),
				asm.Mov.Reg(asm.R4, asm.R2),
				asm.Add.Imm(asm.R4, 4),
				asm.JGT.Reg(asm.R4, asm.R3, "short"),
				asm.StoreImm(asm.R2, 0, magic, asm.Word),
			}, ending(pass))...))
		filterIngress(t, p.Name, loadAs(t, ebpf.SchedCLS,
			asm.LoadMem(asm.R2, asm.R1, 140, asm.Word), // struct __sk_buff: data_meta
			asm.LoadMem(asm.R3, asm.R1, 76, asm.Word),  // data
			asm.Mov.Imm(asm.R0, 2),                     // TC_ACT_SHOT
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 4),
			asm.JGT.Reg(asm.R4, asm.R3, "end"),
			asm.LoadMem(asm.R5, asm.R2, 0, asm.Word),
			asm.JNE.Imm(asm.R5, magic, "end"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return().WithSymbol("end"),
		))
		conn := p.ListenUDP(t, false, hostPort)
		p.send(t, p.up([]byte("noted")))
		device.Expect(t, conn, []byte("noted"))
		// without the note it is shot
		detach(t, p.Name)
		p.send(t, p.up([]byte("not noted")))
		p.settle(t)
		expectNothing(t, conn)
	})
}

// settle waits until the process's frames have gone their way.
func (p *port) settle(t *testing.T) {
	t.Helper()
	if p.way == "ring" {
		p.Queue().Settled(t)
	}
}

// filterIngress lets a program of tc see all that a device receives.
func filterIngress(t *testing.T, name string, program *ebpf.Program) {
	t.Helper()
	index := device.LinkOf(t, name).Attrs().Index
	err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err != nil {
		t.Fatalf("clsact on %s: %v", name, err)
	}
	err = netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: "mytun_test", DirectAction: true,
	})
	if err != nil {
		t.Fatalf("program on %s: %v", name, err)
	}
}
