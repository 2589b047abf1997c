// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	// smallestSegment is the least payload of TCP that the kernel makes segments of.
	smallestSegment = 8
	// largestPayload is what a super-packet of IPv4 has room for.
	largestPayload = 65535 - 20 - 20
	// smallestDatagram is the same of UDP; a super-packet has at most device.SegmentsMax.
	smallestDatagram = 1

	// runSegments is how many segments a run may have before it takes no further
	// frame: the last one may have as many as a frame can.
	runSegments = 512
)

// supers are super-packets, each of which becomes as many segments as it can.
type supers struct {
	vnet     device.VnetHeader
	frames   [][]byte
	segments int // of each
}

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

// smallSegments are super-packets of TCP.
func smallSegments(l *device.Link, n int) supers {
	far := *l
	far.Host4 = elsewhere
	peer := &device.TCPPeer{Link: &far}
	s := supers{segments: (largestPayload + smallestSegment - 1) / smallestSegment}
	for range n {
		var frame []byte
		s.vnet, frame = peer.Super(make([]byte, largestPayload), smallestSegment)
		s.frames = append(s.frames, frame)
	}
	return s
}

// smallDatagrams are super-packets of UDP.
func smallDatagrams(l *device.Link, n int) supers {
	far := *l
	far.Host4 = elsewhere
	payload := make([]byte, device.SegmentsMax*smallestDatagram)
	vnet, frame := far.SuperDatagram(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: payload}, smallestDatagram)
	return supers{vnet, slices.Repeat([][]byte{frame}, n), device.SegmentsMax}
}

// record is one of the frames as a file takes it that was asked for many a call.
func (s *supers) record(i int) []byte {
	return device.Record(device.Header{Length: uint32(len(s.frames[i])), Vnet: s.vnet}, s.frames[i])
}

// wait waits until all that the frames become was sent, frame by frame: all of it
// takes its time. What nobody reads is dropped when the device's queue is full.
func (s *supers) wait(t *testing.T) {
	t.Helper()
	const queue = 1000
	for i := range s.frames {
		device.WaitFor(t, "all segments", func() bool {
			return device.Counters(t, "mysegments").TxDropped+queue >= uint64((i+1)*s.segments)
		})
	}
}

// check looks at the worst run. It must not have more segments than a run may have, and
// not so few that the frames cannot have been made segments of.
func (s *supers) check(t *testing.T, what string, runs *device.Runs, stock time.Duration) {
	t.Helper()
	segments, took := runs.Worst(t)
	t.Logf("%s: at most %d segments and %v in one go, of frames with %d", what, segments, took, s.segments)
	if stock != 0 {
		t.Logf("stock tun's write of one frame: %v", stock)
		t.Logf(`{"what": %q, "segments": %d, "longest_ns": %d, "stock_ns": %d}`, what, segments, took, stock)
	}
	if segments < uint64(s.segments) {
		t.Errorf("%s: only %d segments in one go: the frames were not made segments of", what, segments)
	}
	if most := uint64(runSegments + s.segments); segments > most {
		t.Errorf("%s: %d segments in one go, more than %d", what, segments, most)
	}
}

// stockWrite is how long stock tun's write of one such frame takes.
func stockWrite(t *testing.T) time.Duration {
	t.Helper()
	device.Sandbox(t)
	routeElsewhere(t)
	p := device.NewPort(t, device.StockNode, device.Config{Flags: device.Vnet})
	s := smallSegments(p.Link, 1)
	b := make([]byte, device.VnetSize)
	s.vnet.Encode(b)
	b = append(b[:10], s.frames[0]...)
	start := time.Now()
	if n, err := unix.Write(p.FD, b); n != len(b) {
		t.Fatalf("stock tun: write of %d bytes: %d, %v", len(b), n, err)
	}
	took := time.Since(start)
	s.wait(t)
	return took
}

// checkRing puts n super-packets into a ring at once. stock is 0 if there is nothing of
// stock tun's to compare with.
func checkRing(t *testing.T, n int, small func(*device.Link, int) supers, stock time.Duration) {
	t.Helper()
	device.Sandbox(t)
	routeElsewhere(t)
	l := device.NewLink(t, device.Config{Flags: device.Vnet, TxSize: 2 << 20})
	s := small(l, n)
	runs := device.WatchTasklets(t)
	for _, frame := range s.frames {
		l.Queue().PutVnet(s.vnet, frame)
	}
	l.Queue().Publish()
	s.wait(t)
	l.Queue().WaitTaken(t)
	s.check(t, "a run of the tasklet", runs, stock)
}

// checkBatch writes n super-packets at once.
func checkBatch(t *testing.T, n int, stock time.Duration) {
	t.Helper()
	device.Sandbox(t)
	routeElsewhere(t)
	p := device.NewPort(t, device.Node, device.Config{Flags: device.Vnet})
	p.SetBatch(t, device.BatchWrite)
	s := smallSegments(p.Link, n)
	var b []byte
	for i := range s.frames {
		b = append(b, s.record(i)...)
	}
	runtime.LockOSThread()
	device.Pin(t, 0, 0)
	runs := device.WatchGRO(t)
	// a run is seen between two ends
	for _, b := range [][]byte{s.record(0), b, s.record(0)} {
		if n, err := unix.Write(p.FD, b); n != len(b) {
			t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
		}
	}
	s.wait(t)
	s.check(t, "one go of a write", runs, stock)
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
	t.Run("ring", func(t *testing.T) { checkRing(t, frames, smallSegments, stock) })
	t.Run("batch", func(t *testing.T) { checkBatch(t, frames, stock) })
}

// TestRunsAreBoundedInDatagrams: UDP is cut into smaller segments than TCP. Not each
// kernel's stock tun knows its super-packets: there is nothing to compare with.
func TestRunsAreBoundedInDatagrams(t *testing.T) {
	const frames = 100 // would all go by their own number
	checkRing(t, frames, smallDatagrams, 0)
}
