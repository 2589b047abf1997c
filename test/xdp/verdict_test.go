// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestVerdicts: alone and many in one go, each verdict does to a frame what it
// says, and the counters tell.
func TestVerdicts(t *testing.T) {
	onAll(t, silent, func(t *testing.T, p *port) {
		const frames = 5 + 120
		frame := p.up(device.Pattern(1, 300))
		stack := newTap(t, p.Name)
		for _, c := range []struct {
			verdict int32
			want    counted
		}{
			{pass, counted{passed: frames, received: frames}},
			{drop, counted{taken: frames, dropped: frames}},
			{aborted, counted{taken: frames, dropped: frames}},
			{senseless, counted{taken: frames, dropped: frames}},
			{back, counted{taken: frames, received: frames, sent: frames, sentToProcess: frames}},
			{pass, counted{passed: frames, received: frames}},
		} {
			attach(t, p.Name, always(t, c.verdict))
			before := p.count(t)
			for range 5 {
				p.send(t, frame)
			}
			p.send(t, slices.Repeat([][]byte{frame}, 120)...)
			switch c.verdict {
			case pass:
				stack.expect(t, frames, frame)
			case back:
				p.expect(t, frames, frame)
			}
			p.expectCounted(t, before, c.want)
		}
		detach(t, p.Name)
		p.send(t, frame)
		stack.expect(t, 1, frame)
	})
}

// TestVerdictsWithinABatch: a program that looks at each frame takes those apart
// that came together, and their order stays.
func TestVerdictsWithinABatch(t *testing.T) {
	onAll(t, silent, func(t *testing.T, p *port) {
		// the last byte of the source address is the verdict
		attach(t, p.Name, load(t, concat(loadPacket(14), asm.Instructions{
			asm.LoadMem(asm.R0, asm.R2, 11, asm.Byte),
			asm.Return(),
		}, ending(drop)[2:])...))
		stack := newTap(t, p.Name)
		var frames, passed, returned [][]byte
		for i := range 90 {
			frame := p.up(device.Pattern(uint64(i), i))
			frame[11] = byte(i % 4)
			frames = append(frames, frame)
			switch frame[11] {
			case pass:
				passed = append(passed, frame)
			case back:
				returned = append(returned, frame)
			}
		}
		before := p.count(t)
		p.send(t, frames...)
		for _, frame := range passed {
			stack.expect(t, 1, frame)
		}
		for _, frame := range returned {
			p.expect(t, 1, frame)
		}
		p.expectCounted(t, before, counted{
			passed: 22, taken: 68, received: 44, dropped: 46, sent: 22, sentToProcess: 22,
		})
	})
}

func TestProgramKnowsTheQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Queues: 3})
	p := &port{Link: l, file: l.Queue().File, way: "ring"}
	attach(t, p.Name, load(t,
		asm.LoadMem(asm.R2, asm.R1, mdQueue, asm.Word),
		asm.Mov.Imm(asm.R0, pass),
		asm.JNE.Imm(asm.R2, 1, "other"),
		asm.Mov.Imm(asm.R0, drop),
		asm.Return().WithSymbol("other"),
	))
	frame := p.up([]byte("whose"))
	for _, q := range l.Queues {
		q.Send(t, frame)
		q.WaitTaken(t)
	}
	for i, want := range []uint64{1, 0, 1} {
		device.WaitFor(t, "the verdicts", func() bool {
			s := l.Queues[i].Stats(t)
			return s.TxFrames == want && s.TxXDP == 1-want
		})
	}
	// another file in the place of one that has gone
	l.Queues[1].Unmap()
	l.Queues[1].Close()
	l.Queues[1] = device.NewQueue(t, l.Name, l.Flags, device.RingSizeMin, device.RingSizeMin)
	l.Queues[1].Send(t, frame)
	device.WaitFor(t, "the verdict", func() bool { return l.Queues[1].Stats(t).TxXDP == 1 })
}

// TestParkedQueueMeetsTheProgram: it sends on, and gets nothing back.
func TestParkedQueueMeetsTheProgram(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Queues: 2})
	p := &port{Link: l, file: l.Queue().File, way: "ring"}
	p.file.SetQueue(t, unix.IFF_DETACH_QUEUE)
	attach(t, p.Name, always(t, back))
	frame := p.up([]byte("parked"))
	p.send(t, frame, frame)
	for range 2 {
		if _, got := l.Queues[1].Receive(t, nil); !slices.Equal(got, frame) {
			t.Errorf("got % x", got)
		}
	}
	if n := p.file.Stats(t).RxFrames; n != 0 {
		t.Errorf("%d frames came to a parked queue", n)
	}
}

// TestDeviceThatIsDownRunsNoProgram: such frames are lost as they are without one.
func TestDeviceThatIsDownRunsNoProgram(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		attach(t, p.Name, always(t, back))
		device.Down(t, p.Name)
		frame := p.up([]byte("down"))
		if p.way == "ring" {
			p.send(t, frame)
		} else {
			b := frame
			if p.way == "batch" {
				b = device.Record(device.Header{Length: uint32(len(frame))}, frame)
			}
			if _, err := unix.Write(p.file.FD, b); err != unix.EIO {
				t.Errorf("write: %v, want %v", err, unix.EIO)
			}
		}
		device.WaitFor(t, "the frame to be dropped", func() bool { return p.file.Stats(t).TxDroppedDown == 1 })
		device.Up(t, p.Name)
		p.send(t, frame)
		p.expect(t, 1, frame)
	})
}

func TestNoOffload(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{})
	const hardware = 1 << 3
	if err := tryAttach(t, p.Name, always(t, drop), hardware); err != unix.EINVAL {
		t.Errorf("attach to hardware: %v, want %v", err, unix.EINVAL)
	}
}

// TestTunDevicesHaveGenericXDPAlone: there are no Ethernet headers for programs
// to expect.
func TestTunDevicesHaveGenericXDPAlone(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	p := always(t, drop)
	if err := tryAttach(t, l.Name, p, nl.XDP_FLAGS_DRV_MODE); err != unix.EOPNOTSUPP {
		t.Errorf("attach natively: %v, want %v", err, unix.EOPNOTSUPP)
	}
	if err := tryAttach(t, l.Name, p, nl.XDP_FLAGS_SKB_MODE); err != nil {
		t.Fatalf("attach generically: %v", err)
	}
	conn := l.ListenUDP(t, false, hostPort)
	send := func(text string) {
		l.Queue().Send(t, l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte(text)}))
		device.WaitFor(t, "the stack to have it", func() bool { return l.Queue().Stats(t).TxFrames > 0 })
	}
	send("dropped")
	l.Queue().Settled(t)
	if err := netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, l.Name), -1, nl.XDP_FLAGS_SKB_MODE); err != nil {
		t.Fatal(err)
	}
	send("passed")
	device.Expect(t, conn, []byte("passed"))
}
