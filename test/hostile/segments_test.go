// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	// smallestSegment is the least payload of TCP that the kernel makes segments of.
	smallestSegment = 8
	// largestPayload is what a super-packet of IPv4 has room for.
	largestPayload  = 65535 - 20 - 20
	largestSegments = (largestPayload + smallestSegment - 1) / smallestSegment

	// runSegments is how many segments a run may have before it takes no further
	// frame: the last one may have as many as a frame can.
	runSegments  = 512
	mostSegments = runSegments + largestSegments
)

// elsewhere is where super-packets are routed to: a device for which the kernel makes
// segments of them itself.
var elsewhere = netip.MustParseAddr("10.88.0.9")

func routeElsewhere(t *testing.T) {
	t.Helper()
	p := device.NewPort(t, device.Node, device.Config{NoAddresses: true, Name: "mysegments"})
	device.SetNoQueue(t, p.Name)
	device.AddAddress(t, p.Name, "10.88.0.1/24")
	device.Sysctl(t, "net/ipv4/ip_forward", "1")
}

// smallSegments are super-packets that become as many segments as there can be.
func smallSegments(l *device.Link, n int) (vnet device.VnetHeader, frames [][]byte) {
	far := *l
	far.Host4 = elsewhere
	peer := &device.TCPPeer{Link: &far}
	for range n {
		var frame []byte
		vnet, frame = peer.Super(make([]byte, largestPayload), smallestSegment)
		frames = append(frames, frame)
	}
	return vnet, frames
}

// waitSegments waits until all that the frames become was sent, frame by frame: all of it
// takes its time. What nobody reads is dropped when the device's queue is full.
func waitSegments(t *testing.T, frames int) {
	t.Helper()
	const queue = 1000
	for i := 1; i <= frames; i++ {
		device.WaitFor(t, "all segments", func() bool {
			return device.Counters(t, "mysegments").TxDropped+queue >= uint64(i*largestSegments)
		})
	}
}

// stockWrite is how long stock tun's write of one such frame takes.
func stockWrite(t *testing.T) time.Duration {
	t.Helper()
	device.Sandbox(t)
	routeElsewhere(t)
	p := device.NewPort(t, device.StockNode, device.Config{Flags: device.Vnet})
	vnet, frames := smallSegments(p.Link, 1)
	b := make([]byte, device.VnetSize)
	vnet.Encode(b)
	b = append(b[:10], frames[0]...)
	start := time.Now()
	if n, err := unix.Write(p.FD, b); n != len(b) {
		t.Fatalf("stock tun: write of %d bytes: %d, %v", len(b), n, err)
	}
	took := time.Since(start)
	waitSegments(t, 1)
	return took
}

func report(t *testing.T, what string, runs *device.Runs, stock time.Duration) {
	t.Helper()
	segments, took := runs.Worst(t)
	t.Logf("%s: at most %d segments and %v in one go; stock tun's write of one frame, %d segments: %v",
		what, segments, took, largestSegments, stock)
	t.Logf(`{"what": %q, "segments": %d, "longest_ns": %d, "stock_ns": %d}`, what, segments, took, stock)
	if segments < largestSegments {
		t.Errorf("%s: only %d segments in one go: the frames were not made segments of", what, segments)
	}
	if segments > mostSegments {
		t.Errorf("%s: %d segments in one go, more than %d", what, segments, mostSegments)
	}
}

// TestRunsAreBoundedInSegments: super-packets are few and their bytes are not many, but
// what the stack does with them can be.
func TestRunsAreBoundedInSegments(t *testing.T) {
	const frames = 12 // more than go by their number of bytes
	if device.Slow() {
		t.Skip("the segments of one frame, which no run can part, take a debug kernel longer than its watchdog waits")
	}
	var stock time.Duration
	t.Run("stock tun", func(t *testing.T) { stock = stockWrite(t) })
	t.Run("ring", func(t *testing.T) {
		device.Sandbox(t)
		routeElsewhere(t)
		l := device.NewLink(t, device.Config{Flags: device.Vnet, TxSize: 2 << 20})
		vnet, super := smallSegments(l, frames)
		runs := device.WatchTasklets(t)
		for _, frame := range super {
			l.Queue().PutVnet(vnet, frame)
		}
		l.Queue().Publish()
		waitSegments(t, frames)
		l.Queue().WaitTaken(t)
		report(t, "a run of the tasklet", runs, stock)
	})
	t.Run("batch", func(t *testing.T) {
		device.Sandbox(t)
		routeElsewhere(t)
		p := device.NewPort(t, device.Node, device.Config{Flags: device.Vnet})
		p.SetBatch(t, device.BatchWrite)
		vnet, super := smallSegments(p.Link, frames)
		var b []byte
		for _, frame := range super {
			b = append(b, device.Record(device.Header{Length: uint32(len(frame)), Vnet: vnet}, frame)...)
		}
		runtime.LockOSThread()
		device.Pin(t, 0, 0)
		runs := device.WatchGRO(t)
		first := device.Record(device.Header{Length: uint32(len(super[0])), Vnet: vnet}, super[0])
		// a run is seen between two ends
		for _, b := range [][]byte{first, b, first} {
			if n, err := unix.Write(p.FD, b); n != len(b) {
				t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
			}
		}
		waitSegments(t, frames)
		report(t, "one go of a write", runs, stock)
	})
}
