// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

const hold = 100 * time.Millisecond

// holding is the longest holding time, and as many frames as come.
var holding = device.Coalesce{RxUsecs: uint32(hold / time.Microsecond), RxFrames: 1 << 30, TxUsecs: 50}

// TestLoneFramesAreToldAtOnce: each is taken before the next is sent, at once or
// after a pause. Were each doorbell held, this would take as many times the
// holding time.
func TestLoneFramesAreToldAtOnce(t *testing.T) {
	for name, pause := range map[string]time.Duration{"no pause": 0, "a pause": 50 * time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{})
			device.SetCoalesce(t, l.Name, holding)
			const count = 1000
			begin := time.Now()
			oneByOne(t, l, count, pause)
			if took := time.Since(begin); took > count*hold/4 {
				t.Errorf("%d frames took %v, with a holding time of %v", count, took, hold)
			}
		})
	}
}

// oneByOne sends a frame when the one before was taken.
func oneByOne(t *testing.T, l *device.Link, count int, pause time.Duration) {
	t.Helper()
	conn := l.ListenUDP(t, false, hostPort)
	defer conn.Close()
	for range count {
		if _, err := conn.WriteToUDPAddrPort([]byte("x"), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		if !takeOne(l.Queue()) {
			t.Fatalf("no frame: %+v", l.Queue().Stats(t))
		}
		device.Spin(pause)
	}
}

// TestLoneFramesAfterAStreamAreToldAtOnce: a burst that is held to the end of a
// long holding time costs one frame, not all that follow.
func TestLoneFramesAfterAStreamAreToldAtOnce(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.SetCoalesce(t, l.Name, holding)
	const rounds, alone = 10, 20
	begin := time.Now()
	for range rounds {
		burst(t, l, 200)
		oneByOne(t, l, alone, 0)
	}
	if took := time.Since(begin); took > rounds*alone*hold/2 {
		t.Errorf("%d bursts and %d frames after each took %v, with a holding time of %v", rounds, alone, took, hold)
	}
}

// burst sends frames as fast as it can, and takes them meanwhile.
func burst(t *testing.T, l *device.Link, count int) {
	t.Helper()
	conn := l.ListenUDP(t, false, hostPort)
	defer conn.Close()
	var sending sync.WaitGroup
	sending.Go(func() {
		for range count {
			if _, err := conn.WriteToUDPAddrPort([]byte("x"), l.PeerAddr(false, peerPort)); err != nil {
				t.Errorf("send: %v", err)
				return
			}
		}
	})
	defer sending.Wait()
	if !take(l.Queue(), count) {
		t.Errorf("not all frames of a burst came: %+v", l.Queue().Stats(t))
	}
}

// TestFewFramesAreToldInTheEnd: a sleeper that wants more than will ever come is
// woken by the timer, whoever put the frames into the ring.
func TestFewFramesAreToldInTheEnd(t *testing.T) {
	for name, poll := range map[string]uint32{"thread asleep": 0, "thread awake": device.PollMaxUsecs} {
		t.Run(name, func(t *testing.T) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{})
			c := holding
			c.TxUsecs = poll
			device.SetCoalesce(t, l.Name, c)
			l.Queue().Ahead = minRing / 2
			sleepAndTake(t, l, 20, 3)
		})
	}
}

// TestEnoughFramesAreToldAtOnce: a sleeper that wants a few frames more is woken
// by the last of them, and none comes after it that would have to wait for more.
// Were it by the timer, this would take as many times the holding time.
func TestEnoughFramesAreToldAtOnce(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.SetCoalesce(t, l.Name, holding)
	const rounds, burst = 200, 9 // a machine that stands still for seconds does not take for half of them what the timer would
	l.Queue().Ahead = (burst - 1) * device.FrameAlign
	begin := time.Now()
	sleepAndTake(t, l, rounds, burst)
	if took := time.Since(begin); took > rounds*hold/2 {
		t.Errorf("%d rounds took %v, with a holding time of %v", rounds, took, hold)
	}
}

// sleepAndTake puts the process to sleep and sends it a burst of the smallest
// frames, again and again.
func sleepAndTake(t *testing.T, l *device.Link, rounds, burst uint32) {
	t.Helper()
	q, conn := l.Queue(), l.ListenUDP(t, false, hostPort)
	for i := range rounds {
		taken := make(chan bool)
		go func() { taken <- take(q, int(burst)) }()
		if !becomes(q.Words.RxNeedWakeup, burst*i*device.FrameAlign+q.Ahead) {
			t.Fatalf("round %d: the process does not sleep", i)
		}
		for range burst {
			if _, err := conn.WriteToUDPAddrPort([]byte("x"), l.PeerAddr(false, peerPort)); err != nil {
				t.Fatal(err)
			}
		}
		if !<-taken {
			t.Fatalf("round %d: no doorbell: %+v", i, q.Stats(t))
		}
	}
	if s := q.Settled(t); s.RxDoorbells < uint64(rounds)/2 {
		t.Errorf("the process was not asleep: %+v", s)
	}
}

// take sleeps for frames until it has taken n.
func take(q *device.Queue, n int) bool {
	for range n {
		if !takeOne(q) {
			return false
		}
	}
	return true
}

// TestSleeperIsToldOfAsMuchAsItWants: a doorbell is worth either so many bytes or
// the holding time.
func TestSleeperIsToldOfAsMuchAsItWants(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{RxSize: 8 * minRing})
	device.SetCoalesce(t, l.Name, holding)
	q := l.Queue()
	const (
		payload = 64
		most    = 250 // frames to a doorbell
		count   = 40 * most
	)
	frame := device.Footprint(28 + payload)
	q.Ahead = (most - 1) * frame
	conn := l.ListenUDP(t, false, hostPort)
	begin := time.Now()
	limit := make(window, 4*most)
	var sending sync.WaitGroup
	sending.Go(func() {
		base := device.Pattern(13, payload)
		for i := uint32(0); i < count && limit.open(t); i++ {
			if _, err := conn.WriteToUDPAddrPort(numbered(base, i), l.PeerAddr(false, peerPort)); err != nil {
				t.Errorf("send: %v", err)
				return
			}
		}
	})
	defer sending.Wait()
	for i := uint32(0); i < count; {
		if !q.WaitFrames(time.Now().Add(device.Deadline)) {
			t.Fatalf("frame %d did not come: %+v", i, q.Stats(t))
		}
		for h, got, ok := q.Peek(); ok && i < count; h, got, ok = q.Peek() {
			if !checkDown(t, l, got, i, []int{payload}) {
				return
			}
			q.Next(h)
			q.Release()
			limit.close()
			i++
		}
	}
	s := q.Settled(t)
	allowed := uint64(count/most) + uint64(time.Since(begin)/hold) + 1
	t.Logf("%d doorbells for %d frames, %d allowed", s.RxDoorbells, count, allowed)
	if s.RxDoorbells > allowed {
		t.Errorf("%d doorbells for %d frames, at most %d are due: %+v", s.RxDoorbells, count, allowed, s)
	}
}
