// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
)

// wire is two devices in two namespaces, and a process that carries the
// frames of each to the other.
type wire struct {
	a, b     *device.Link
	nsA, nsB netns.NsHandle
}

// newWire makes a wire of two TUN devices whose kernels' sides are 10.99.0.1
// and 10.99.0.2: each is the other's peer.
func newWire(t *testing.T, c device.Config) *wire {
	t.Helper()
	w := &wire{nsA: device.Sandbox(t), nsB: device.NewNamespace(t)}
	w.a = device.NewLink(t, c)
	c.Mirror = true
	device.Inside(t, w.nsB, func() { w.b = device.NewLink(t, c) })
	var done atomic.Bool
	var forwarding sync.WaitGroup
	forwarding.Go(func() { forward(&done, w.a.Queue(), w.b.Queue()) })
	forwarding.Go(func() { forward(&done, w.b.Queue(), w.a.Queue()) })
	t.Cleanup(func() {
		done.Store(true)
		forwarding.Wait()
	})
	return w
}

// forward moves frames from one ring to another, from place to place.
func forward(done *atomic.Bool, from, to *device.Queue) {
	for !done.Load() {
		if !from.WaitFrames(time.Now().Add(50 * time.Millisecond)) {
			continue
		}
		for h, frame, ok := from.Peek(); ok && !done.Load(); h, frame, ok = from.Peek() {
			for to.Room() < device.Footprint(len(frame)) && !done.Load() {
				to.WaitSpace(len(frame), time.Now().Add(50*time.Millisecond))
			}
			if done.Load() {
				return
			}
			to.PutVnet(h.Vnet, frame)
			from.Next(h)
			to.Publish()
			from.Release()
		}
	}
}

// checkTCP sends random bytes both ways at once and compares their sums.
func checkTCP(t *testing.T, c device.Config, ipv6 bool, size int) {
	t.Helper()
	w := newWire(t, c)
	device.Streams(t, w.nsB, w.b.Host(ipv6), size)
	for _, l := range []*device.Link{w.a, w.b} {
		if s := l.Queue().Stats(t); s.Refused() != 0 || l.Queue().State() != 0 {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestTCPThroughSmallestRings(t *testing.T) {
	checkTCP(t, device.Config{}, false, 8<<20)
}

func TestTCPThroughLargestRings(t *testing.T) {
	checkTCP(t, device.Config{MTU: 65535, RxSize: maxRing, TxSize: maxRing}, false, 32<<20)
}

func TestTCPOverIPv6(t *testing.T) {
	checkTCP(t, device.Config{IPv6: true, MTU: 9000}, true, 16<<20)
}

func TestTCPOverTap(t *testing.T) {
	checkTCP(t, device.Config{TAP: true}, false, 8<<20)
}

// TestUDPThroughAWire: echoes with every length, through both devices twice.
func TestUDPThroughAWire(t *testing.T) {
	w := newWire(t, device.Config{MTU: 9000})
	var far *net.UDPConn
	device.Inside(t, w.nsB, func() { far = w.b.ListenUDP(t, false, hostPort) })
	near := w.a.ListenUDP(t, false, peerPort)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := far.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			far.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	for i := range 1000 {
		payload := device.Pattern(uint64(i), i*9%8973)
		if _, err := near.WriteToUDPAddrPort(payload, w.a.PeerAddr(false, hostPort)); err != nil {
			t.Fatal(err)
		}
		device.Expect(t, near, payload)
	}
}
