// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/tunbpf"
	"github.com/mytun/mytun/test/device"
)

// vxlan is a tunnel's packet between two ends, with a source port that is always
// the same.
func vxlan(from, to string, packet []byte) []byte {
	ends := [2]netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(from), 50000), netip.AddrPortFrom(netip.MustParseAddr(to), 4789)}
	return udp(ends[0], ends[1], slices.Concat([]byte{8, 0, 0, 0, 0, 0, 42, 0}, ethernet(packet)))
}

// testFlowsOfATunnelAreSpread, where without the program they are one flow; and
// both directions of each meet.
func testFlowsOfATunnelAreSpread(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode, Queues: 4})
		there := func(f [2]netip.AddrPort) int {
			return r.queueOf(r.wrap(vxlan("192.0.2.1", "192.0.2.2", udp(f[0], f[1], nil))))
		}
		back := func(f [2]netip.AddrPort) int {
			return r.queueOf(r.wrap(vxlan("192.0.2.2", "192.0.2.1", udp(f[1], f[0], nil))))
		}
		all := append(flows(false, 40), flows(true, 40)...)
		before := there(all[0])
		for _, f := range all {
			if got := there(f); got != before {
				t.Fatalf("without a program %v came by queue %d, others by %d", f, got, before)
			}
		}

		p, err := tunbpf.NewFlowSteering(tunbpf.FlowConfig{Mode: mode})
		must(t, err)
		must(t, r.AttachSteering(p))
		must(t, p.Close())
		var queues [4]int
		for _, f := range all {
			queue := there(f)
			queues[queue]++
			if got := back(f); got != queue {
				t.Errorf("%v came by queue %d, and its answer by %d", f, queue, got)
			}
		}
		// 20 each expected, with a standard deviation of 4
		if slices.Min(queues[:]) == 0 {
			t.Errorf("of 80 flows the queues got %v", queues)
		}
	})
}

// testSendersGoByTheirCPU, and by another queue as soon as the map says so.
func testSendersGoByTheirCPU(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode, Queues: 4})
		s, err := tunbpf.NewCPUSteering()
		must(t, err)
		t.Cleanup(func() { s.Close() })
		must(t, r.AttachSteering(s.Program()))
		for cpu := range runtime.NumCPU() {
			device.Pin(t, 0, cpu)
			if got := r.queueOf(flowPacket(r, 1)); got != cpu%4 {
				t.Errorf("at first CPU %d has queue %d", cpu, got)
			}
			for i, queue := range []int{3, 1, 2, 0, 7, 65535} {
				must(t, s.Set(cpu, queue))
				if got := r.queueOf(flowPacket(r, i)); got != queue%4 {
					t.Errorf("CPU %d: came by queue %d, want %d", cpu, got, queue%4)
				}
			}
		}
	})
}

// testCPUsChangeUnderTraffic: no frame is lost, or comes by a queue that was never
// set, while a program changes the map all the time.
func testCPUsChangeUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Queues: 4})
	s, err := tunbpf.NewCPUSteering()
	must(t, err)
	t.Cleanup(func() { s.Close() })
	for cpu := range s.CPUs() {
		must(t, s.Set(cpu, 1))
	}
	must(t, r.AttachSteering(s.Program()))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			for cpu := range s.CPUs() {
				if err := s.Set(cpu, 1+i%3); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for more := within(t, "frames by three queues"); more() && (r.sent < 2000 || len(queuesOf(r.came())) < 3); {
		r.send(flowPacket(r, 1))
		r.room()
	}
	close(stop)
	<-stopped
	came, dropped := r.settled()
	if queues := queuesOf(came); dropped != 0 || !slices.Equal(queues, []int{1, 2, 3}) {
		t.Errorf("%d dropped, the others came by queues %v", dropped, queues)
	}
}

func queuesOf(came []arrival) (queues []int) {
	for _, a := range came {
		if !slices.Contains(queues, a.queue) {
			queues = append(queues, a.queue)
		}
	}
	slices.Sort(queues)
	return queues
}
