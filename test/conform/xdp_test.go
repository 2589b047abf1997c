// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const xdpHardware = 1 << 3 // XDP_FLAGS_HW_MODE

// xdpProgram loads an XDP program with one verdict, which takes some bytes from
// the beginning of a frame before, until the end of the test.
func (w *world) xdpProgram(verdict, head int32) int {
	w.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, head),
			asm.FnXdpAdjustHead.Call(),
			asm.Mov.Imm(asm.R0, verdict),
			asm.Return(),
		},
	})
	if err != nil {
		w.Fatalf("XDP program: %v", err)
	}
	w.Cleanup(func() { p.Close() })
	return p.FD()
}

// xdp gives a device an XDP program, or takes it away.
func (w *world) xdp(what string, fd, flags int) {
	w.Helper()
	w.log(what, "%s", outcome(netlink.LinkSetXdpFdWithFlags(device.LinkOf(w, "conf"), fd, flags)))
	attached := false
	if x := device.LinkOf(w, "conf").Attrs().Xdp; x != nil {
		attached = x.Attached
	}
	w.log(what+", shown", "%v", attached)
}

// exchange writes a frame, and records what comes back and what was counted.
func (f *file) exchange(what string, parts ...[]byte) {
	before := device.Counters(f.w, "conf")
	f.write(what, parts...)
	b := make([]byte, 70000)
	n, err := unix.Read(f.fd, b)
	f.log(what+", read", "%s, %x", result(n, err), b[:max(n, 0)])
	c := device.Counters(f.w, "conf")
	f.log(what+", counted", "rx %d of %d bytes, errors %d, dropped %d; tx %d of %d bytes, dropped %d",
		c.RxPackets-before.RxPackets, c.RxBytes-before.RxBytes, c.RxErrors-before.RxErrors, c.RxDropped-before.RxDropped,
		c.TxPackets-before.TxPackets, c.TxBytes-before.TxBytes, c.TxDropped-before.TxDropped)
}

func TestXDPModes(t *testing.T) {
	compare(t, "xdp-mode", onEachKind(func(w *world, _ *file) {
		fd := w.xdpProgram(1, 0)
		for _, c := range []struct {
			what  string
			flags int
		}{
			{"any", 0}, {"native", nl.XDP_FLAGS_DRV_MODE}, {"generic", nl.XDP_FLAGS_SKB_MODE},
			{"hardware", xdpHardware}, {"native and generic", nl.XDP_FLAGS_DRV_MODE | nl.XDP_FLAGS_SKB_MODE},
			{"unknown", 1 << 20},
		} {
			w.xdp("attach "+c.what, fd, c.flags)
			w.xdp("attach "+c.what+" again", fd, c.flags|nl.XDP_FLAGS_UPDATE_IF_NOEXIST)
			w.xdp("detach "+c.what, -1, c.flags)
			w.xdp("detach "+c.what+" again", -1, c.flags)
		}
	}))
}

// TestXDPVerdicts: the first frame is one that a program meets natively, a larger
// one and those that are not finished are met as skbs.
func TestXDPVerdicts(t *testing.T) {
	small, large := frame(device.TAP, 200), frame(device.TAP, 9000)
	plain := make([]byte, 10)
	needsCsum := []byte{device.VnetNeedsCsum, 0, 34, 0, 0, 0, 34, 0, 6, 0}
	gso := []byte{device.VnetNeedsCsum, device.GSOTCPv4, 54, 0, 100, 0, 34, 0, 16, 0}
	malformed := []byte{device.VnetNeedsCsum, 0, 0, 0, 0, 0, 0xff, 0xff, 6, 0}
	var scenarios []scenario
	product([]int32{0, 1, 2, 3, 4, 77}, []int32{0, 4}, func(verdict, head int32) {
		scenarios = append(scenarios, scenario{fmt.Sprintf("verdict %d head %d", verdict, head), func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TAP|device.Vnet)
			device.Up(w, "conf")
			w.xdp("attach", w.xdpProgram(verdict, head), nl.XDP_FLAGS_DRV_MODE)
			for _, c := range []struct {
				what          string
				header, frame []byte
			}{
				{"small", plain, small}, {"large", plain, large}, {"unfinished", needsCsum, small}, {"super", gso, large},
				{"malformed", malformed, small}, {"short", plain, small[:13]}, {"shortest", plain, small[:14]},
			} {
				f.exchange(c.what, c.header, c.frame)
			}
			device.Down(w, "conf")
			f.exchange("down", plain, small)
			w.xdp("detach", -1, nl.XDP_FLAGS_DRV_MODE)
			f.exchange("down without one", plain, small)
			device.Up(w, "conf")
			f.exchange("without one", plain, small)
		}})
	})
	compare(t, "xdp", scenarios)
}
