// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// longFrame is how long a frame is at least of which redirectChanged leaves no more than a part.
const longFrame = 120

// redirectChanged is a program that changes long frames, and sends all to a device.
func redirectChanged(t *testing.T, name string, change asm.Instructions) *ebpf.Program {
	t.Helper()
	return load(t, concat(loadPacket(longFrame), change, asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(device.LinkOf(t, name).Attrs().Index)).WithSymbol("short"),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	})...)
}

// cutElsewhere makes another device, whose program of the stack's, and not of the driver's,
// changes long frames and sends all to p: what is left to do to a frame stays so. The socket
// is the other end's.
func (p *port) cutElsewhere(t *testing.T, change asm.Instructions) *device.VnetSocket {
	t.Helper()
	newVeth(t)
	detach(t, near)
	detach(t, far)
	program := redirectChanged(t, p.Name, change)
	if err := tryAttach(t, far, program, nl.XDP_FLAGS_SKB_MODE); err != nil {
		t.Fatalf("attach to %s: %v", far, err)
	}
	return device.NewVnetSocket(t, near, 0)
}

// TestChecksumThatIsCutAwayElsewhere: a frame whose checksum is to be filled in where there is
// no frame any more. The next one comes, and its checksum is right or is still to be filled in.
func TestChecksumThatIsCutAwayElsewhere(t *testing.T) {
	for _, flags := range []uint16{0, device.Vnet} {
		for _, c := range []struct {
			what   string
			change asm.Instructions
		}{
			{"behind the end", tail(udpStart - longFrame)},
			{"just behind the end", tail(udpStart + csum - longFrame)},
			{"half behind the end", tail(udpStart + csum + 1 - longFrame)},
			{"in front of the beginning", head(udpStart + 1)},
		} {
			for _, way := range []string{"ring", "write"} {
				kind := map[uint16]string{0: "plain", device.Vnet: "IFF_VNET_HDR"}[flags]
				t.Run(kind+", "+c.what+", "+way, func(t *testing.T) {
					device.Sandbox(t)
					p := newPort(t, way, device.Config{NoAddresses: true, Flags: flags})
					p.expectCutDropped(t, p.cutElsewhere(t, c.change))
				})
			}
		}
	}
}

// expectCutDropped sends a long frame, and one that stays as it is.
func (p *port) expectCutDropped(t *testing.T, other *device.VnetSocket) {
	t.Helper()
	long := p.up(make([]byte, longFrame-len(p.up(nil))))
	before := p.count(t)
	other.Send(t, device.VnetFrame{Vnet: unfinished(), Data: partial(long)})
	if p.way != "ring" {
		p.expectNoFrame(t)
	}
	p.expectCounted(t, before, counted{unsent: 1})
	whole := p.up([]byte("whole"))
	other.Send(t, device.VnetFrame{Vnet: unfinished(), Data: partial(whole)})
	v, got := p.receive(t)
	if p.hasVnet() {
		if len(got) != len(whole) || v.Flags != device.VnetNeedsCsum || v.CsumStart != udpStart || v.CsumOffset != csum {
			t.Fatalf("%d bytes came, %+v", len(got), v)
		}
		v.FillChecksum(got)
	}
	if !slices.Equal(got, whole) {
		t.Errorf("% x came, want % x", got, whole)
	}
	p.expectCounted(t, before, counted{sent: 1, sentToProcess: 1, unsent: 1})
}

// expectNoFrame reads what waits, of which nothing comes to the process.
func (p *port) expectNoFrame(t *testing.T) {
	t.Helper()
	device.WaitFor(t, "a frame to wait", func() bool { return p.waiting(t) })
	if n, err := unix.Read(p.file.FD, make([]byte, 1<<17)); err != unix.EAGAIN {
		t.Errorf("read: %d, %v, want EAGAIN", n, err)
	}
}
