// SPDX-License-Identifier: MIT

//go:build mytun_device

package faults

import (
	"bytes"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sendBack makes a device's XDP program send back all that the process writes,
// without the first four bytes.
func sendBack(t *testing.T, name string) {
	t.Helper()
	const back = 3 // XDP_TX
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, 4),
			asm.FnXdpAdjustHead.Call(),
			asm.Mov.Imm(asm.R0, back),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatalf("XDP program: %v", err)
	}
	defer p.Close()
	if err := netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, name), p.FD(), nl.XDP_FLAGS_DRV_MODE); err != nil {
		t.Fatalf("attach to %s: %v", name, err)
	}
}

// TestFrameMeetsAProgramFails sweeps the writing of a frame that a program sends
// back, natively or as an skb. It comes back whole or not at all, and the next one
// does.
func TestFrameMeetsAProgramFails(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{TAP: true, MTU: 9000})
	sendBack(t, p.Name)
	for _, size := range []int{300, 6000} {
		sent, last := device.Pattern(1, size), device.Pattern(2, 100)
		sweep(t, func() func() syscall.Errno {
			return func() syscall.Errno { return rawWrite(p.FD, sent) }
		}, func(syscall.Errno) {
			if errno := rawWrite(p.FD, last); errno != 0 {
				t.Fatalf("the next write: %v", errno)
			}
			readUntil(t, p, sent[4:], last[4:])
		}, unix.ENOBUFS, unix.EFAULT)
	}
	if s := p.Stats(t); s.TxFrames != 0 || s.TxXDP == 0 || s.TxDroppedMemory == 0 {
		t.Errorf("stats %+v", s)
	}
}

func rawWrite(fd int, b []byte) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno
}

// readUntil reads frames until the last one, which must be that or sent.
func readUntil(t *testing.T, p *device.Port, sent, last []byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	for {
		device.WaitFor(t, "a frame to read", func() bool { return p.Events(t)&unix.POLLIN != 0 })
		n, err := unix.Read(p.FD, b)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if bytes.Equal(b[:n], last) {
			return
		}
		if !bytes.Equal(b[:n], sent) {
			t.Fatalf("a frame that nobody sent: % x", b[:min(n, 64)])
		}
	}
}
