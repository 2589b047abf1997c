// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	device.Main(m, map[string]func(testing.TB){"device": child})
}

// TestProgramIsFreed: on detaching, and when another takes its place.
func TestProgramIsFreed(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		first, second := always(t, drop), always(t, pass)
		attach(t, p.Name, first)
		if got := attached(t, p.Name); got != idOf(t, first) {
			t.Errorf("program %d is attached, want %d", got, idOf(t, first))
		}
		p.send(t, p.up([]byte("dropped")))
		p.settle(t)
		attach(t, p.Name, second)
		expectFreed(t, first)
		p.send(t, p.up([]byte("passed")))
		p.settle(t)
		detach(t, p.Name)
		if got := attached(t, p.Name); got != 0 {
			t.Errorf("program %d is attached", got)
		}
		expectFreed(t, second)
	})
}

// TestProgramGoesWithItsDevice: when the last file is closed, or it is deleted.
func TestProgramGoesWithItsDevice(t *testing.T) {
	for _, end := range []string{"closed", "deleted"} {
		t.Run(end, func(t *testing.T) {
			onAll(t, device.Config{}, func(t *testing.T, p *port) {
				program := always(t, back)
				attach(t, p.Name, program)
				p.send(t, p.up([]byte("back")))
				p.receive(t)
				if end == "closed" {
					for _, q := range p.Queues {
						q.Unmap()
					}
					p.file.Close()
				} else {
					device.Delete(t, p.Name)
				}
				device.WaitGone(t, p.Name)
				expectFreed(t, program)
			})
		})
	}
}

// TestLinkGoesWithItsDevice: a program that is held by a file descriptor of bpf(2).
func TestLinkGoesWithItsDevice(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{})
	program := always(t, drop)
	l, err := link.AttachXDP(link.XDPOptions{
		Program: program, Interface: device.LinkOf(t, p.Name).Attrs().Index, Flags: link.XDPDriverMode,
	})
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	defer l.Close()
	p.send(t, p.up([]byte("dropped")))
	device.WaitFor(t, "the frame to be taken", func() bool { return p.file.Stats(t).TxXDP == 1 })
	device.Delete(t, p.Name)
	if err := l.Update(always(t, pass)); err == nil {
		t.Error("a link to a device that is gone can be changed")
	}
	l.Close()
	expectFreed(t, program)
}

// TestProgramStaysWithAPersistentDevice: for the process that comes next.
func TestProgramStaysWithAPersistentDevice(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "write", device.Config{Name: "mypersist0"})
	p.file.SetPersist(t, true)
	program := always(t, back)
	attach(t, p.Name, program)
	p.file.Close()
	f := device.OpenNode(t, device.Node, unix.O_NONBLOCK)
	f.Attach(t, p.Name, p.Flags)
	p.file = f
	frame := p.up([]byte("still"))
	p.send(t, frame)
	p.expect(t, 1, frame)
	f.SetPersist(t, false)
	f.Close()
	device.WaitGone(t, p.Name)
	expectFreed(t, program)
}

// child is a process with a device, which sends without end.
func child(t testing.TB) {
	l := device.NewLink(t, device.Config{TAP: true, Name: "mychild0"})
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: device.Pattern(1, 500)})
	println := func(s string) { unix.Write(1, []byte(s+"\n")) }
	println("ready")
	for {
		l.Queue().Send(t, frame)
		for h, _, ok := l.Queue().Peek(); ok; h, _, ok = l.Queue().Peek() {
			l.Queue().Next(h)
		}
		l.Queue().Release()
	}
}

// TestProcessDiesWithAProgram that meets its frames, at any instruction.
func TestProcessDiesWithAProgram(t *testing.T) {
	device.Sandbox(t)
	newVeth(t)
	for _, program := range []*ebpf.Program{
		always(t, drop), always(t, pass), always(t, back), redirectTo(t, near),
	} {
		c := device.StartChild(t, "device", 0)
		c.ExpectLine(t, "ready")
		attach(t, "mychild0", program)
		received := func() uint64 { n := device.Counters(t, "mychild0"); return n.RxPackets + n.RxDropped }
		before := received()
		device.WaitFor(t, "traffic", func() bool { return received() > before+200 })
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		device.WaitGone(t, "mychild0")
		expectFreed(t, program)
	}
}

// TestProgramsChangeUnderTraffic: each frame meets one of them or none, and is
// passed or dropped, and none is lost.
func TestProgramsChangeUnderTraffic(t *testing.T) {
	onAll(t, silent, func(t *testing.T, p *port) {
		programs := []*ebpf.Program{always(t, pass), always(t, drop)}
		done, sent := make(chan struct{}), make(chan uint64)
		frame := p.up(device.Pattern(1, 400))
		before := p.count(t)
		go func() {
			n := uint64(0)
			for {
				select {
				case <-done:
					sent <- n
					return
				default:
				}
				p.send(t, frame, frame, frame)
				n += 3
			}
		}()
		for i := range 24 {
			attach(t, p.Name, programs[i%2])
			if i%3 == 0 {
				detach(t, p.Name)
			}
			seen := p.file.Stats(t)
			device.WaitFor(t, "traffic", func() bool {
				s := p.file.Stats(t)
				return s.TxFrames+s.TxXDP > seen.TxFrames+seen.TxXDP
			})
		}
		close(done)
		n := <-sent
		device.WaitFor(t, "all frames to be accounted for", func() bool {
			c := p.count(t).minus(before)
			// what was copied before the program came is met as an skb, and then counts as taken alone
			asSkb := c.taken - c.dropped
			return c.passed+c.taken == n && c.received == c.passed && c.passed > 0 &&
				c.dropped > 0 && asSkb <= c.dropped && (asSkb == 0 || p.way != "ring")
		})
	})
}

// TestDeviceGoesUnderTraffic in both directions, with programs that redirect.
func TestDeviceGoesUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	newVeth(t)
	for range device.Times(5) {
		l := device.NewLink(t, device.Config{TAP: true, Queues: 2, Name: "mybusy0"})
		out, in := redirectTo(t, near), redirectTo(t, l.Name)
		attach(t, l.Name, out)
		attach(t, near, always(t, pass))
		// what goes out by the pair comes in again, and goes to the process
		attach(t, far, in)
		b := device.NewBusy(t, l)
		device.WaitFor(t, "frames to come round", func() bool { return device.Counters(t, l.Name).TxPackets > 300 })
		device.Delete(t, l.Name)
		b.Stop()
		for _, q := range l.Queues {
			q.Unmap()
			q.Close()
		}
		attach(t, far, always(t, pass))
		expectFreed(t, out)
		expectFreed(t, in)
	}
}

// TestNativeOrGeneric: one or the other, as the kernel has it.
func TestNativeOrGeneric(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{})
	program := always(t, drop)
	attach(t, p.Name, program)
	if err := tryAttach(t, p.Name, program, nl.XDP_FLAGS_SKB_MODE); err != unix.EEXIST {
		t.Errorf("attach generically too: %v, want %v", err, unix.EEXIST)
	}
	detach(t, p.Name)
	if err := tryAttach(t, p.Name, program, nl.XDP_FLAGS_SKB_MODE); err != nil {
		t.Errorf("attach generically: %v", err)
	}
}
