// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	near = "myveth0"
	far  = "myveth1"
)

// newVeth makes a pair of devices in the namespace, both up. A program on each
// lets the other take frames of programs.
func newVeth(t *testing.T) {
	t.Helper()
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far})
	if err != nil {
		t.Fatalf("add a veth pair: %v", err)
	}
	for _, name := range []string{near, far} {
		device.Up(t, name)
		attach(t, name, always(t, pass))
	}
	device.WaitCarrier(t, near, far)
}

// redirectTo is a program that sends everything to a device.
func redirectTo(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	return load(t,
		asm.Mov.Imm(asm.R1, int32(device.LinkOf(t, name).Attrs().Index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	)
}

// redirectBy is a program that sends everything where a map's first entry says.
func redirectBy(t *testing.T, kind ebpf.MapType, value uint32) *ebpf.Program {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatalf("map of kind %v: %v", kind, err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Put(uint32(0), value); err != nil {
		t.Fatalf("entry of a map of kind %v: %v", kind, err)
	}
	return load(t,
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
}

// TestRedirectToAnotherDevice: by its number and by a map, few and many.
func TestRedirectToAnotherDevice(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		newVeth(t)
		other := newTap(t, far)
		frame := p.up(device.Pattern(1, 900))
		for _, program := range []*ebpf.Program{
			redirectTo(t, near),
			redirectBy(t, ebpf.DevMap, uint32(device.LinkOf(t, near).Attrs().Index)),
		} {
			attach(t, p.Name, program)
			before := p.count(t)
			for _, n := range []int{1, 1, 15, 16, 17, 100} {
				p.send(t, slices.Repeat([][]byte{frame}, n)...)
				other.expect(t, n, frame)
			}
			p.expectCounted(t, before, counted{taken: 150, received: 150})
		}
	})
}

// TestRedirectToNowhere: the frames are dropped, and those of another verdict are not.
func TestRedirectToNowhere(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		attach(t, p.Name, load(t,
			asm.Mov.Imm(asm.R1, 0x7fffff),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		))
		before := p.count(t)
		frame := p.up([]byte("nowhere"))
		p.send(t, frame, frame, frame)
		p.expectCounted(t, before, counted{taken: 3, dropped: 3})
		attach(t, p.Name, always(t, back))
		p.send(t, frame)
		p.expect(t, 1, frame)
	})
}

// TestRedirectToACPU: another thread of the kernel gives the frames to the stack.
func TestRedirectToACPU(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		const room = 192 // frames that a CPU's queue has room for
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		for cpu := range uint32(2) {
			if err := m.Put(cpu, uint32(room)); err != nil {
				t.Skipf("no second processor: %v", err)
			}
		}
		conn := p.ListenUDP(t, false, hostPort)
		frame := p.up([]byte("elsewhere"))
		for cpu := range int32(2) {
			attach(t, p.Name, load(t,
				asm.LoadMapPtr(asm.R1, m.FD()),
				asm.Mov.Imm(asm.R2, cpu),
				asm.Mov.Imm(asm.R3, 0),
				asm.FnRedirectMap.Call(),
				asm.Return(),
			))
			before := p.count(t)
			p.send(t, slices.Repeat([][]byte{frame}, 40)...)
			for range 40 {
				device.Expect(t, conn, []byte("elsewhere"))
			}
			p.expectCounted(t, before, counted{taken: 40, received: 40})
		}
	})
}

// TestRedirectToTheProcess: frames that another device receives go past the stack,
// few and many, by the device's number and by a map.
func TestRedirectToTheProcess(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		newVeth(t)
		other := newTap(t, near)
		for _, program := range []*ebpf.Program{
			redirectTo(t, p.Name),
			redirectBy(t, ebpf.DevMap, uint32(device.LinkOf(t, p.Name).Attrs().Index)),
		} {
			attach(t, far, program)
			before := p.count(t)
			for i := range 200 {
				frame := p.up(device.Pattern(uint64(i), 5*i))
				other.send(t, frame)
				// one by one, and then with some on their way
				if i < 20 || i%25 == 24 {
					p.expectUntil(t, frame)
				}
			}
			p.expectCounted(t, before, counted{sent: 200, sentToProcess: 200})
		}
	})
}

// TestFramesInPartsComeOutWhole: such as a jumbo frame is on its way through a
// program that can take it in parts. Older kernels redirect none that is.
func TestFramesInPartsComeOutWhole(t *testing.T) {
	onAll(t, device.Config{MTU: 9000}, func(t *testing.T, p *port) {
		newVeth(t)
		// a program that can't keeps the MTU low
		detach(t, near)
		detach(t, far)
		for _, name := range []string{near, far} {
			if err := netlink.LinkSetMTU(device.LinkOf(t, name), 9000); err != nil {
				t.Fatal(err)
			}
		}
		attach(t, far, inParts(t,
			asm.Mov.Imm(asm.R1, int32(device.LinkOf(t, p.Name).Attrs().Index)),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		))
		other, sizes := newTap(t, near), []int{100, 3000}
		if device.KernelAtLeast(t, 6, 3) {
			sizes = append(sizes, 4000, 5000, 8900)
		}
		for _, size := range sizes {
			frame := p.up(device.Pattern(uint64(size), size))
			other.send(t, frame)
			p.expect(t, 1, frame)
		}
	})
}

// expectUntil receives frames up to one, which must come.
func (p *port) expectUntil(t *testing.T, want []byte) {
	t.Helper()
	for {
		if _, got := p.receive(t); bytes.Equal(got, want) {
			return
		}
	}
}

func (p *port) waiting(t *testing.T) bool {
	t.Helper()
	if p.way == "ring" {
		_, _, ok := p.Queue().Peek()
		return ok
	}
	return p.file.Events(t)&unix.POLLIN != 0
}

// TestRedirectedFrameHasAHash: as every frame in a ring.
func TestRedirectedFrameHasAHash(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{})
	newVeth(t)
	attach(t, far, redirectTo(t, p.Name))
	other := newTap(t, near)
	var hashes [3]uint32
	for i, d := range []device.Datagram{{SrcPort: 1, DstPort: 2}, {SrcPort: 1, DstPort: 2}, {SrcPort: 3, DstPort: 4}} {
		other.send(t, p.Frame(false, d))
		h, _ := p.Queue().Receive(t, nil)
		if h.Flags != device.FrameHash || h.Vnet != (device.VnetHeader{}) {
			t.Errorf("header %+v", h)
		}
		hashes[i] = h.Hash
	}
	if hashes[0] != hashes[1] || hashes[0] == hashes[2] {
		t.Errorf("hashes %#x", hashes)
	}
}

// TestRedirectBetweenTwoDevices: from one process to another, without the stack.
func TestRedirectBetweenTwoDevices(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		q := newPort(t, "ring", device.Config{NoAddresses: true, Name: "myother0"})
		attach(t, p.Name, redirectTo(t, q.Name))
		before := q.count(t)
		frame := p.up(device.Pattern(5, 1400))
		p.send(t, slices.Repeat([][]byte{frame}, 40)...)
		q.expect(t, 40, frame)
		q.expectCounted(t, before, counted{sent: 40, sentToProcess: 40})
	})
}

// TestFiltersMeetRedirectedFrames: a process that wants only some frames gets only those.
func TestFiltersMeetRedirectedFrames(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		newVeth(t)
		attach(t, far, redirectTo(t, p.Name))
		other := newTap(t, near)
		// a frame of an even length passes
		err := p.file.TryAttachFilter([]unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
			{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 1},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 1, Jt: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 20},
			{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		})
		if err != nil {
			t.Fatalf("TUNATTACHFILTER: %v", err)
		}
		before := p.count(t)
		for i := range 20 {
			other.send(t, p.up(device.Pattern(1, 100+i)))
		}
		for i := 0; i < 20; i += 2 {
			p.expect(t, 1, p.up(device.Pattern(1, 100+i)))
		}
		p.expectCounted(t, before, counted{sent: 10, sentToProcess: 10, unsent: 10})
	})
}

// TestFullQueueDropsRedirectedFrames: as many wait as txqueuelen says, and no more.
func TestFullQueueDropsRedirectedFrames(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "write", device.Config{})
	newVeth(t)
	if err := netlink.LinkSetTxQLen(device.LinkOf(t, p.Name), 7); err != nil {
		t.Fatal(err)
	}
	attach(t, far, redirectTo(t, p.Name))
	other := newTap(t, near)
	before := p.count(t)
	for i := range 50 {
		other.send(t, p.up(device.Pattern(uint64(i), 60)))
	}
	p.expectCounted(t, before, counted{unsent: 43})
	for i := range 7 {
		p.expect(t, 1, p.up(device.Pattern(uint64(i), 60)))
	}
	other.send(t, p.up([]byte("room again")))
	p.expect(t, 1, p.up([]byte("room again")))
}

// TestFullRingDropsRedirectedFrames: what the ring has no room for waits, and the
// rest is dropped and counted. With back-pressure too: nobody would hold them.
func TestFullRingDropsRedirectedFrames(t *testing.T) {
	for _, backpressure := range []bool{false, true} {
		t.Run(map[bool]string{false: "dropping", true: "backpressure"}[backpressure], func(t *testing.T) {
			device.Sandbox(t)
			p := newPort(t, "ring", device.Config{})
			if backpressure {
				p.Queue().SetBackpressure(t, true)
			}
			newVeth(t)
			if err := netlink.LinkSetTxQLen(device.LinkOf(t, p.Name), 20); err != nil {
				t.Fatal(err)
			}
			attach(t, far, redirectTo(t, p.Name))
			other := newTap(t, near)
			const frames = 300
			before := p.count(t)
			for i := range frames {
				other.send(t, binary.BigEndian.AppendUint32(p.up(device.Pattern(1, 1200))[:1242], uint32(i)))
			}
			var now counted
			device.WaitFor(t, "every frame to be put or dropped", func() bool {
				now = p.count(t).minus(before)
				return now.unsent > 0 && now.unsent+now.sent+20 >= frames
			})
			// those that came are in order
			last, got := -1, uint64(0)
			for got < frames-now.unsent {
				_, frame := p.receive(t)
				i := int(binary.BigEndian.Uint32(frame[len(frame)-4:]))
				if i <= last {
					t.Fatalf("frame %d came after frame %d", i, last)
				}
				last, got = i, got+1
			}
			p.expectCounted(t, before, counted{sent: got, sentToProcess: got, unsent: frames - got})
		})
	}
}

// TestRedirectToADeviceWithoutProcess: the frames are lost, and harm nothing.
func TestRedirectToADeviceWithoutProcess(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "write", device.Config{Name: "mypersist0"})
	newVeth(t)
	p.file.SetPersist(t, true)
	attach(t, far, redirectTo(t, p.Name))
	other := newTap(t, near)
	frame := p.up([]byte("nobody"))
	p.file.Close()
	for range 40 {
		other.send(t, frame)
	}
	f := device.OpenNode(t, device.Node, unix.O_NONBLOCK)
	f.Attach(t, p.Name, p.Flags)
	p.file = f
	// until the last of those has gone, some may still come
	device.WaitFor(t, "a frame", func() bool {
		other.send(t, frame)
		return p.waiting(t)
	})
	p.expect(t, 1, frame)
	f.SetPersist(t, false)
}

// TestRedirectToADeviceThatIsDown: so too.
func TestRedirectToADeviceThatIsDown(t *testing.T) {
	onAll(t, device.Config{}, func(t *testing.T, p *port) {
		newVeth(t)
		attach(t, far, redirectTo(t, p.Name))
		other := newTap(t, near)
		device.Down(t, p.Name)
		before := p.count(t)
		for range 40 {
			other.send(t, p.up([]byte("down")))
		}
		device.WaitFor(t, "the other device to have them all", func() bool {
			return device.Counters(t, far).RxPackets >= 40
		})
		device.Up(t, p.Name)
		other.send(t, p.up([]byte("up")))
		p.expect(t, 1, p.up([]byte("up")))
		p.expectCounted(t, before, counted{sent: 1, sentToProcess: 1})
	})
}

// TestRedirectSparesParkedQueues: it goes by CPU among the others.
func TestRedirectSparesParkedQueues(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Queues: 3})
	newVeth(t)
	attach(t, far, redirectTo(t, l.Name))
	other := newTap(t, near)
	for _, i := range []int{0, 2} {
		l.Queues[i].SetQueue(t, unix.IFF_DETACH_QUEUE)
	}
	frame := l.Frame(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: []byte("to one")})
	for range 20 {
		other.send(t, frame)
	}
	for range 20 {
		if _, got := l.Queues[1].Receive(t, nil); !slices.Equal(got, frame) {
			t.Fatalf("got % x", got)
		}
	}
}
