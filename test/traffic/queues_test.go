// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"testing"

	"github.com/mytun/mytun/test/device"
)

// seen is where the frames of a flow came out, and with what hash.
type seen struct {
	queue int
	hash  uint32
}

// TestFlowsKeepTheirQueueAndHash: many flows, a few frames each.
func TestFlowsKeepTheirQueueAndHash(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 4})
	const flows, frames = 64, 8
	for flow := range flows {
		conn := l.ListenUDP(t, false, 10000+flow)
		for range frames {
			if _, err := conn.WriteToUDPAddrPort([]byte("flow"), l.PeerAddr(false, peerPort)); err != nil {
				t.Fatal(err)
			}
		}
	}
	byFlow, byQueue, byHash := collect(t, l, flows*frames)
	if len(byFlow) != flows {
		t.Errorf("%d flows came, %d were sent", len(byFlow), flows)
	}
	// that a queue gets no flow at all, one seed of 25 million brings about
	for i := range l.Queues {
		if byQueue[i] == 0 {
			t.Errorf("queue %d got none of %d frames", i, flows*frames)
		}
	}
	if len(byHash) < flows/2 {
		t.Errorf("%d hashes for %d flows", len(byHash), flows)
	}
	checkDeviceCounters(t, l)
}

// collect takes count frames from all queues and checks that a flow, told by
// its source port, has one queue and one hash.
func collect(t *testing.T, l *device.Link, count int) (byFlow map[uint16]seen, byQueue map[int]int, byHash map[uint32]bool) {
	t.Helper()
	byFlow, byQueue, byHash = map[uint16]seen{}, map[int]int{}, map[uint32]bool{}
	device.WaitFor(t, "all frames", func() bool {
		for i, q := range l.Queues {
			for h, frame, ok := q.Peek(); ok; h, frame, ok = q.Peek() {
				d, valid := l.Parse(frame)
				now := seen{i, h.Hash}
				if before, known := byFlow[d.SrcPort]; !valid || h.Flags != device.FrameHash || known && before != now {
					t.Fatalf("flow %d: flags %#x, first %+v, now %+v", d.SrcPort, h.Flags, before, now)
				}
				byFlow[d.SrcPort] = now
				byQueue[i]++
				byHash[h.Hash] = true
				count--
				q.Next(h)
				q.Release()
			}
		}
		return count <= 0
	})
	return byFlow, byQueue, byHash
}

// TestEveryQueueSends: frames from each queue reach the stack.
func TestEveryQueueSends(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 4, TAP: true})
	conn := l.ListenUDP(t, false, hostPort)
	for i, q := range l.Queues {
		for n := range 50 {
			payload := device.Pattern(uint64(100*i+n), 200)
			q.Send(t, l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload}))
			device.Expect(t, conn, payload)
		}
		if got := q.Settled(t).TxFrames; got != 50 {
			t.Errorf("queue %d counts %d frames", i, got)
		}
	}
	checkDeviceCounters(t, l)
}

// TestQueuesComeAndGoUnderTraffic: a flow finds another queue at once.
func TestQueuesComeAndGoUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	for _, q := range l.Queues {
		q.SetPoll(t, 0)
	}
	conn := l.ListenUDP(t, false, hostPort)
	for range 20 {
		extra := device.NewQueue(t, l.Name, l.Flags, minRing, minRing)
		for range 20 {
			conn.WriteToUDPAddrPort([]byte("moving"), l.PeerAddr(false, peerPort))
		}
		extra.Close()
		extra.Unmap()
	}
	before := l.Queues[0].Settled(t).RxFrames + l.Queues[1].Settled(t).RxFrames
	for range 50 {
		conn.WriteToUDPAddrPort([]byte("settled"), l.PeerAddr(false, peerPort))
	}
	device.WaitFor(t, "the flow on a queue that stayed", func() bool {
		return l.Queues[0].Stats(t).RxFrames+l.Queues[1].Stats(t).RxFrames == before+50
	})
}

// TestFlowComesBackOnTheRingThatSentIt: until the process sends it from another.
func TestFlowComesBackOnTheRingThatSentIt(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 4, IPv6: true})
	for flow := range 32 {
		ipv6 := flow%2 == 1
		conn := l.ListenUDP(t, ipv6, 20000+flow)
		for _, i := range []int{flow % 4, (flow + 3) % 4} {
			q := l.Queues[i]
			payload := device.Pattern(uint64(flow), 200)
			q.Send(t, l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: uint16(20000 + flow), Payload: payload}))
			device.Expect(t, conn, payload)
			if _, err := conn.WriteToUDPAddrPort([]byte("answer"), l.PeerAddr(ipv6, peerPort)); err != nil {
				t.Fatal(err)
			}
			q.Receive(t, func(_ device.Header, frame []byte) bool {
				d, ok := l.Parse(frame)
				return ok && int(d.SrcPort) == 20000+flow
			})
		}
	}
	checkDeviceCounters(t, l)
}
