// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A waiter is a thread that sleeps in a call.
type waiter struct {
	thread int
	done   chan error
}

// startWaiter makes a call on a thread of its own, and returns when it sleeps in it. The
// call is made again if a signal of Go's runtime ends it.
func startWaiter(t *testing.T, call func() error) *waiter {
	t.Helper()
	w := &waiter{done: make(chan error, 1)}
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		err := call()
		for err == unix.EINTR {
			err = call()
		}
		w.done <- err
	}()
	w.thread = <-thread
	device.WaitFor(t, "the call to sleep", func() bool { return device.IsAsleep(t, w.thread) })
	return w
}

// finish waits for the call to come back.
func (w *waiter) finish(t *testing.T) {
	t.Helper()
	select {
	case err := <-w.done:
		if err != nil {
			t.Errorf("the call came back with %v", err)
		}
	case <-time.After(device.Deadline):
		t.Error("the call sleeps on")
	}
}

// disturbances is how many events of the other direction a waiter is to sleep through.
const disturbances = 200

// checkUndisturbed counts how often the thread was woken by events of the other direction. Signals of Go's runtime may wake it too, but not often.
func (w *waiter) checkUndisturbed(t *testing.T, what string, f func()) {
	t.Helper()
	before := device.Sleeps(t, w.thread)
	for range disturbances {
		f()
		device.WaitFor(t, "the waiter to sleep on", func() bool { return device.IsAsleep(t, w.thread) })
	}
	if n := device.Sleeps(t, w.thread) - before; n > disturbances/10 {
		t.Errorf("%s: woken %d times by %d events of the other direction", what, n, disturbances)
	}
}

func pollFor(f *device.File, events int16) error {
	fds := []unix.PollFd{{Fd: int32(f.FD), Events: events}}
	n, err := unix.Poll(fds, -1) // for as long as the disturbances take: see finish
	if err == nil && (n == 0 || fds[0].Revents&events == 0) {
		return fmt.Errorf("poll: %d, %#x", n, fds[0].Revents)
	}
	return err
}

func epollFor(epoll int) error {
	var events [1]unix.EpollEvent
	n, err := unix.EpollWait(epoll, events[:], -1)
	if err == nil && n == 0 {
		return fmt.Errorf("epoll_wait: no event")
	}
	return err
}

// TestSendingWakesNobodyWhoWaitsForFrames: room in the tx ring is of no interest to who
// waits for the rx ring, by whatever call.
func TestSendingWakesNobodyWhoWaitsForFrames(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(t *testing.T, q *device.Queue) func() error
	}{
		{"poll", func(_ *testing.T, q *device.Queue) func() error {
			return func() error { return pollFor(q.File, unix.POLLIN) }
		}},
		{"epoll, edge-triggered", func(t *testing.T, q *device.Queue) func() error {
			epoll := device.NewEpoll(t)
			device.WatchEdges(t, epoll, q.FD)
			return func() error { return epollFor(epoll) }
		}},
		{"read", func(_ *testing.T, q *device.Queue) func() error {
			return func() error { _, err := unix.Read(q.FD, make([]byte, 8)); return err }
		}},
		{"MYTUN_IOC_WAIT", func(_ *testing.T, q *device.Queue) func() error {
			return func() error { return q.TryWait() }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{})
			q := l.Queue()
			w := startWaiter(t, c.wait(t, q))
			w.checkUndisturbed(t, c.name, func() {
				// a frame that is refused is answered by nobody
				q.PutRaw(device.Header{Length: 20, Flags: 1 << 31}, nil, device.Footprint(20))
				q.Publish()
				q.WaitTaken(t)
			})
			sendDown(t, l, 1)
			w.finish(t)
		})
	}
}

// sendDown makes the kernel send so many datagrams to the process.
func sendDown(t *testing.T, l *device.Link, n int) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	defer conn.Close()
	for range n {
		if _, err := conn.WriteToUDPAddrPort([]byte("down"), l.PeerAddr(false, device.PeerPort)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFramesWakeNobodyWhoWaitsForRoom: nor is the rx ring to who waits for room to write.
func TestFramesWakeNobodyWhoWaitsForRoom(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(f *device.File, frame []byte) error
	}{
		{"poll", func(f *device.File, _ []byte) error { return pollFor(f, unix.POLLOUT) }},
		{"write", func(f *device.File, frame []byte) error { _, err := unix.Write(f.FD, frame); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			device.Sandbox(t)
			f := device.Open(t)
			name := f.Attach(t, "", device.TAP)
			f.SetRings(t, device.RingSizeMin, 0)
			q := device.MapQueue(t, f)
			l := device.Configure(t, name, device.Config{TAP: true})
			frame := l.Frame(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: make([]byte, 1000)})
			device.HoldFrames(t, name)
			fillSendBuffer(t, f, frame)
			w := startWaiter(t, func() error { return c.wait(f, frame) })
			w.checkUndisturbed(t, c.name, func() {
				sendDown(t, l, 1)
				device.WaitFor(t, "the frame", func() bool { _, _, ok := q.Peek(); return ok })
				q.DropAll()
			})
			device.DropHeld(t)
			w.finish(t)
		})
	}
}

// fillSendBuffer writes until a write would wait.
func fillSendBuffer(t *testing.T, f *device.File, frame []byte) {
	t.Helper()
	if err := f.SetInt(unix.TUNSETSNDBUF, 4096); err != nil {
		t.Fatalf("TUNSETSNDBUF: %v", err)
	}
	f.SetBlocking(t, false)
	defer f.SetBlocking(t, true)
	for range 100 {
		if _, err := unix.Write(f.FD, frame); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	t.Fatal("100 frames went into a send buffer of 4096 bytes")
}

// TestParkedQueueSleeps: its ring is full, and it has no tx doorbell by which it could
// hear of room. What waited for room is not for the process any more, nor what the
// thread has in its hands just then: it looks for room as often as it can.
func TestParkedQueueSleeps(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Flags: device.Multi})
	q := l.Queue()
	if err := q.TrySetEventfds(device.Eventfds{RxDoorbell: int32(q.RxDoorbell), TxDoorbell: -1, TxSpace: int32(q.TxSpace)}); err != nil {
		t.Fatal(err)
	}
	q.SetPoll(t, device.PollMaxUsecs)
	thread := device.TaskNamed(t, device.Kthreads(l.Name)[0])
	for range 20 {
		full := q.Stats(t).RxRingFull
		sendDown(t, l, 3000)
		device.WaitFor(t, "the rx ring to be full", func() bool { return q.Stats(t).RxRingFull > full })
		q.SetQueue(t, unix.IFF_DETACH_QUEUE)
		waitAsleepForGood(t, thread)
		q.SetQueue(t, unix.IFF_ATTACH_QUEUE)
		q.DropAll()
	}
	sendDown(t, l, 1)
	q.Receive(t, nil)
}

func waitAsleepForGood(t *testing.T, thread int) {
	t.Helper()
	const undisturbed = 200 * time.Millisecond
	last, since := device.Sleeps(t, thread), time.Now()
	device.WaitFor(t, "the kernel thread to sleep for good", func() bool {
		if n := device.Sleeps(t, thread); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > undisturbed
	})
}

// TestNobodySpinsBesideATasklet: while one processor is busy with the frames of a queue,
// another asks again and again for them to be looked at. Each time it may look, and then
// it does not wait: the work is in hands already.
func TestNobodySpinsBesideATasklet(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor: nothing runs beside a tasklet")
	}
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TxSize: 1 << 20})
	q := l.Queue()
	device.Pin(t, device.TaskNamed(t, device.Kthreads(l.Name)[0]), 0)
	frame := l.Frame(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: make([]byte, 10)})
	var over atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		runtime.LockOSThread()
		device.Pin(t, 0, 0)
		for !over.Load() {
			if q.Room() >= device.Footprint(len(frame)) {
				q.Put(frame)
				q.Publish()
			}
		}
	})
	device.Pin(t, 0, 1)
	f := &device.File{FD: q.FD}
	f.SetBlocking(t, false)
	const calls = 2000
	runs, frames := device.TaskletRunsOf(t, 1), q.Stats(t).TxFrames
	for range calls / 2 {
		unix.Write(f.FD, nil)
		f.TryWait()
	}
	runs, frames = device.TaskletRunsOf(t, 1)-runs, q.Stats(t).TxFrames-frames
	over.Store(true)
	sender.Wait()
	t.Logf("%d calls, beside %d frames: %d runs of tasklets on their processor", calls, frames, runs)
	if most := uint64(calls + calls/10); runs > most {
		t.Errorf("%d runs of tasklets for %d calls", runs, calls)
	}
}
