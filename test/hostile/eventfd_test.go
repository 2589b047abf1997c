// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// settles waits until the kernel's thread sleeps and nothing wakes it.
func settles(t *testing.T, q *device.Queue) {
	t.Helper()
	last, since := uint64(0), time.Now()
	device.WaitFor(t, "the kernel's thread to stay asleep", func() bool {
		if now := q.Stats(t).KthreadSleeps; now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 200*time.Millisecond
	})
}

func TestOneEventfdForAllDoorbells(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	event := device.Eventfd(t)
	l.Queue().SetEventfds(t, event, event, event)
	l.Exchange(t, false, 1, 100, 1400, 1400, 1400)
	settles(t, l.Queue())
	l.Exchange(t, false, 100)
}

// TestEventfdsClosedByTheProcessRingNoMore, and new ones heal the queue, a
// frame that nobody announced included.
func TestEventfdsClosedByTheProcessRingNoMore(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	conn := l.ListenUDP(t, false, hostPort)
	for _, fd := range []int{q.RxDoorbell, q.TxDoorbell, q.TxSpace} {
		end, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup2(end, fd); err != nil { // closes the eventfd, keeps the number
			t.Fatal(err)
		}
		unix.Close(end)
	}
	for range 50 {
		conn.WriteToUDPAddrPort([]byte("unheard"), l.PeerAddr(false, peerPort))
	}
	device.WaitFor(t, "frames without a doorbell", func() bool { return q.Stats(t).RxFrames == 50 })
	settles(t, q)
	q.Put(numbered(l, 1))
	q.Publish()
	q.SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	device.Expect(t, conn, number(1))
	for range 50 {
		q.Receive(t, l.To(peerPort))
	}
	conn.Close()
	l.Exchange(t, false, 100)
}

// TestSaturatedEventfdsStillWake: the counter cannot grow, the wake-up comes.
func TestSaturatedEventfdsStillWake(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, 0)
	for _, fd := range []int{q.RxDoorbell, q.TxSpace} {
		if _, err := unix.Write(fd, []byte{0xfe, 255, 255, 255, 255, 255, 255, 255}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		atomic.StoreUint32(q.Words.RxNeedWakeup, q.RxConsumer()-1)
		woken := make(chan bool, 1)
		go func() { woken <- q.WaitFrames(time.Now().Add(device.Deadline)) }()
		device.WaitFor(t, "the process to wait", func() bool {
			return atomic.LoadUint32(q.Words.RxNeedWakeup) == q.RxConsumer()
		})
		if _, err := conn.WriteToUDPAddrPort([]byte("wake"), l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		if !<-woken {
			t.Fatalf("wake-up %d was lost", i)
		}
		q.Receive(t, l.To(peerPort))
	}
	if s := q.Stats(t); s.RxDoorbells < 20 {
		t.Errorf("%d doorbells for 20 wake-ups", s.RxDoorbells)
	}
}

func TestDoorbellStormDelaysNothing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	storm := func() { device.Signal(q.TxDoorbell) }
	stop := background(t, storm, storm, storm)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		l.Exchange(t, false, 100, 1400)
	}
	stop()
	if s := q.Stats(t); s.TxDoorbells < 1000 {
		t.Errorf("%d doorbells only", s.TxDoorbells)
	}
	settles(t, q)
}

// TestEventfdsReplacedInAStorm swaps the eventfds while they are rung.
func TestEventfdsReplacedInAStorm(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	events := []int{device.Eventfd(t), device.Eventfd(t), device.Eventfd(t)}
	conn := l.ListenUDP(t, false, 0)
	storm := func() {
		for _, event := range events {
			device.Signal(event)
		}
	}
	stop := background(t, storm, storm, flood(conn, l))
	for i := range 30 {
		q.SetEventfds(t, events[i%3], events[(i+1)%3], events[(i+2)%3])
	}
	stop()
	l.Drain(t)
	l.Exchange(t, false, 100)
}

// TestDoorbellsDoNotLengthenTheQueue: a process that never makes room and rings
// again and again gets no more frames to wait than txqueuelen says.
func TestDoorbellsDoNotLengthenTheQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, device.PollMaxUsecs)
	conn := l.ListenUDP(t, false, 0)
	var stop atomic.Bool
	var ringing sync.WaitGroup
	ringing.Go(func() {
		for !stop.Load() {
			device.Signal(q.TxDoorbell)
		}
	})
	const limit = 1000
	sent := device.Times(40000) // many times what the ring and the list take
	for range sent {
		if _, err := conn.WriteToUDPAddrPort(make([]byte, 1000), l.PeerAddr(false, 9)); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	ringing.Wait()
	s := q.Settled(t)
	if waiting := uint64(sent) - s.RxFrames - s.RxDropped; waiting > limit+1 {
		t.Errorf("%d frames wait, at most %d may: %+v", waiting, limit, s)
	}
}
