// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
)

// pause is longer than what the device takes for a gap within a stream.
const pause = 100 * time.Microsecond

// TestLoneFrameGoesStraightIntoTheRing: after a pause, its sender puts it
// there itself and the kernel thread sleeps on.
func TestLoneFrameGoesStraightIntoTheRing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	conn := l.ListenUDP(t, false, hostPort)
	const count = 50
	device.WaitThreadsAsleep(t, l.Name)
	before := q.Settled(t)
	for i := range uint32(count) {
		device.Spin(pause)
		if _, err := conn.WriteToUDPAddrPort(numbered(i), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		_, frame := q.Receive(t, nil)
		if d, ok := l.Parse(frame); !ok || !bytes.Equal(d.Payload, numbered(i)) {
			t.Fatalf("frame %d changed", i)
		}
	}
	s := q.Settled(t)
	if s.RxFrames-before.RxFrames != count || s.RxDirect-before.RxDirect != count {
		t.Errorf("%d lone frames: before %+v, after %+v", count, before, s)
	}
	if s.KthreadSleeps != before.KthreadSleeps {
		t.Errorf("the kernel thread woke for %d lone frames: before %+v, after %+v", count, before, s)
	}
}

// TestFramesAreLeftToTheThread for who wants that, and no frame overtakes another where it begins and ends under traffic.
func TestFramesAreLeftToTheThread(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{RxSize: 1 << 20})
	q := l.Queue()
	names, set := device.PrivateFlagsOf(t, l.Name)
	if len(names) != 1 || names[0] != "rx-by-thread" || set != 0 {
		t.Fatalf("private flags %q, %#x set", names, set)
	}
	conn := l.ListenUDP(t, false, hostPort)
	const count = 200
	for round := range uint32(20) {
		device.SetPrivateFlags(t, l.Name, round%2)
		if _, set := device.PrivateFlagsOf(t, l.Name); set != round%2 {
			t.Fatalf("private flags %#x, want %#x", set, round%2)
		}
		before := q.Stats(t)
		for i := range uint32(count) {
			if _, err := conn.WriteToUDPAddrPort(numbered(round*count+i), l.PeerAddr(false, peerPort)); err != nil {
				t.Fatal(err)
			}
		}
		if s := q.Stats(t); round%2 == 1 && s.RxDirect != before.RxDirect {
			t.Errorf("round %d: %d frames by their senders", round, s.RxDirect-before.RxDirect)
		}
		if round%2 == 1 {
			continue // what waits when the flag goes is before what its senders put there
		}
		for i := (max(round, 1) - 1) * count; i < (round+1)*count; i++ {
			_, frame := q.Receive(t, nil)
			if d, ok := l.Parse(frame); !ok || !bytes.Equal(d.Payload, numbered(i)) {
				t.Fatalf("frame %d came as another: %s, valid %v", i, name(d.Payload), ok)
			}
		}
	}
	if s := q.Settled(t); s.RxDirect == 0 || s.RxDropped != 0 {
		t.Errorf("stats %+v", s)
	}
}

// newSegmenting is a link to which a call can send many datagrams: before Linux
// 6.11 that needs a device with checksum offload. The stack cuts them up.
func newSegmenting(t *testing.T, c device.Config) *device.Link {
	t.Helper()
	c.Flags |= device.Vnet
	l := device.NewLink(t, c)
	l.Queue().SetOffload(t, csum)
	l.Queue().Complete = true
	return l
}

// TestOrderOfDirectFrames: bursts with random gaps around what is taken for a
// pause make frames take either way, and meet the kernel thread on its way to
// sleep. Now and then the process stands still until the sender is held, so
// that frames wait for the thread; with back-pressure none is lost.
func TestOrderOfDirectFrames(t *testing.T) {
	device.Sandbox(t)
	l := newSegmenting(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	device.SetFIFO(t, l.Name, len(l.Queues))
	q.SetBackpressure(t, true)
	const count = 19000 // the last stop is long before the end
	done := make(chan error, 1)
	conn := l.ListenUDP(t, false, hostPort)
	device.SetSegment(t, conn, heldSize)
	device.SetBuffers(t, conn, 64<<10) // less than the qdisc takes
	go func() { done <- sendBursts(conn, l.PeerAddr(false, peerPort), count) }()
	for i := range uint32(count) {
		if i%4000 == 3999 {
			waitHeld(t, l)
		}
		_, frame := q.Receive(t, nil)
		if d, ok := l.Parse(frame); !ok || !bytes.Equal(d.Payload, numbered(i)) {
			t.Fatalf("frame %d came as another: %s, valid %v", i, name(d.Payload), ok)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	s := q.Settled(t)
	t.Logf("%d frames, %d direct, %d sleeps", s.RxFrames, s.RxDirect, s.KthreadSleeps)
	if s.RxDirect == 0 || s.RxDirect == count || s.RxDropped != 0 {
		t.Errorf("stats %+v", s)
	}
}

// sendBursts sends numbered datagrams, up to eight by one call.
func sendBursts(conn *net.UDPConn, to netip.AddrPort, count uint32) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := uint32(0); i < count; {
		var data []byte
		for n := min(1+random.Uint32N(8), count-i); n > 0; n-- {
			data = append(data, numbered(i)...)
			i++
		}
		if _, err := conn.WriteToUDPAddrPort(data, to); err != nil {
			return err
		}
		device.Spin(time.Duration(random.IntN(1 << random.IntN(18))))
	}
	return nil
}

// TestSenderTakesTheRingBackWhenItWasFull: frames that found no room are moved by the next
// sender when there is some, and from then on each goes by its own sender again.
func TestSenderTakesTheRingBackWhenItWasFull(t *testing.T) {
	device.Sandbox(t)
	l := newSegmenting(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	conn := l.ListenUDP(t, false, hostPort)
	to := l.PeerAddr(false, peerPort)
	next := uint32(0)
	send := func() {
		if _, err := conn.WriteToUDPAddrPort(numbered(next), to); err != nil {
			t.Fatal(err)
		}
		next++
	}
	expected := uint32(0)
	receive := func() {
		_, frame := q.Receive(t, nil)
		if d, ok := l.Parse(frame); !ok || !bytes.Equal(d.Payload, numbered(expected)) {
			t.Fatalf("frame %d came as another: %s, valid %v", expected, name(d.Payload), ok)
		}
		expected++
	}
	for q.Stats(t).RxRingFull == 0 {
		send()
	}
	send()
	for expected < next {
		receive()
	}
	const count = 20
	before := q.Settled(t)
	for range count {
		send()
		receive()
	}
	if s := q.Settled(t); s.RxDirect-before.RxDirect != count || s.RxDropped != 0 {
		t.Errorf("%d frames after a full ring was emptied: before %+v, after %+v", count, before, s)
	}
}

// TestSendersOfOneQueue: many at once, of whom each finds the ring taken by another now and
// then. Each one's frames come in their order, none is lost, and none waits for a next one.
func TestSendersOfOneQueue(t *testing.T) {
	const senders, count, rounds = 4, 200, 20 // of one round as many as may wait
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.SetNoQueue(t, l.Name) // a qdisc would have one sender do the work of all
	l.Queue().SetPoll(t, 0)
	for range rounds {
		var running []*sender
		for i := range senders {
			running = append(running, newSender(t, l, hostPort+i, count))
		}
		take(t, l, map[uint16]uint32{}, senders*count)
		for _, s := range running {
			s.running.Wait()
			s.conn.Close()
		}
	}
	checkNothingLost(t, l)
	s := l.Queue().Settled(t)
	t.Logf("%d frames, %d direct, %d sleeps", s.RxFrames, s.RxDirect, s.KthreadSleeps)
	if s.RxFrames != rounds*senders*count || s.RxDirect == 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestNoFrameIsLeftBehind: of many senders at once, who meet a full ring and a list that takes
// hardly any, most drop their frames. What one has left in the list comes all the same when
// the process makes room, without another frame after it.
func TestNoFrameIsLeftBehind(t *testing.T) {
	const senders, count, rounds = 4, 300, 20
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	device.SetNoQueue(t, l.Name)
	if err := netlink.LinkSetTxQLen(device.LinkOf(t, l.Name), 1); err != nil {
		t.Fatal(err)
	}
	q.SetPoll(t, 0)
	for round := range uint64(rounds) {
		var running []*sender
		for i := range senders {
			running = append(running, newSender(t, l, hostPort+i, count))
		}
		for _, s := range running {
			s.running.Wait()
			s.conn.Close()
		}
		device.WaitFor(t, "all frames that were not dropped", func() bool {
			q.DropAll()
			s := q.Stats(t)
			return s.RxFrames+s.RxDropped == (round+1)*senders*count
		})
	}
	if s := q.Stats(t); s.RxDropped == 0 || s.RxRingFull == 0 {
		t.Errorf("nothing was ever full: %+v", s)
	}
}

// TestProcessWithoutADoorbellGetsAll: nothing tells the kernel when it makes room, which it does
// a frame at a time while its senders go on. With back-pressure none is lost, and none waits
// for ever.
func TestProcessWithoutADoorbellGetsAll(t *testing.T) {
	const count = 20000
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Flags: device.Backpressure})
	if err := l.Queue().TrySetEventfds(device.NoEventfds); err != nil {
		t.Fatalf("eventfds taken back: %v", err)
	}
	device.SetFIFO(t, l.Name, len(l.Queues))
	s := newSender(t, l, hostPort, uint32(device.Times(count)))
	waitHeld(t, l)
	take(t, l, map[uint16]uint32{}, uint32(device.Times(count)))
	s.running.Wait()
	checkNothingLost(t, l)
	t.Logf("stopped %d times", stops(t, l))
}

// TestRoomIsMadeWhileTheThreadFallsAsleep: it has found the ring full, and nobody will ring for
// room. Before it sleeps the process makes some for one frame, which a sender fills, whose own
// frame then waits.
func TestRoomIsMadeWhileTheThreadFallsAsleep(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	if err := q.TrySetEventfds(device.NoEventfds); err != nil {
		t.Fatalf("eventfds taken back: %v", err)
	}
	conn := l.ListenUDP(t, false, hostPort)
	sent := uint64(0)
	send := func() {
		if _, err := conn.WriteToUDPAddrPort(numbered(uint32(sent)), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	for q.Stats(t).RxDirect == sent {
		send()
	}
	device.WaitFor(t, "the thread to find the ring full", func() bool { return q.Stats(t).RxRingFull > 0 })
	stop := device.StopAtReturn(t, "mytun_rx_may_sleep")
	stop.Wait(t)
	h, _, _ := q.Peek()
	q.Next(h)
	q.Release()
	send()
	stop.End(t)
	device.WaitFor(t, "the frame that waits", func() bool {
		q.DropAll()
		return q.Stats(t).RxFrames == sent
	})
}
