// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// protocolOf is where an IPv4 header has the number of the next one; experimental
// is one that nobody knows.
const (
	protocolOf   = 9
	experimental = 253
)

// writes writes frames that are no UDP, one a call: of those GRO is not always asked.
func writes(t *testing.T, p *device.Port, f *device.File, frames int) {
	t.Helper()
	frame := p.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("gro")})
	frame[protocolOf] = experimental
	for range frames {
		if n, err := unix.Write(f.FD, frame); n != len(frame) {
			t.Fatalf("write of %d bytes: %d, %v", len(frame), n, err)
		}
	}
}

// TestNAPISendsWritesThroughGRO: those of a queue that asked for it, and before the
// call returns or soon after, as stock tun does. Others are received at once.
func TestNAPISendsWritesThroughGRO(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := device.NewPort(t, node, device.Config{Queues: 2, Flags: unix.IFF_NAPI})
		plain := device.OpenNode(t, node, unix.O_NONBLOCK)
		plain.Attach(t, p.Name, p.Flags&^unix.IFF_NAPI)
		trace := device.TraceGRO(t, p.Name)
		const frames = 20
		writes(t, p, p.File, frames)
		device.WaitFor(t, "all frames of the queue with IFF_NAPI in GRO", func() bool { return trace.Events(t) == frames })
		writes(t, p, plain, frames)
		device.WaitFor(t, "all frames in the stack", func() bool { return device.Counters(t, p.Name).RxPackets == 2*frames })
		if n := trace.Events(t); n != frames {
			t.Errorf("%d frames of the queue without IFF_NAPI went through GRO", n-frames)
		}
	})
}

// TestNAPIStaysWithAPersistentDevice: its next owner says anew what it wants.
func TestNAPIStaysWithAPersistentDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := device.NewPort(t, node, device.Config{Flags: unix.IFF_NAPI})
		p.SetPersist(t, true)
		p.File.Close()
		trace := device.TraceGRO(t, p.Name)
		for _, napi := range []uint16{0, unix.IFF_NAPI} {
			f := device.OpenNode(t, node, unix.O_NONBLOCK)
			f.Attach(t, p.Name, device.TUN|napi)
			gro, before := trace.Events(t), device.Counters(t, p.Name).RxPackets
			writes(t, p, f, 5)
			device.WaitFor(t, "all frames in the stack", func() bool { return device.Counters(t, p.Name).RxPackets == before+5 })
			if n, want := trace.Events(t)-gro, uint64(5*napi/unix.IFF_NAPI); n != want {
				t.Errorf("with flags %#x %d of 5 frames went through GRO", napi, n)
			}
			if napi != 0 {
				f.SetPersist(t, false)
			}
			f.Close()
		}
	})
}
