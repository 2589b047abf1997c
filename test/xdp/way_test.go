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
}

func newPort(t *testing.T, way string, c device.Config) *port {
	t.Helper()
	c.TAP = true
	if way == "ring" {
		l := device.NewLink(t, c)
		return &port{l, l.Queue().File, way}
	}
	p := device.NewPort(t, device.Node, c)
	if way == "batch" {
		p.SetBatch(t, device.BatchWrite)
	}
	return &port{p.Link, p.File, way}
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

// hasVnet tells whether a virtio_net_hdr stands before what is written or read.
func (p *port) hasVnet() bool { return p.Flags&device.Vnet != 0 }

// writtenVnet is how much of it does.
const writtenVnet = 10

// send gives frames to the kernel, in one go if the way knows such.
func (p *port) send(t *testing.T, frames ...[]byte) {
	t.Helper()
	for chunk := range slices.Chunk(frames, 50) {
		p.sendWith(t, device.VnetHeader{}, chunk...)
	}
}

func (p *port) sendWith(t *testing.T, v device.VnetHeader, frames ...[]byte) {
	t.Helper()
	switch p.way {
	case "ring":
		for _, frame := range frames {
			if !p.Queue().WaitSpace(len(frame), deadline()) {
				t.Fatal("the tx ring stayed full")
			}
			p.Queue().PutRaw(device.Header{Length: uint32(len(frame)), Vnet: v}, frame, device.Footprint(len(frame)))
		}
		p.Queue().Publish()
		p.Queue().WaitTaken(t)
	case "batch":
		var b []byte
		for _, frame := range frames {
			b = append(b, device.Record(device.Header{Length: uint32(len(frame)), Vnet: v}, frame)...)
		}
		p.write(t, b)
	default:
		for _, frame := range frames {
			var b []byte
			if p.hasVnet() {
				b = make([]byte, device.VnetSize)
				v.Encode(b)
				b = b[:writtenVnet]
			}
			p.write(t, append(b, frame...))
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
	if p.way == "ring" {
		h, frame := p.Queue().Receive(t, nil)
		return h.Vnet, frame
	}
	device.WaitFor(t, "a frame to read", func() bool { return p.file.Events(t)&unix.POLLIN != 0 })
	b := make([]byte, 1<<17)
	n, err := unix.Read(p.file.FD, b)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	var v device.VnetHeader
	if p.hasVnet() {
		v.Decode(b)
		v.NumBuffers = 0
		return v, b[writtenVnet:n]
	}
	return v, b[:n]
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
