// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

const heldSize = 1000

// numbered is a payload that says which it is.
func numbered(i uint32) []byte {
	b := device.Pattern(uint64(i), heldSize)
	binary.BigEndian.PutUint32(b, i)
	return b
}

// name is the number of a payload, for messages.
func name(payload []byte) string {
	if len(payload) < 4 {
		return "none"
	}
	return fmt.Sprint(binary.BigEndian.Uint32(payload))
}

// sender is a flow of numbered datagrams from the kernel's side, by a socket
// that blocks.
type sender struct {
	conn    *net.UDPConn
	running sync.WaitGroup
	stopped atomic.Bool
	sent    atomic.Uint32
}

// newSender sends count datagrams from a port, or until the end of the test.
// What the socket says of an error is not the sender's concern: the device may
// be gone.
func newSender(t *testing.T, l *device.Link, port int, count uint32) *sender {
	t.Helper()
	s := &sender{conn: l.ListenUDP(t, false, port)}
	device.SetBuffers(t, s.conn, 64<<10) // less than the qdisc takes
	s.running.Go(func() {
		for i := uint32(0); i < count && !s.stopped.Load(); i++ {
			s.conn.WriteToUDPAddrPort(numbered(i), l.PeerAddr(false, peerPort))
			s.sent.Add(1)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// stop ends the sender, which must not take long: a sender that is stuck in the
// kernel is what these tests look for.
func (s *sender) stop() {
	s.stopped.Store(true)
	s.conn.SetWriteDeadline(time.Now())
	s.running.Wait()
}

// waitHeld waits until the device's queues are stopped and the qdisc holds what
// the senders send.
func waitHeld(t *testing.T, l *device.Link) {
	t.Helper()
	device.WaitFor(t, "the qdisc to hold frames", func() bool {
		frames, _ := device.Qdisc(t, l.Name)
		return frames > 0 && stops(t, l) > 0
	})
}

func stops(t *testing.T, l *device.Link) (n uint64) {
	t.Helper()
	for _, q := range l.Queues {
		n += q.Stats(t).RxQueueStops
	}
	return n
}

// newHeld is a link with back-pressure, and a sender that is held up. The
// datagrams are more than fit into everything between it and the process.
func newHeld(t *testing.T, c device.Config) (*device.Link, *sender) {
	t.Helper()
	l := device.NewLink(t, c)
	device.SetFIFO(t, l.Name, len(l.Queues))
	if c.Flags&device.Backpressure == 0 {
		l.Queue().SetBackpressure(t, true)
	}
	s := newSender(t, l, hostPort, heldCount)
	waitHeld(t, l)
	return l, s
}

const heldCount = 3000

// checkNothingLost: neither the device nor its qdisc dropped anything.
func checkNothingLost(t *testing.T, l *device.Link) {
	t.Helper()
	for i, q := range l.Queues {
		if s := q.Settled(t); s.RxDropped != 0 || q.State() != 0 {
			t.Errorf("queue %d: state %#x, stats %+v", i, q.State(), s)
		}
	}
	if n := device.Counters(t, l.Name).TxDropped; n != 0 {
		t.Errorf("the device dropped %d frames", n)
	}
	if _, n := device.Qdisc(t, l.Name); n != 0 {
		t.Errorf("the qdisc dropped %d frames", n)
	}
}

// take takes count frames of numbered flows from all queues, by source port,
// and checks that each flow is complete and in order.
func take(t *testing.T, l *device.Link, next map[uint16]uint32, count uint32) {
	t.Helper()
	device.WaitFor(t, "all frames", func() bool {
		for i, q := range l.Queues {
			for h, frame, ok := q.Peek(); ok && count > 0; h, frame, ok = q.Peek() {
				d, valid := l.Parse(frame)
				if want := next[d.SrcPort]; !valid || !bytes.Equal(d.Payload, numbered(want)) {
					_, dropped := device.Qdisc(t, l.Name)
					t.Fatalf("port %d: frame %d of queue %d came as another: %s, valid %v; the qdisc dropped %d, the device %d, stats %+v",
						d.SrcPort, want, i, name(d.Payload), valid, dropped, device.Counters(t, l.Name).TxDropped, q.Stats(t))
				}
				next[d.SrcPort]++
				count--
				q.Next(h)
				q.Release()
			}
		}
		return count == 0
	})
}

// TestFullRingHoldsSenders: the process stands still, the sender is held, and
// when the process goes on all frames arrive, in order.
func TestFullRingHoldsSenders(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	if n := s.sent.Load(); n >= heldCount {
		t.Fatalf("all %d frames were sent to a process that takes none", n)
	}
	if n := l.Queue().Stats(t).RxQueueStops; n != 1 {
		t.Errorf("the queue was stopped %d times while it stood still", n)
	}
	take(t, l, map[uint16]uint32{}, heldCount)
	s.running.Wait()
	checkNothingLost(t, l)
	if n := l.Queue().Stats(t).RxFrames; n != heldCount {
		t.Errorf("%d frames sent, %d counted", heldCount, n)
	}
	t.Logf("stopped %d times", stops(t, l))
}

// TestSlowProcessHoldsSenders: it takes some frames and stands still until the
// queue is stopped again, many times.
func TestSlowProcessHoldsSenders(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{Flags: device.Backpressure})
	const portion = 300 // more than wait in the ring and before it
	next := map[uint16]uint32{}
	rounds := uint64(0)
	for taken := uint32(0); taken < heldCount; taken += portion {
		take(t, l, next, portion)
		if rounds++; heldCount-taken > 3*portion {
			device.WaitFor(t, "the queue to stop again", func() bool { return stops(t, l) > rounds })
		}
	}
	s.running.Wait()
	checkNothingLost(t, l)
}

// TestEachQueueHoldsItsOwnSenders: with four queues the flows of a full one are
// held; others go on.
func TestEachQueueHoldsItsOwnSenders(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 4})
	device.SetFIFO(t, l.Name, len(l.Queues))
	l.Queues[3].SetBackpressure(t, true) // the device's, whoever says it
	const flows, count = 12, 800
	var senders []*sender
	for i := range flows {
		senders = append(senders, newSender(t, l, 10000+i, count))
	}
	waitHeld(t, l)
	take(t, l, map[uint16]uint32{}, flows*count)
	for _, s := range senders {
		s.running.Wait()
	}
	checkNothingLost(t, l)
}

// TestFullRingDropsWithoutBackpressure: counted, by reason.
func TestFullRingDropsWithoutBackpressure(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	trace := device.TraceDrops(t)
	s := newSender(t, l, hostPort, heldCount)
	s.running.Wait()
	stats := l.Queue().Settled(t)
	if stats.RxDropped == 0 || stats.RxQueueStops != 0 {
		t.Errorf("stats %+v", stats)
	}
	if n := device.Counters(t, l.Name).TxDropped; n != stats.RxDropped {
		t.Errorf("the device counts %d drops, the queue %d", n, stats.RxDropped)
	}
	if n := trace.Drops(t, "FULL_RING"); n != stats.RxDropped {
		t.Errorf("%d drops with the reason FULL_RING, %d counted", n, stats.RxDropped)
	}
}

// TestTurningBackpressureOffLetsSendersGo: they finish, and lose frames.
func TestTurningBackpressureOffLetsSendersGo(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	l.Queue().SetBackpressure(t, false)
	s.running.Wait()
	device.WaitFor(t, "the sender's frames to leave", func() bool { return device.Unsent(t, s.conn) == 0 })
	if stats := l.Queue().Settled(t); stats.RxDropped == 0 {
		t.Errorf("stats %+v", stats)
	}
}

// checkLetGo: the sender's frames are no longer anywhere, so it can send.
func checkLetGo(t *testing.T, s *sender) {
	t.Helper()
	s.stop()
	device.WaitFor(t, "the sender's frames to be let go", func() bool { return device.Unsent(t, s.conn) == 0 })
	s.conn.Close()
}

func TestDeviceDeletedWhileSendersAreHeld(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	device.Within(t, device.Deadline, "ip link del", func() { device.Delete(t, l.Name) })
	checkLetGo(t, s)
	device.CheckWorks(t)
}

func TestProcessEndsWhileSendersAreHeld(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	device.Within(t, device.Deadline, "close", func() { l.Queue().Close(); l.Queue().Unmap() })
	device.WaitGone(t, l.Name)
	checkLetGo(t, s)
	device.CheckWorks(t)
}

// TestPersistentDeviceLosesItsProcessWhileSendersAreHeld, and the next process
// gets frames.
func TestPersistentDeviceLosesItsProcessWhileSendersAreHeld(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	l.Queue().SetPersist(t, true)
	l.Queue().Close()
	l.Queue().Unmap()
	checkLetGo(t, s)
	q := device.NewQueue(t, l.Name, l.Flags, minRing, minRing)
	l.Queues = []*device.Queue{q}
	q.SetPersist(t, false)
	// the carrier's return takes a moment to reach the qdisc
	l.Drain(t)
	next := newSender(t, l, hostPort, heldCount)
	waitHeld(t, l)
	take(t, l, map[uint16]uint32{}, heldCount)
	next.running.Wait()
	checkNothingLostSince(t, l)
}

// checkNothingLostSince is checkNothingLost for a device that lost what an
// earlier process left.
func checkNothingLostSince(t *testing.T, l *device.Link) {
	t.Helper()
	if s := l.Queue().Settled(t); s.RxDropped != 0 || s.RxQueueStops == 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestOneOfTwoQueuesEndsWhileSendersAreHeld: its flows go on to the other. The hash is
// seeded when the module is loaded: by one seed in 2^(flows-1) all flows go by one queue.
func TestOneOfTwoQueuesEndsWhileSendersAreHeld(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	device.SetFIFO(t, l.Name, len(l.Queues))
	l.Queue().SetBackpressure(t, true)
	const flows = 32
	var senders []*sender
	for i := range flows {
		senders = append(senders, newSender(t, l, 10000+i, heldCount))
	}
	device.WaitFor(t, "both queues to stop", func() bool {
		return l.Queues[0].Stats(t).RxQueueStops > 0 && l.Queues[1].Stats(t).RxQueueStops > 0
	})
	l.Queues[1].Close()
	l.Queues[1].Unmap()
	for _, s := range senders {
		s.stop()
	}
	device.WaitFor(t, "the last frame", func() bool {
		l.Queues[0].DropAll()
		unsent := 0
		for _, s := range senders {
			unsent += device.Unsent(t, s.conn)
		}
		return unsent == 0
	})
}

// TestDeviceDownAndUpWhileSendersAreHeld: what the qdisc held is gone, as for
// any device; the rest arrives, and so does all that follows.
func TestDeviceDownAndUpWhileSendersAreHeld(t *testing.T) {
	device.Sandbox(t)
	l, s := newHeld(t, device.Config{})
	device.Down(t, l.Name)
	checkLetGo(t, s)
	device.Up(t, l.Name)
	l.Drain(t)
	next := newSender(t, l, hostPort, heldCount)
	waitHeld(t, l)
	take(t, l, map[uint16]uint32{}, heldCount)
	next.running.Wait()
	if n := l.Queue().Settled(t).RxDropped; n != 0 {
		t.Errorf("%d frames dropped", n)
	}
}

// TestNamespaceEndsAfterHeldSenders: what the qdisc holds keeps the namespace,
// as any device's does. It ends as soon as the process takes the frames.
func TestNamespaceEndsAfterHeldSenders(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	l.Queue().SetBackpressure(t, true)
	ns := device.MakeNamespace(t)
	device.Move(t, l.Name, ns)
	device.Inside(t, ns, func() {
		device.Up(t, l.Name)
		device.AddAddress(t, l.Name, l.Host4.String()+"/24")
		device.SetFIFO(t, l.Name, len(l.Queues))
		s := newSender(t, l, hostPort, heldCount)
		waitHeld(t, l)
		s.stop()
		s.conn.Close()
	})
	ns.Close()
	device.WaitFor(t, "the namespace's end", func() bool {
		if l.Queue().State() == 0 {
			l.Queue().DropAll()
		}
		return l.Queue().State() == device.StateDetached
	})
	device.CheckWorks(t)
}
