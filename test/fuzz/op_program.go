// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// eBPF programs, which the owner of the device gives it.

// withProgram lends a program to somebody who keeps it.
func withProgram(kind ebpf.ProgramType, code asm.Instructions, f func(fd int) error) error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "mytun_fuzz", License: "GPL", Type: kind, Instructions: code})
	if err != nil {
		return err
	}
	defer p.Close()
	return f(p.FD())
}

var programRequests = map[string]uint{"steering": unix.TUNSETSTEERINGEBPF, "filter": unix.TUNSETFILTEREBPF}

// program lets a program choose a queue, or what is left of a frame: a number, or
// the frame's length.
func (w *world) program(_ *thread, a []uint64) error {
	code := asm.Instructions{asm.Mov.Imm(asm.R0, int32(a[2])), asm.Return()}
	if a[2] == 0 {
		code[0] = asm.LoadMem(asm.R0, asm.R1, 0, asm.Word)
	}
	return withProgram(ebpf.SocketFilter, code, func(fd int) error {
		return fileOf(a[0]).SetInt(programRequests[programs[a[1]]], fd)
	})
}

func (w *world) unprogram(_ *thread, a []uint64) error {
	return fileOf(a[0]).SetInt(programRequests[programs[a[1]]], -1)
}

// Helpers that move an end of the frame, and by what sign it becomes more.
var (
	movers = map[string]asm.BuiltinFunc{"head": asm.FnXdpAdjustHead, "tail": asm.FnXdpAdjustTail, "meta": asm.FnXdpAdjustMeta}
	signs  = map[string]int32{"head": -1, "tail": 1, "meta": -1}
)

// Verdicts in the order of their names, and one that there is not.
var verdictNumbers = [...]int32{0, 1, 2, 3, 4, 77}

// xdp gives an interface a program that changes the frame's ends and says what
// is to become of it.
func (w *world) xdp(_ *thread, a []uint64) error {
	link, err := netlink.LinkByName(devices[a[0]])
	if err != nil {
		return err
	}
	code := slices.Concat(asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}, move(shapes[a[1]], directions[a[2]], int32(a[3])), verdict(a[4], other(a[0])))
	return withProgram(ebpf.XDP, code, func(fd int) error {
		return netlink.LinkSetXdpFdWithFlags(link, fd, [...]int{nl.XDP_FLAGS_DRV_MODE, nl.XDP_FLAGS_SKB_MODE, 0}[a[5]])
	})
}

// other is the index of the other interface, or of none.
func other(name uint64) int {
	link, err := netlink.LinkByName(devices[1-name])
	if err != nil {
		return 0
	}
	return link.Attrs().Index
}

func move(shape, direction string, by int32) asm.Instructions {
	if shape == "as_is" {
		return nil
	}
	by *= signs[shape]
	if direction == "less" {
		by = -by
	}
	return asm.Instructions{asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, by), movers[shape].Call()}
}

func verdict(which uint64, index int) asm.Instructions {
	if verdicts[which] != "redirect" {
		return asm.Instructions{asm.Mov.Imm(asm.R0, verdictNumbers[which]), asm.Return()}
	}
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return(),
	}
}

func (w *world) unxdp(t *thread, a []uint64) error {
	return netlink.LinkSetXdpFd(device.LinkOf(t, devices[a[0]]), -1)
}
