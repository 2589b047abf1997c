// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// send gives the device a datagram for a port of the process.
func send(t *testing.T, l *device.Link, port int, text string) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	if _, err := conn.WriteToUDPAddrPort([]byte(text), l.PeerAddr(false, port)); err != nil {
		t.Fatal(err)
	}
}

// dropped is how many frames the device dropped on their way to the process.
func dropped(t *testing.T, l *device.Link) uint64 {
	t.Helper()
	return device.Counters(t, l.Name).TxDropped
}

func anyFrame(device.Header, []byte) bool { return true }

func attachFilter(t *testing.T, f *device.File, filter ...unix.SockFilter) {
	t.Helper()
	if err := f.TryAttachFilter(filter); err != nil {
		t.Fatalf("TUNATTACHFILTER: %v", err)
	}
}

func TestFilterCutsWhatComesInTheRing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true})
	attachFilter(t, l.Queue().File, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 20})
	send(t, l, 7, "a datagram")
	h, frame := l.Queue().Receive(t, anyFrame)
	if h.Length != 20 || !slices.Equal(frame[:6], l.PeerMAC) {
		t.Errorf("%d bytes came: %x", h.Length, frame)
	}
	if err := device.IoctlValue(l.Queue().FD, unix.TUNDETACHFILTER, 0); err != nil {
		t.Fatalf("TUNDETACHFILTER: %v", err)
	}
	send(t, l, 8, "whole")
	l.Queue().Receive(t, l.To(8))
}

// TestFilterDoesNotCutAChecksumThatIsToBeFilledIn: such a frame would tell the
// process of bytes that it has not got.
func TestFilterDoesNotCutAChecksumThatIsToBeFilledIn(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Flags: device.Vnet})
	l.Queue().SetOffload(t, device.OffloadCsum)
	attachFilter(t, l.Queue().File, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 36})
	before := dropped(t, l)
	send(t, l, 7, "a datagram")
	if got := dropped(t, l) - before; got != 1 {
		t.Errorf("%d frames dropped, want 1", got)
	}
	if frames := l.Queue().Stats(t).RxFrames; frames != 0 {
		t.Errorf("%d frames came", frames)
	}
}

// program loads an eBPF program that returns a number.
func program(t *testing.T, number int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, number), asm.Return()},
	})
	if err != nil {
		t.Fatalf("eBPF program: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func setProgram(t *testing.T, f *device.File, request uint, fd int) {
	t.Helper()
	b := []byte{byte(fd), byte(fd >> 8), byte(fd >> 16), byte(fd >> 24)}
	if err := device.Ioctl(f.FD, request, b); err != nil {
		t.Fatalf("ioctl %#x of eBPF program %d: %v", request, fd, err)
	}
}

func TestProgramChoosesTheQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 3})
	for _, number := range []int32{2, 0, 1, 3*1000 + 1} {
		p := program(t, number)
		setProgram(t, l.Queue().File, unix.TUNSETSTEERINGEBPF, p.FD())
		// the device has a reference of its own
		p.Close()
		for port := 1000; port < 1008; port++ {
			send(t, l, port, "steered")
			l.Queues[number%3].Receive(t, l.To(port))
		}
	}
	setProgram(t, l.Queue().File, unix.TUNSETSTEERINGEBPF, -1)
}

func TestProgramDropsAndCuts(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	before := dropped(t, l)
	setProgram(t, l.Queue().File, unix.TUNSETFILTEREBPF, program(t, 0).FD())
	send(t, l, 7, "dropped")
	if got := dropped(t, l) - before; got != 1 {
		t.Errorf("%d frames dropped, want 1", got)
	}
	setProgram(t, l.Queue().File, unix.TUNSETFILTEREBPF, program(t, 24).FD())
	send(t, l, 8, "cut")
	if h, _ := l.Queue().Receive(t, anyFrame); h.Length != 24 {
		t.Errorf("%d bytes came, want 24", h.Length)
	}
	setProgram(t, l.Queue().File, unix.TUNSETFILTEREBPF, -1)
	send(t, l, 9, "whole")
	l.Queue().Receive(t, l.To(9))
}

func TestDetachedQueueGetsNoFramesAndSendsOn(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	conn := l.ListenUDP(t, false, 7000)
	first, second := l.Queues[0], l.Queues[1]
	second.SetQueue(t, unix.IFF_DETACH_QUEUE)
	for port := 1000; port < 1016; port++ {
		send(t, l, port, "elsewhere")
		first.Receive(t, l.To(port))
	}
	second.Send(t, l.Frame(false, device.Datagram{SrcPort: 9, DstPort: 7000, Payload: []byte("still here")}))
	receive(t, conn, "still here")

	first.SetQueue(t, unix.IFF_DETACH_QUEUE)
	before := dropped(t, l)
	send(t, l, 7, "nobody")
	if got := dropped(t, l) - before; got != 1 {
		t.Errorf("%d frames dropped with all queues detached, want 1", got)
	}
	second.SetQueue(t, unix.IFF_ATTACH_QUEUE)
	send(t, l, 8, "back")
	second.Receive(t, l.To(8))
	if frames := second.Stats(t).RxFrames; frames != 1 {
		t.Errorf("%d frames came to the queue that had been detached, want 1", frames)
	}
}

// TestDeviceGoesWithADetachedQueue: whichever of the two goes first.
func TestDeviceGoesWithADetachedQueue(t *testing.T) {
	device.Sandbox(t)
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		l := device.NewLink(t, device.Config{Queues: 2})
		l.Queues[1].SetQueue(t, unix.IFF_DETACH_QUEUE)
		for i, index := range order {
			if !device.LinkExists(l.Name) {
				t.Fatalf("no device with %d queues left", 2-i)
			}
			// a mapping would keep the file open
			l.Queues[index].Unmap()
			l.Queues[index].Close()
		}
		if device.LinkExists(l.Name) {
			t.Error("the device outlives its queues")
		}
	}
}

// TestFilterStaysWithItsDevice: a file that goes on to another device has none.
func TestFilterStaysWithItsDevice(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	device.Delete(t, filtered(t, f))
	f.Attach(t, "", unix.IFF_TAP)
	if flags := device.IfreqFlags(getiff(t, f)); flags&unix.IFF_NOFILTER == 0 {
		t.Errorf("flags %#x: the file is still filtered", flags)
	}
}

// filtered attaches a file to a device with a filter.
func filtered(t *testing.T, f *device.File) string {
	t.Helper()
	name := f.Attach(t, "", unix.IFF_TAP)
	attachFilter(t, f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K})
	if flags := device.IfreqFlags(getiff(t, f)); flags&unix.IFF_NOFILTER != 0 {
		t.Errorf("flags %#x: the file is not filtered", flags)
	}
	return name
}
