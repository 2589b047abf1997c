// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/mytun/mytun/test/watch"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// lives is how many devices come and go; slowLives, where each takes many times as long
	lives     = 40
	slowLives = 10
	// measurements is how often all of it is done if others wait for too long: what
	// else the machine does shows in one of them
	measurements = 5
	// crowd is how many threads make a call of one kind at once
	crowd = 64
	// allowance is how often the longest wait beside stock tun is tolerated: by
	// what this machine is emulated on, nobody is held up for the same time twice
	allowance = 10
)

// TestEverythingAtOnce: calls of all kinds on one file, whose device comes and
// goes, with traffic. Nobody else has to wait for that for long, and nothing is
// left of it: all that was written has been received or dropped, and the file is
// freed.
func TestEverythingAtOnce(t *testing.T) {
	ns := device.Sandbox(t)
	references := device.ModuleReferences(t)
	watcher, err := watch.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	lives := lives
	if device.Slow() {
		lives = slowLives
	}
	f := device.OpenNode(t, device.Node, unix.O_NONBLOCK)
	for more := measurements; more > 0; more-- {
		everything(t, device.OpenNode(t, device.StockNode, unix.O_NONBLOCK), ns, lives/8, 0)
		stock := longest(t, watcher)
		everything(t, f, ns, lives, 1024)
		waited := longest(t, watcher)
		t.Logf("others waited for %v; beside stock tun for %v", waited, stock)
		err := waited.Beyond(watch.Bounds(stock, allowance))
		if err == nil {
			break
		}
		t.Log(err)
		if more == 1 {
			t.Errorf("so it was in each of %d measurements", measurements)
		}
	}
	checkNothingCharged(t, f)
	f.Close()
	device.WaitFor(t, "the file to be freed", func() bool { return device.ModuleReferences(t) == references })
	device.CheckWorks(t)
}

func longest(t *testing.T, w *watch.Watcher) watch.Waits {
	t.Helper()
	waits, err := w.Longest()
	if err != nil {
		t.Fatal(err)
	}
	return waits
}

// everything makes the calls while so many devices live.
func everything(t *testing.T, f *device.File, ns netns.NsHandle, lives, types int) {
	t.Helper()
	var stop atomic.Bool
	var threads sync.WaitGroup
	for _, call := range calls(f, types) {
		threads.Go(func() {
			for !stop.Load() {
				call()
			}
		})
	}
	pass := xdpPass(t)
	defer pass.Close()
	for life := range lives {
		flags := []uint16{unix.IFF_TUN, unix.IFF_TAP, device.TUN, device.TAP | device.Vnet, unix.IFF_TUN | device.Vnet}[rand.IntN(5)]
		name := f.Attach(t, "", flags)
		if rand.IntN(2) == 0 {
			netlink.LinkSetXdpFdWithFlags(device.LinkOf(t, name), pass.FD(), nl.XDP_FLAGS_DRV_MODE)
		}
		device.Up(t, name)
		if life%4 == 0 {
			storm(f)
		}
		device.Inside(t, ns, func() { flood(t, name, flags&unix.IFF_TAP != 0) })
		device.Within(t, prompt, "deleting the device", func() { device.Delete(t, name) })
	}
	stop.Store(true)
	threads.Wait()
}

// calls are what threads call again and again, until the devices are gone. Of the
// kinds of hardware, which stock tun takes all, some make the kernel write into
// what is no such hardware: so many are tried.
func calls(f *device.File, types int) []func() {
	buffers := [][]byte{make([]byte, 1<<16), make([]byte, 20), make([]byte, 3)}
	frame := append([]byte{0, 0, 8, 0}, make([]byte, 200)...)
	tun, tap := device.LinkNamed(""), device.LinkNamed("")
	tap.TAP = true
	streams := [][]byte{
		tun.Segments(false, 1000, 16), tap.Segments(false, 1000, 16),
	}
	sndbufs := []int{1, 3000, 20000, 1 << 20, math.MaxInt32}
	return []func(){
		func() { unix.Read(f.FD, buffers[rand.IntN(len(buffers))]) },
		func() { unix.Readv(f.FD, [][]byte{make([]byte, 10), make([]byte, 2000)}) },
		func() {
			b := make([]byte, len(frame))
			copy(b, frame)
			b[rand.IntN(40)] = byte(rand.Uint32())
			unix.Write(f.FD, b[:rand.IntN(len(b))])
		},
		func() {
			f.TrySetBatch(device.BatchWrite)
			unix.Write(f.FD, streams[rand.IntN(len(streams))])
		},
		func() { unix.Poll([]unix.PollFd{{Fd: int32(f.FD), Events: unix.POLLIN | unix.POLLOUT}}, 0) },
		func() {
			f.TrySetBatch(rand.Uint32N(4))
			f.SetInt(unix.TUNSETVNETHDRSZ, 10+rand.IntN(40))
			f.TryWait()
			if types > 0 {
				device.IoctlValue(f.FD, unix.TUNSETLINK, uintptr(rand.IntN(types)))
			}
		},
		func() { f.SetInt(unix.TUNSETSNDBUF, sndbufs[rand.IntN(len(sndbufs))]) },
	}
}

// storm is a crowd in one call.
func storm(f *device.File) {
	kind := rand.IntN(3)
	var threads sync.WaitGroup
	for range crowd {
		threads.Go(func() {
			switch kind {
			case 0:
				f.TrySetEventfds(device.NoEventfds)
			case 1:
				f.TryAttachFilter([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}})
			default:
				f.SetInt(unix.TUNSETFILTEREBPF, -1)
			}
		})
	}
	threads.Wait()
}

// xdpPass is a program that lets all frames pass.
func xdpPass(t *testing.T) *ebpf.Program {
	t.Helper()
	const pass = 2
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	if err != nil {
		t.Fatalf("eBPF program: %v", err)
	}
	return p
}

// checkNothingCharged finds out whether all that was written is gone: where one
// byte may be on its way, a frame can be written only if none is.
func checkNothingCharged(t *testing.T, f *device.File) {
	t.Helper()
	name := f.Attach(t, "", device.TUN)
	f.SetBatch(t, 0)
	device.Up(t, name)
	if err := f.SetInt(unix.TUNSETSNDBUF, 1); err != nil {
		t.Fatalf("TUNSETSNDBUF 1: %v", err)
	}
	frame := device.LinkNamed(name).Frame(false, device.Datagram{Payload: make([]byte, 10)})
	device.WaitFor(t, "what was written to be gone", func() bool {
		_, err := unix.Write(f.FD, frame)
		return err == nil
	})
}

const floodFrames = 200

// flood sends frames through a device, until some have been dealt with.
func flood(t *testing.T, name string, tap bool) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: device.LinkOf(t, name).Attrs().Index}
	if tap {
		to.Halen = 6
	}
	for i := range floodFrames {
		frame := make([]byte, 100)
		if to.Protocol = 0x0008; i%2 == 0 {
			to.Protocol = 0x0081 // and the rest is a tag
		}
		unix.Sendto(socket, frame, 0, to)
	}
}
