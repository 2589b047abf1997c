// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ipv4 is a packet of a protocol that nobody speaks, so that nobody answers.
func ipv4(length int) []byte {
	p := make([]byte, length)
	copy(p, []byte{0x45, 0, byte(length >> 8), byte(length), 0, 1, 0, 0, 64, 253, 0, 0, 10, 99, 0, 1, 10, 99, 0, 2})
	for i := 20; i < length; i++ {
		p[i] = byte(i)
	}
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	p[10], p[11] = byte(sum>>8), byte(sum)
	return p
}

func ipv6(length int) []byte {
	p := make([]byte, length)
	copy(p, []byte{0x60, 0, 0, 0, 0, byte(length - 40), 253, 64})
	p[8], p[24] = 0xfd, 0xfd
	return p
}

// frame is a packet as a device of that kind carries it.
func frame(set uint16, length int) []byte {
	if set&unix.IFF_TAP == 0 {
		return ipv4(length)
	}
	return append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0}, ipv4(length)...)
}

// read reads into memory that is not zero, and records what came.
func (f *file) read(sizes ...int) {
	var vector [][]byte
	for _, size := range sizes {
		vector = append(vector, bytes.Repeat([]byte{0x55}, size))
	}
	n, err := unix.Readv(f.fd, vector)
	got := bytes.TrimRight(bytes.Join(vector, nil), "\x55")
	f.log(fmt.Sprintf("read %v", sizes), "%s, %x", result(n, err), got)
}

func (f *file) write(what string, parts ...[]byte) {
	n, err := unix.Writev(f.fd, parts)
	f.log("write "+what, "%s", result(n, err))
}

func (f *file) events(what string) {
	fds := []unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN | unix.POLLOUT | 0x40 | 0x100 /* POLLRDNORM, POLLWRNORM */}}
	_, err := device.Restart(func() (int, error) { return unix.Poll(fds, 0) })
	f.log("poll "+what, "%s, %#x", outcome(err), fds[0].Revents)
}

// capture is a socket that sees what a device gives to the stack.
func (w *world) capture(name string) int {
	w.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		w.Fatal(err)
	}
	w.files = append(w.files, &file{w, "capture", fd})
	const all = 0x0300 // ETH_P_ALL
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.LinkOf(w, name).Attrs().Index}); err != nil {
		w.Fatal(err)
	}
	return fd
}

// received records what a capture has seen since the last time.
func (w *world) received(what string, fd int) {
	b := make([]byte, 70000)
	var frames []string
	n, from, err := unix.Recvfrom(fd, b, 0)
	for ; err == nil; n, from, err = unix.Recvfrom(fd, b, 0) {
		to := from.(*unix.SockaddrLinklayer)
		frames = append(frames, fmt.Sprintf("%#x %d %x", to.Protocol, to.Pkttype, b[:n]))
	}
	w.log("received "+what, "%q, %s", frames, outcome(err))
}

// counters records a device's statistics.
func (w *world) counters(name string) {
	c := device.Counters(w, name)
	w.log("counters", "rx %d %d, errors %d, dropped %d, frame %d; tx %d %d, dropped %d",
		c.RxPackets, c.RxBytes, c.RxErrors, c.RxDropped, c.RxFrameErrors, c.TxPackets, c.TxBytes, c.TxDropped)
}

// framings are the devices whose frames look different.
var framings = []uint16{
	device.TUN, device.TAP, unix.IFF_TUN, unix.IFF_TAP, device.TUN | device.Vnet, device.TAP | device.Vnet, unix.IFF_TUN | device.Vnet,
}

// prefix is what stands in front of a frame: packet information, vnet header.
func prefix(set uint16, ethertype byte) (b []byte) {
	if set&unix.IFF_NO_PI == 0 {
		b = append(b, 0, 0, ethertype, map[byte]byte{8: 0, 0x86: 0xdd}[ethertype])
	}
	if set&unix.IFF_VNET_HDR != 0 {
		b = append(b, make([]byte, 10)...)
	}
	return b
}

func onEachFraming(run func(w *world, f *file, set uint16)) (scenarios []scenario) {
	for _, set := range framings {
		scenarios = append(scenarios, scenario{flagNames(set), func(w *world) {
			f := w.open("file")
			f.attach("conf", set)
			run(w, f, set)
		}})
	}
	return scenarios
}

func TestReads(t *testing.T) {
	compare(t, "read", onEachFraming(func(w *world, f *file, set uint16) {
		w.open("unattached").read(100)
		f.events("down")
		f.read(100)
		device.Up(w, "conf")
		f.events("up")
		f.read(100)
		f.read(0)
		for _, sizes := range [][]int{{200}, {1, 200}, {4, 10, 14, 100}, {100}, {30}, {14}, {13}, {4}, {3}, {1}, {0}, {200}} {
			w.sendFrame("conf", frame(set, 100))
			f.events("with a frame")
			f.read(sizes...)
		}
		w.sendFrame("conf", frame(set, 100))
		device.Down(w, "conf")
		f.events("down with a frame")
		f.read(200)
		f.read(200)
		w.counters("conf")
		device.Delete(w, "conf")
		f.events("gone")
		f.read(200)
	}))
}

func TestWrites(t *testing.T) {
	compare(t, "write", onEachFraming(func(w *world, f *file, set uint16) {
		good, v6 := prefix(set, 8), prefix(set, 0x86)
		w.open("unattached").write("whole", frame(set, 100))
		f.write("down", good, frame(set, 100))
		device.Up(w, "conf")
		seen := w.capture("conf")
		each := func(what string, parts ...[]byte) {
			f.write(what, parts...)
			w.received(what, seen)
		}
		each("whole", good, frame(set, 100))
		each("in one", append(bytes.Clone(good), frame(set, 100)...))
		each("IPv6", v6, ipv6(80))
		each("IPv6 said to be IPv4", good, ipv6(80))
		each("nothing")
		each("the prefix alone", good)
		for _, n := range []int{1, 4, 9, 13, 14, 19, 20} {
			each(fmt.Sprintf("%d bytes", n), good, frame(set, 100)[:n])
		}
		each("version 0", good, make([]byte, 60))
		each("version 15", good, bytes.Repeat([]byte{0xff}, 60))
		each("large", good, frame(set, 60000))
		each("largest", good, make([]byte, 65535-len(good)))
		w.counters("conf")
		each("too large", good, append(frame(set, 100), make([]byte, 70000)...))
		device.Delete(w, "conf")
		f.write("gone", good, frame(set, 100))
	}))
}

func TestVnetHeaders(t *testing.T) {
	compare(t, "vnet", []scenario{
		{"sizes", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN|device.Vnet)
			device.Up(w, "conf")
			seen := w.capture("conf")
			for _, size := range []uint32{10, 12, 20, 100} {
				f.call(fmt.Sprintf("TUNSETVNETHDRSZ %d", size), unix.TUNSETVNETHDRSZ, le32(size))
				f.call("TUNGETVNETHDRSZ", unix.TUNGETVNETHDRSZ, le32(0))
				w.sendFrame("conf", ipv4(60))
				f.read(300)
				f.write(fmt.Sprintf("size %d", size), make([]byte, size), ipv4(60))
				w.received(fmt.Sprintf("size %d", size), seen)
				f.write(fmt.Sprintf("size %d, short", size), make([]byte, size-1))
			}
		}},
		{"metadata", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN|device.Vnet)
			device.Up(w, "conf")
			seen := w.capture("conf")
			for _, h := range []device.VnetHeader{
				{Flags: device.VnetNeedsCsum, CsumStart: 20, CsumOffset: 2}, {Flags: device.VnetNeedsCsum, CsumStart: 59, CsumOffset: 2},
				{Flags: device.VnetDataValid}, {Flags: 0x80}, {GSOType: 99}, {GSOType: device.GSOTCPv4}, {HdrLen: 61}, {HdrLen: 60},
				{Flags: device.VnetNeedsCsum, CsumStart: 0xffff, CsumOffset: 0xffff},
			} {
				b := make([]byte, 12)
				h.Encode(b)
				what := fmt.Sprintf("%+v", h)
				f.write(what, b[:10], ipv4(60))
				w.received(what, seen)
			}
			w.counters("conf")
		}},
		{"far behind", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN|device.Vnet)
			device.Up(w, "conf")
			seen := w.capture("conf")
			for _, start := range []uint16{16380, 16382} {
				b := make([]byte, 12)
				h := device.VnetHeader{Flags: device.VnetNeedsCsum, CsumStart: start, CsumOffset: 2}
				h.Encode(b)
				what := fmt.Sprintf("checksum at %d", start)
				f.write(what, b[:10], ipv4(20000))
				w.received(what, seen)
			}
		}},
		{"byte order", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN|device.Vnet)
			for _, on := range []uint32{1, 0} {
				f.call(fmt.Sprintf("TUNSETVNETLE %d", on), unix.TUNSETVNETLE, le32(on))
				f.call("TUNGETVNETLE", unix.TUNGETVNETLE, le32(7))
				f.call(fmt.Sprintf("TUNSETVNETBE %d", on), unix.TUNSETVNETBE, le32(on))
				f.call("TUNGETVNETBE", unix.TUNGETVNETBE, le32(7))
			}
		}},
	})
}

func TestSendBuffers(t *testing.T) {
	compare(t, "sndbuf", onEachFraming(func(w *world, f *file, _ uint16) {
		device.Up(w, "conf")
		for bytes := range uint32(6) {
			what := fmt.Sprintf("with a send buffer of %d", bytes)
			f.call("TUNSETSNDBUF "+what, unix.TUNSETSNDBUF, le32(bytes))
			f.events(what)
		}
	}))
}

func TestFilteredReads(t *testing.T) {
	compare(t, "filtered", []scenario{
		{"cut", func(w *world) {
			f := w.tap(device.TAP)
			f.call("TUNATTACHFILTER", unix.TUNATTACHFILTER, program(w, cut))
			w.sendFrame("conf", ethernet(mac(1), 1, 2, 3))
			f.read(100)
		}},
		{"detached queue", func(w *world) {
			first, second := w.tap(device.TAP|device.Multi), w.open("second")
			second.attach("conf", device.TAP|device.Multi)
			first.setqueue(unix.IFF_DETACH_QUEUE)
			w.sendFrame("conf", ethernet(mac(1), 1, 2, 3))
			first.read(100)
			second.read(100)
			second.setqueue(unix.IFF_DETACH_QUEUE)
			w.sendFrame("conf", ethernet(mac(1), 1, 2, 3))
			w.counters("conf")
			first.setqueue(unix.IFF_ATTACH_QUEUE)
			w.sendFrame("conf", ethernet(mac(1), 4, 5, 6))
			first.read(100)
			second.read(100)
		}},
	})
}

// TestQueueLength: what waits when the queue is made shorter than that, and what comes after.
func TestQueueLength(t *testing.T) {
	compare(t, "length", []scenario{{"tap", func(w *world) {
		f := w.open("file")
		f.attach("conf", device.TAP)
		device.Up(w, "conf")
		device.SetFIFO(w, "conf", 1)
		socket := device.NewVnetSocket(w, "conf", 0)
		const waiting, left = 50, 5
		setLength := func(what string, size int) {
			w.log(what, "%s", outcome(netlink.LinkSetTxQLen(device.LinkOf(w, "conf"), size)))
		}
		send := func() {
			for range waiting {
				socket.Send(w, device.VnetFrame{Data: frame(device.TAP, 100)})
			}
		}
		for _, size := range []int{waiting, left, waiting} {
			setLength(fmt.Sprintf("txqueuelen %d", size), size)
			send()
			w.log(fmt.Sprintf("waiting with %d", size), "%d", f.drain())
		}
		send()
		setLength("shrink", left)
		w.log("waiting after it shrank", "%d", f.drain())
	}}})
}

// drain reads all frames that wait, and counts them.
func (f *file) drain() (frames int) {
	b := make([]byte, 1<<16)
	for {
		if _, err := unix.Read(f.fd, b); err != nil {
			return frames
		}
		frames++
	}
}

// TestReadsThatDoNotWait: asked for by a flag of the one call, on a file that would.
func TestReadsThatDoNotWait(t *testing.T) {
	compare(t, "nowait", onEachFraming(func(w *world, f *file, set uint16) {
		if err := unix.SetNonblock(f.fd, false); err != nil {
			w.Fatal(err)
		}
		device.Up(w, "conf")
		read := func(what string) {
			b := make([]byte, 200)
			n, err := unix.Preadv2(f.fd, [][]byte{b}, -1, unix.RWF_NOWAIT)
			f.log("preadv2 "+what, "%s, %x", result(n, err), bytes.TrimRight(b, "\x00"))
		}
		read("with nothing there")
		w.sendFrame("conf", frame(set, 100))
		read("with a frame")
		read("with nothing left")
	}))
}
