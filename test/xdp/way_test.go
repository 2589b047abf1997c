// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package xdp tests XDP programs on TAP devices: what becomes of the frames of
// the process that they meet, whichever way these came, and of frames that
// programs elsewhere send to the process.
package xdp

import (
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	hostPort = 7000
	peerPort = 9
)

// The ways of a frame from the process to the kernel.
var ways = []string{"ring", "write", "batch"}

// A port is a TAP device whose process's frames go one of the ways.
type port struct {
	*device.Link
	file *device.File
	way  string
	vnet int // bytes of the virtio_net_hdr before what is written or read
}

func newPort(t *testing.T, way string, c device.Config) *port {
	t.Helper()
	c.TAP = true
	if way == "ring" {
		l := device.NewLink(t, c)
		return &port{Link: l, file: l.Queue().File, way: way}
	}
	p := device.NewPort(t, device.Node, c)
	if way == "batch" {
		p.SetBatch(t, device.BatchWrite)
	}
	size, err := p.GetInt(unix.TUNGETVNETHDRSZ)
	if err != nil {
		t.Fatalf("TUNGETVNETHDRSZ: %v", err)
	}
	if p.Flags&device.Vnet == 0 {
		size = 0
	}
	return &port{p.Link, p.File, way, size}
}

// silent is a device that nobody answers what the process sends to it.
var silent = device.Config{NoAddresses: true}

// onAll runs a test once for each way, in a sandbox.
func onAll(t *testing.T, c device.Config, f func(t *testing.T, p *port)) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			device.Sandbox(t)
			f(t, newPort(t, way, c))
		})
	}
}

// hasVnet tells whether frames say what is left to do to them.
func (p *port) hasVnet() bool { return p.Flags&device.Vnet != 0 }

// send gives frames to the kernel, in one go if the way knows such.
func (p *port) send(t *testing.T, frames ...[]byte) {
	t.Helper()
	for chunk := range slices.Chunk(frames, 50) {
		p.sendWith(t, device.VnetHeader{}, chunk...)
	}
}

func (p *port) sendWith(t *testing.T, v device.VnetHeader, frames ...[]byte) {
	t.Helper()
	all := make([]device.VnetFrame, len(frames))
	for i, frame := range frames {
		all[i] = device.VnetFrame{Vnet: v, Data: frame}
	}
	p.give(t, all...)
}

// give is send with all that may be left to do to a frame.
func (p *port) give(t *testing.T, frames ...device.VnetFrame) {
	t.Helper()
	switch p.way {
	case "ring":
		for _, f := range frames {
			if !p.Queue().WaitSpace(len(f.Data), deadline()) {
				t.Fatal("the tx ring stayed full")
			}
			p.Queue().PutRaw(f.Header(), f.Data, device.Footprint(len(f.Data)))
		}
		p.Queue().Publish()
		p.Queue().WaitTaken(t)
	case "batch":
		var b []byte
		for _, f := range frames {
			b = append(b, device.Record(f.Header(), f.Data)...)
		}
		p.write(t, b)
	default:
		for _, f := range frames {
			p.write(t, f.Written(p.vnet))
		}
	}
}

func (p *port) write(t *testing.T, b []byte) {
	t.Helper()
	if n, err := unix.Write(p.file.FD, b); n != len(b) || err != nil {
		t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
	}
}

// receive is the next frame for the process, and what is left to do to it.
func (p *port) receive(t *testing.T) (device.VnetHeader, []byte) {
	t.Helper()
	f := p.take(t)
	return f.Vnet, f.Data
}

// take is receive with all that may be left to do to a frame.
func (p *port) take(t *testing.T) device.VnetFrame {
	t.Helper()
	if p.way == "ring" {
		h, frame := p.Queue().Receive(t, nil)
		return device.VnetFrame{Vnet: h.Vnet, Tunnel: h.Tunnel, Data: frame}
	}
	device.WaitFor(t, "a frame to read", func() bool { return p.file.Events(t)&unix.POLLIN != 0 })
	b := make([]byte, 1<<17)
	n, err := unix.Read(p.file.FD, b)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return device.ReadFrame(b[:n], p.vnet)
}

// expect receives so many frames, all alike.
func (p *port) expect(t *testing.T, n int, want []byte) {
	t.Helper()
	for i := range n {
		if _, got := p.receive(t); !slices.Equal(got, want) {
			t.Fatalf("frame %d of %d: %d bytes % x, want %d bytes % x", i, n,
				len(got), got[:min(len(got), 64)], len(want), want[:min(len(want), 64)])
		}
	}
}

// up is a datagram for hostPort.
func (p *port) up(payload []byte) []byte {
	return p.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload})
}

// counted is what became of frames of the process, and of frames to it.
type counted struct {
	passed, taken               uint64 // as the queue tells
	received, dropped, errors   uint64 // the interface's
	sent, unsent, sentToProcess uint64
}

func (p *port) count(t *testing.T) counted {
	t.Helper()
	s, c := p.file.Stats(t), device.Counters(t, p.Name)
	return counted{s.TxFrames, s.TxXDP, c.RxPackets, c.RxDropped, c.RxErrors, c.TxPackets, c.TxDropped, s.RxFrames}
}

func (c counted) minus(o counted) counted {
	return counted{
		c.passed - o.passed, c.taken - o.taken, c.received - o.received, c.dropped - o.dropped,
		c.errors - o.errors, c.sent - o.sent, c.unsent - o.unsent, c.sentToProcess - o.sentToProcess,
	}
}

// expectCounted waits until what was counted since then is as wanted.
func (p *port) expectCounted(t *testing.T, since, want counted) {
	t.Helper()
	var got counted
	if !device.Until(deadline(), func() bool {
		got = p.count(t).minus(since)
		return got == want
	}) {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
