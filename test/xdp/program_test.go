// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func deadline() time.Time { return time.Now().Add(device.Deadline) }

// Verdicts of XDP programs.
const (
	aborted = iota
	drop
	pass
	back // XDP_TX
	redirect
	senseless = 77
)

// Offsets in struct xdp_md.
const (
	mdData    = 0
	mdDataEnd = 4
	mdQueue   = 16
)

// load loads an XDP program, until the end of the test.
func load(t *testing.T, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	return loadAs(t, ebpf.XDP, code...)
}

func loadAs(t *testing.T, kind ebpf.ProgramType, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	return loadSpec(t, &ebpf.ProgramSpec{Type: kind, Instructions: code})
}

// inParts loads an XDP program that takes frames that are not in one buffer.
func inParts(t *testing.T, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	return loadSpec(t, &ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: code, Flags: unix.BPF_F_XDP_HAS_FRAGS})
}

func loadSpec(t *testing.T, spec *ebpf.ProgramSpec) *ebpf.Program {
	t.Helper()
	spec.Name, spec.License = "mytun_test", "GPL"
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// always is a program with one verdict.
func always(t *testing.T, verdict int32) *ebpf.Program {
	t.Helper()
	return load(t, asm.Mov.Imm(asm.R0, verdict), asm.Return())
}

func tryAttach(t *testing.T, name string, p *ebpf.Program, flags int) error {
	t.Helper()
	return netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, name), p.FD(), flags)
}

// attach attaches a program natively, in place of what is there.
func attach(t *testing.T, name string, p *ebpf.Program) {
	t.Helper()
	if err := tryAttach(t, name, p, nl.XDP_FLAGS_DRV_MODE); err != nil {
		t.Fatalf("attach to %s: %v", name, err)
	}
}

func detach(t *testing.T, name string) {
	t.Helper()
	detachMode(t, name, nl.XDP_FLAGS_DRV_MODE)
}

func detachMode(t *testing.T, name string, mode int) {
	t.Helper()
	if err := netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, name), -1, mode); err != nil {
		t.Fatalf("detach from %s: %v", name, err)
	}
}

// attached is the id of the program of a device, or 0.
func attached(t *testing.T, name string) ebpf.ProgramID {
	t.Helper()
	if x := device.LinkOf(t, name).Attrs().Xdp; x != nil {
		return ebpf.ProgramID(x.ProgId)
	}
	return 0
}

func idOf(t *testing.T, p *ebpf.Program) ebpf.ProgramID {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, ok := info.ID()
	if !ok {
		t.Fatal("the kernel tells no id of a program")
	}
	return id
}

// expectFreed closes a program and waits until nobody has it any more.
func expectFreed(t *testing.T, p *ebpf.Program) {
	t.Helper()
	id := idOf(t, p)
	p.Close()
	device.WaitFor(t, "the program to go", func() bool { return !exists(t, id) })
}

func exists(t *testing.T, id ebpf.ProgramID) bool {
	t.Helper()
	p, err := ebpf.NewProgramFromID(id)
	switch {
	case err == nil:
		p.Close()
	case !errors.Is(err, os.ErrNotExist):
		t.Fatalf("program %d: %v", id, err)
	}
	return err == nil
}

// loadPacket begins a program: the context is in R6, the frame's beginning in
// R2, and from there n bytes may be used; a frame that is shorter is dropped, at
// the label "short" of ending.
func loadPacket(n int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, mdData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, mdDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, n),
		asm.JGT.Reg(asm.R4, asm.R3, "short"),
	}
}

// reload is for after a helper has moved the frame.
func reload(n int32) asm.Instructions { return loadPacket(n)[1:] }

// call calls a helper that takes the context and a number.
func call(helper asm.BuiltinFunc, number int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, number),
		helper.Call(),
		asm.JNE.Imm(asm.R0, 0, "short"),
	}
}

// ending ends a program, with a verdict or for short frames.
func ending(verdict int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R0, verdict),
		asm.Return(),
		asm.Mov.Imm(asm.R0, drop).WithSymbol("short"),
		asm.Return(),
	}
}

func concat(parts ...asm.Instructions) asm.Instructions { return slices.Concat(parts...) }

// A tap sees all that a device receives, as it is for the stack.
type tap struct{ fd int }

func newTap(t *testing.T, name string) *tap {
	t.Helper()
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.LinkOf(t, name).Attrs().Index})
	if err != nil {
		t.Fatalf("packet socket on %s: %v", name, err)
	}
	limit := unix.NsecToTimeval(int64(device.Deadline))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	return &tap{fd}
}

// receive is the next frame that came in, and its protocol.
func (c *tap) receive(t *testing.T) (frame []byte, protocol uint16) {
	t.Helper()
	b := make([]byte, 1<<17)
	for {
		var from unix.Sockaddr
		n, err := device.Restart(func() (n int, err error) {
			n, from, err = unix.Recvfrom(c.fd, b, 0)
			return n, err
		})
		if err != nil {
			t.Fatalf("no frame came to the stack: %v", err)
		}
		if ll := from.(*unix.SockaddrLinklayer); ll.Pkttype != unix.PACKET_OUTGOING {
			return b[:n], ll.Protocol>>8 | ll.Protocol<<8
		}
	}
}

// expect receives so many frames, all alike.
func (c *tap) expect(t *testing.T, n int, want []byte) {
	t.Helper()
	for i := range n {
		if got, _ := c.receive(t); !slices.Equal(got, want) {
			t.Fatalf("frame %d of %d: %d bytes % x, want %d bytes % x", i, n,
				len(got), got[:min(len(got), 64)], len(want), want[:min(len(want), 64)])
		}
	}
}

// send makes a device transmit a frame.
func (c *tap) send(t *testing.T, frame []byte) {
	t.Helper()
	if err := unix.Send(c.fd, frame, 0); err != nil {
		t.Fatalf("send %d bytes: %v", len(frame), err)
	}
}

// expectNothing makes sure that a socket has got nothing.
func expectNothing(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK)
	}); err != nil || n > 0 {
		t.Errorf("a datagram came: %d, %v", n, err)
	}
}
