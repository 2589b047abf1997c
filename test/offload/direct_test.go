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
	if s := q.Settled(t); s.RxDirect-before.RxDirect != count || s.KthreadSleeps != before.KthreadSleeps || s.RxDropped != 0 {
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
