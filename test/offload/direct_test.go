// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"bytes"
	"math/rand/v2"
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
		spin(pause)
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

// TestStreamIsTheKernelThreads: a frame that follows another one soon is not
// put into the ring by its sender, for that would be a doorbell each.
func TestStreamIsTheKernelThreads(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{RxSize: 4 << 20})
	conn := l.ListenUDP(t, false, hostPort)
	const burst, bursts = 64, 20
	device.SetSegment(t, conn, heldSize)
	data := device.Pattern(1, burst*heldSize)
	for range bursts {
		if _, err := conn.WriteToUDPAddrPort(data, l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		for range burst {
			l.Queue().Receive(t, nil)
		}
	}
	s := l.Queue().Settled(t)
	t.Logf("%d frames, %d direct", s.RxFrames, s.RxDirect)
	if s.RxDirect > s.RxFrames/8 {
		t.Errorf("stats %+v", s)
	}
}

// TestOrderOfDirectFrames: random gaps around what is taken for a pause make
// frames take either way, and meet the kernel thread on its way to sleep. The
// process takes them now and then, so that some find the ring full.
func TestOrderOfDirectFrames(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	q.SetBackpressure(t, true)
	conn := l.ListenUDP(t, false, hostPort)
	const count = 20000
	done := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(1, 2))
		for i := range uint32(count) {
			if _, err := conn.WriteToUDPAddrPort(numbered(i), l.PeerAddr(false, peerPort)); err != nil {
				done <- err
				return
			}
			spin(time.Duration(random.IntN(1 << random.IntN(18))))
		}
		done <- nil
	}()
	for i := range uint32(count) {
		_, frame := q.Receive(t, nil)
		if d, ok := l.Parse(frame); !ok || !bytes.Equal(d.Payload, numbered(i)) {
			t.Fatalf("not frame %d, valid %v", i, ok)
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

// spin passes a time that is too short to sleep for.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}
