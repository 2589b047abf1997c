// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package readwrite tests that a program for stock tun can do with mytun what it
// does with stock tun: each test of read, write and poll runs on both. Then what
// mytun adds: many frames with one call, and rings in one direction.
package readwrite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	minRing  = device.RingSizeMin
	hostPort = 7000
	peerPort = 9
	piSize   = 4
	strip    = 1 // TUN_PKT_STRIP
)

// onBoth runs a test on stock tun and on mytun, each in a sandbox.
func onBoth(t *testing.T, f func(t *testing.T, node string)) {
	for _, node := range device.Nodes {
		if device.Slow() && node == device.StockNode {
			continue // a debug kernel is for what is wrong with mytun
		}
		t.Run(path.Base(node), func(t *testing.T) {
			device.Sandbox(t)
			f(t, node)
		})
	}
}

// A format is how read and write lay frames out.
type format struct {
	tap, pi bool
	vnet    int // bytes of vnet header, or 0
}

var formats = []format{
	{}, {tap: true}, {pi: true}, {tap: true, pi: true}, {vnet: 10}, {vnet: 12}, {tap: true, vnet: 12},
	{pi: true, vnet: 64}, {tap: true, pi: true, vnet: 10},
}

func (f format) String() string { return fmt.Sprintf("tap=%v pi=%v vnet=%d", f.tap, f.pi, f.vnet) }

// prefix is how many bytes stand in front of a frame.
func (f format) prefix() int {
	if f.pi {
		return piSize + f.vnet
	}
	return f.vnet
}

// newPort makes a device with frames of that format.
func (f format) newPort(t *testing.T, node string) *device.Port {
	t.Helper()
	c := device.Config{TAP: f.tap, PI: f.pi}
	if f.vnet != 0 {
		c.Flags = device.Vnet
	}
	p := device.NewPort(t, node, c)
	if f.vnet != 0 {
		if err := p.SetInt(unix.TUNSETVNETHDRSZ, f.vnet); err != nil {
			t.Fatalf("TUNSETVNETHDRSZ %d: %v", f.vnet, err)
		}
	}
	return p
}

// wrap puts in front of an IPv4 frame what write wants there.
func (f format) wrap(frame []byte) []byte {
	b := make([]byte, f.prefix(), f.prefix()+len(frame))
	if f.pi {
		binary.BigEndian.PutUint16(b[2:], unix.ETH_P_IP)
	}
	return append(b, frame...)
}

// unwrap checks what stands in front of a plain IPv4 frame, and cuts it off.
func (f format) unwrap(t *testing.T, b []byte) []byte {
	t.Helper()
	want := f.wrap(nil)
	if len(b) < len(want) {
		t.Fatalf("%v: read %d bytes", f, len(b))
	}
	// whether the checksum was seen to be right is of no account
	if f.vnet != 0 {
		b[f.prefix()-f.vnet] &^= device.VnetDataValid
	}
	if !bytes.Equal(b[:len(want)], want) {
		t.Errorf("%v: header % x, want % x", f, b[:len(want)], want)
	}
	return b[len(want):]
}

// down makes the kernel send a datagram to the process.
func down(t *testing.T, l *device.Link, payload []byte) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	defer conn.Close()
	if _, err := conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, peerPort)); err != nil {
		t.Fatal(err)
	}
}

// up is a frame for hostPort.
func up(l *device.Link, payload []byte) []byte {
	return l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload})
}

// A receiver is a socket for up's frames.
type receiver struct{ *net.UDPConn }

func receive(t *testing.T, l *device.Link) receiver {
	t.Helper()
	return receiver{l.ListenUDP(t, false, hostPort)}
}

// expect waits for a datagram.
func (r receiver) expect(t *testing.T, want []byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	r.SetReadDeadline(time.Now().Add(device.Deadline))
	n, _, err := r.ReadFromUDPAddrPort(b)
	if err != nil || !bytes.Equal(b[:n], want) {
		t.Fatalf("received %d bytes, %v, want %d", n, err, len(want))
	}
}

// end closes a device and its receiver, for the next to have the addresses.
func (r receiver) end(t *testing.T, p *device.Port) {
	t.Helper()
	r.Close()
	for _, q := range p.Queues {
		q.Unmap()
	}
	p.Close()
	device.WaitGone(t, p.Name)
}

// write is write(2) of all of b.
func write(t *testing.T, f *device.File, b []byte) {
	t.Helper()
	if n, err := unix.Write(f.FD, b); n != len(b) || err != nil {
		t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
	}
}

// read is a read(2) that must give something.
func read(t *testing.T, f *device.File, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	n, err := unix.Read(f.FD, b)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return b[:n]
}

// checkDown checks that frame is the datagram that down sent.
func checkDown(t *testing.T, l *device.Link, frame, want []byte) {
	t.Helper()
	d, ok := l.Parse(frame)
	if !ok || d.DstPort != peerPort || !bytes.Equal(d.Payload, want) {
		t.Errorf("frame of %d bytes % x ...", len(frame), frame[:min(len(frame), 48)])
	}
}

var sizes = []int{0, 1, 100, 1400}

func TestReadGivesOneFrame(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			for i, size := range sizes {
				down(t, p.Link, device.Pattern(uint64(i), size))
			}
			for i, size := range sizes {
				checkDown(t, p.Link, f.unwrap(t, read(t, p.File, 4096)), device.Pattern(uint64(i), size))
			}
			_, err := unix.Read(p.FD, make([]byte, 4096))
			expect(t, f.String()+", nothing left", err, unix.EAGAIN)
			p.Close()
		}
	})
}

func TestWriteSendsOneFrame(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			received := receive(t, p.Link)
			for i, size := range sizes {
				payload := device.Pattern(uint64(i), size)
				write(t, p.File, f.wrap(up(p.Link, payload)))
				received.expect(t, payload)
			}
			received.end(t, p)
		}
	})
}

func TestLargeFrames(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, tap := range []bool{false, true} {
			p := device.NewPort(t, node, device.Config{TAP: tap, MTU: 65000})
			received := receive(t, p.Link)
			payload := device.Pattern(1, p.MaxPayload(false))
			write(t, p.File, up(p.Link, payload))
			received.expect(t, payload)
			down(t, p.Link, payload)
			checkDown(t, p.Link, read(t, p.File, 1<<16), payload)
			received.end(t, p)
		}
	})
}

// pieces cuts b into buffers of these sizes, and the rest.
func pieces(b []byte, sizes ...int) [][]byte {
	var all [][]byte
	for _, size := range sizes {
		all = append(all, b[:size])
		b = b[size:]
	}
	return append(all, b)
}

func TestReadvAndWritevTakePieces(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		f := format{pi: true, vnet: 12}
		p := f.newPort(t, node)
		received := receive(t, p.Link)
		payload := device.Pattern(3, 900)
		b := f.wrap(up(p.Link, payload))
		if n, err := unix.Writev(p.FD, pieces(b, 1, 5, 0, 11, 40)); n != len(b) || err != nil {
			t.Fatalf("writev: %d, %v", n, err)
		}
		received.expect(t, payload)
		down(t, p.Link, payload)
		b = make([]byte, 2000)
		n, err := unix.Readv(p.FD, pieces(b, 3, 4, 0, 12, 1, 500))
		if err != nil {
			t.Fatalf("readv: %v", err)
		}
		checkDown(t, p.Link, f.unwrap(t, b[:n]), payload)
	})
}

// TestShortReadsCutFramesOff: what there is no room for is lost, and struct
// tun_pi tells.
func TestShortReadsCutFramesOff(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			payload := device.Pattern(4, 200)
			for _, room := range []int{1, 3, 10, 40} {
				down(t, p.Link, payload)
				checkCut(t, f, read(t, p.File, f.prefix()+room), f.prefix()+room)
			}
			down(t, p.Link, payload)
			whole := f.prefix() + len(up(p.Link, payload))
			checkDown(t, p.Link, f.unwrap(t, read(t, p.File, whole)), payload)
			p.Close()
		}
	})
}

func checkCut(t *testing.T, f format, b []byte, want int) {
	t.Helper()
	if len(b) != want {
		t.Errorf("%v: read %d bytes, want %d", f, len(b), want)
	}
	if f.pi && binary.NativeEndian.Uint16(b) != strip {
		t.Errorf("%v: flags % x of a frame that was cut off", f, b[:2])
	}
}

// TestNoRoomForHeaders: the frame is lost, as it is for stock tun.
func TestNoRoomForHeaders(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			if f.prefix() == 0 {
				continue
			}
			p := f.newPort(t, node)
			down(t, p.Link, []byte("lost"))
			down(t, p.Link, []byte("next"))
			_, err := unix.Read(p.FD, make([]byte, f.prefix()-1))
			expect(t, f.String(), err, unix.EINVAL)
			checkDown(t, p.Link, f.unwrap(t, read(t, p.File, 2000)), []byte("next"))
			p.Close()
		}
	})
}

func TestReadOfNothingTakesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		down(t, p.Link, []byte("stays"))
		if n, err := unix.Read(p.FD, []byte{}); n != 0 || err != nil {
			t.Errorf("read of nothing: %d, %v", n, err)
		}
		checkDown(t, p.Link, read(t, p.File, 2000), []byte("stays"))
	})
}

// TestProtocolIsWhatTheProcessSays: struct tun_pi decides, not the first nibble.
func TestProtocolIsWhatTheProcessSays(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		f := format{pi: true}
		p := f.newPort(t, node)
		before := device.Counters(t, p.Name)
		for _, protocol := range []uint16{0, unix.ETH_P_ARP, unix.ETH_P_IPV6, 0xffff} {
			b := f.wrap([]byte("no IP packet"))
			binary.BigEndian.PutUint16(b[2:], protocol)
			write(t, p.File, b)
		}
		write(t, p.File, f.wrap(nil))
		after := device.Counters(t, p.Name)
		if got := after.RxPackets - before.RxPackets; got != 5 || after.RxErrors != before.RxErrors {
			t.Errorf("%d packets of 5 were counted, %d errors", got, after.RxErrors)
		}
	})
}

// TestVnetHeadersAreHonoured: a checksum that the process left to the kernel.
func TestVnetHeadersAreHonoured(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			if f.vnet == 0 {
				continue
			}
			p := f.newPort(t, node)
			received := receive(t, p.Link)
			d := device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("sum me up")}
			v, frame := p.SuperDatagram(false, d, 1000)
			v.GSOType, v.GSOSize = device.GSONone, 0
			header := make([]byte, max(f.vnet, device.VnetSize))
			v.Encode(header)
			b := slices.Concat(f.wrap(nil)[:f.prefix()-f.vnet], header[:f.vnet], frame)
			write(t, p.File, b)
			received.expect(t, []byte("sum me up"))
			received.end(t, p)
		}
	})
}
