// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// TestFullRxRingLosesOnlyWhatItCounts: the process stands still while the
// kernel sends. What was accepted arrives in order; the rest is counted.
func TestFullRxRingLosesOnlyWhatItCounts(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, hostPort)
	q := l.Queue()
	const count = 4000
	base := device.Pattern(21, 1000)
	for i := range uint32(count) {
		if _, err := conn.WriteToUDPAddrPort(numbered(base, i), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
	}
	device.WaitFor(t, "a full ring", func() bool { return q.Stats(t).RxRingFull == 1 })
	s := q.Settled(t)
	if s.RxDropped == 0 || s.RxDropped >= count {
		t.Fatalf("stats %+v", s)
	}
	accepted := count - s.RxDropped
	takeRising(t, l, accepted)
	after := q.Settled(t)
	if after.RxFrames != accepted || after.RxDropped != s.RxDropped {
		t.Errorf("accepted %d, dropped %d, then %+v", accepted, s.RxDropped, after)
	}
	checkDeviceCounters(t, l)
	conn.Close()
	l.Exchange(t, false, 1000)
}

// takeRising takes frames whose numbers rise, with gaps where some were lost.
func takeRising(t *testing.T, l *device.Link, want uint64) {
	t.Helper()
	last := int64(-1)
	for range want {
		_, frame := l.Queue().Receive(t, nil)
		d, ok := l.Parse(frame)
		got, intact := sequenceOf(d.Payload)
		if !ok || !intact || int64(got) <= last {
			t.Fatalf("frame %d after %d, parsed %v, intact %v", got, last, ok, intact)
		}
		last = int64(got)
	}
}

// TestFullRxRingWhoseDoorbellIsTakenAway: the kernel's thread sleeps until the process says
// that it made room. Without a doorbell the process can't, and the thread has to look by itself.
func TestFullRxRingWhoseDoorbellIsTakenAway(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, hostPort)
	q := l.Queue()
	base := device.Pattern(23, 1000)
	const count = 400 // more than the ring has room for, fewer than may wait besides
	for i := range uint32(count) {
		if _, err := conn.WriteToUDPAddrPort(numbered(base, i), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
	}
	device.WaitFor(t, "a full ring", func() bool { return q.Stats(t).RxRingFull == 1 })
	if s := q.Settled(t); s.RxFrames == 0 || s.RxFrames >= count || s.RxDropped != 0 {
		t.Fatalf("stats %+v", s)
	}
	q.SetEventfds(t, q.RxDoorbell, -1, q.TxSpace)
	takeRising(t, l, count)
}

// TestFullRxRingOfEachFrameSize stalls with frames that leave odd remainders
// of room, the largest included, and takes them again, several times.
func TestFullRxRingOfEachFrameSize(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{MTU: 65535})
	conn := l.ListenUDP(t, false, hostPort)
	next := uint64(0)
	for _, size := range []int{65507, 40000, 21000, 9000, 1000, 100} {
		base := device.Pattern(uint64(size), size)
		n := min(2*minRing/size+3, 900)
		for i := range uint32(n) {
			if _, err := conn.WriteToUDPAddrPort(numbered(base, uint32(next)+i), l.PeerAddr(false, peerPort)); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			_, frame := l.Queue().Receive(t, l.To(peerPort))
			d, _ := l.Parse(frame)
			if got, ok := sequenceOf(d.Payload); !ok || got != uint32(next) || len(d.Payload) != size {
				t.Fatalf("frame %d of %d bytes came as %d of %d", next, size, got, len(d.Payload))
			}
			next++
		}
	}
	if s := l.Queue().Settled(t); s.RxDropped != 0 || s.RxRingFull == 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestFullTxRingWaitsForSpace: a sender that is always ahead of the kernel
// sleeps on the space eventfd, and loses nothing. The kernel's thread must be
// awake throughout: what is announced by a doorbell is taken within the call.
func TestFullTxRingWaitsForSpace(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{MTU: 9000})
	q := l.Queue()
	q.SetPoll(t, device.PollMaxUsecs)
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: 1, Payload: make([]byte, 8000)})
	waits := 0
	const count = 6000
	for range count {
		if q.Room() < device.Footprint(len(frame)) {
			waits++
			if !q.WaitSpace(len(frame), time.Now().Add(device.Deadline)) {
				t.Fatalf("no space: %+v", q.Stats(t))
			}
		}
		q.Put(frame)
		q.Publish()
	}
	q.WaitTaken(t)
	device.WaitFor(t, "all frames", func() bool { return q.Stats(t).TxFrames == count })
	s := q.Settled(t)
	t.Logf("%d waits, %d signals, %d suppressed", waits, s.TxSpaceSignals, s.TxSpaceSuppressed)
	if waits == 0 || s.TxSpaceSignals == 0 || s.Refused() != 0 || s.TxDroppedMemory != 0 {
		t.Errorf("%d waits, stats %+v", waits, s)
	}
}

// TestFullTxRingKeepsOrder fills the whole ring before each announcement.
func TestFullTxRingKeepsOrder(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	base := device.Pattern(22, 1000)
	next, expected := uint32(0), uint32(0)
	for range 20 {
		for {
			frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: numbered(base, next)})
			if q.Room() < device.Footprint(len(frame)) {
				break
			}
			q.Put(frame)
			next++
		}
		q.Publish()
		for ; expected < next; expected++ {
			device.Expect(t, conn, numbered(base, expected))
		}
		q.WaitTaken(t)
	}
	if s := q.Settled(t); s.TxFrames != uint64(next) || next < 20*100 {
		t.Errorf("%d frames sent, stats %+v", next, s)
	}
}

// TestBothRingsFullAtOnce: neither direction may hold the other up.
func TestBothRingsFullAtOnce(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, hostPort)
	payload := make([]byte, 1400)
	for range 500 {
		if _, err := conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
	}
	device.WaitFor(t, "a full rx ring", func() bool { return l.Queue().Stats(t).RxRingFull == 1 })
	up(t, l, conn, 2000, []int{1000})
	var both sync.WaitGroup
	both.Go(func() { up(t, l, conn, 2000, []int{1000}) })
	for range 500 {
		l.Queue().Receive(t, l.To(peerPort))
	}
	both.Wait()
}
