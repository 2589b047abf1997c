// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func checkEvents(t *testing.T, f *device.File, when string, want int16) {
	t.Helper()
	if got := f.Events(t); got != want {
		t.Errorf("%s: poll says %#x, want %#x", when, got, want)
	}
}

func TestPollTellsEachState(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	checkEvents(t, f, "not attached", unix.POLLERR)
	name := f.Attach(t, "", device.TUN)
	checkEvents(t, f, "without rings", 0)
	f.SetRings(t, minRing, minRing)
	checkEvents(t, f, "with empty rings", unix.POLLOUT)
	device.Delete(t, name)
	checkEvents(t, f, "after the device's end", unix.POLLERR|unix.POLLHUP)
}

func TestPollTellsFrames(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	sendDown(t, l, "one")
	device.WaitFor(t, "POLLIN", func() bool { return q.Events(t) == unix.POLLIN|unix.POLLOUT })
	q.Receive(t, l.To(9))
	checkEvents(t, q.File, "after the frame was taken", unix.POLLOUT)
}

func sendDown(t *testing.T, l *device.Link, text string) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	if _, err := conn.WriteToUDPAddrPort([]byte(text), l.PeerAddr(false, 9)); err != nil {
		t.Fatal(err)
	}
}

// pollInBackground polls for input, and sends what it got, or 0 at the end. It
// returns when the poller sleeps.
func pollInBackground(t *testing.T, f *device.File) <-chan int16 {
	t.Helper()
	result, thread := make(chan int16, 1), make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		fds := []unix.PollFd{{Fd: int32(f.FD), Events: unix.POLLIN}}
		device.Restart(func() (int, error) {
			return unix.Poll(fds, int(device.Deadline/time.Millisecond))
		})
		result <- fds[0].Revents
	}()
	poller := <-thread
	device.WaitFor(t, "the poller to sleep", func() bool { return device.IsAsleep(t, poller) })
	return result
}

func TestFrameWakesAPoller(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	for range 20 {
		result := pollInBackground(t, l.Queue().File)
		sendDown(t, l, "wake")
		if got := <-result; got != unix.POLLIN {
			t.Fatalf("poll said %#x", got)
		}
		l.Queue().Receive(t, l.To(9))
	}
}

// TestFrameWakesAPollerBesideTraffic: what happens in the other direction does
// not use up the poller's wake-up.
func TestFrameWakesAPollerBesideTraffic(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	for range 20 {
		result := pollInBackground(t, q.File)
		// one that is refused calls forth no answer
		q.PutRaw(device.Header{Length: 20, Flags: 1 << 31}, nil, device.Footprint(20))
		q.Publish()
		q.WaitTaken(t)
		sendDown(t, l, "wake")
		if got := <-result; got != unix.POLLIN {
			t.Fatalf("poll said %#x", got)
		}
		q.Receive(t, l.To(9))
	}
}

// TestRoomIsSeenWithoutADoorbell: a process that has no eventfds takes what filled
// the ring, and what waited comes.
func TestRoomIsSeenWithoutADoorbell(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	if err := q.TrySetEventfds(device.NoEventfds); err != nil {
		t.Fatal(err)
	}
	conn := l.ListenUDP(t, false, 0)
	const frames = 400
	for range frames {
		if _, err := conn.WriteToUDPAddrPort(make([]byte, 1000), l.PeerAddr(false, 9)); err != nil {
			t.Fatal(err)
		}
	}
	device.WaitFor(t, "a full ring", func() bool { return q.Stats(t).RxRingFull > 0 })
	taken := 0
	device.WaitFor(t, "all frames", func() bool {
		for h, _, ok := q.Peek(); ok; h, _, ok = q.Peek() {
			q.Next(h)
			q.Release()
			taken++
		}
		return taken >= frames
	})
}

func TestDeviceEndWakesAPoller(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	result := pollInBackground(t, l.Queue().File)
	device.Delete(t, l.Name)
	if got := <-result; got != unix.POLLERR|unix.POLLHUP {
		t.Errorf("poll said %#x", got)
	}
}

// TestEdgeTriggeredEpollSeesEveryBatch consumes only what epoll announced.
func TestEdgeTriggeredEpollSeesEveryBatch(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	epoll := device.NewEpoll(t)
	device.WatchEdges(t, epoll, l.Queue().FD)
	var events [1]unix.EpollEvent
	for i := range 50 {
		sendDown(t, l, strconv.Itoa(i))
		for found := false; !found; {
			n, err := unix.EpollWait(epoll, events[:], int(device.Deadline/time.Millisecond))
			if err != unix.EINTR && n != 1 {
				t.Fatalf("frame %d was not announced: %v", i, err)
			}
			_, _, found = l.Queue().Peek()
		}
		l.Queue().Receive(t, l.To(9))
	}
}

func TestFdinfoTellsTheQueue(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	if info := f.Fdinfo(t); info["iff"] != "" || info["state"] != "0x0" {
		t.Errorf("before attach: %v", info)
	}
	f.Attach(t, "myinfo", device.TUN|device.Multi)
	g := device.Open(t)
	g.Attach(t, "myinfo", device.TUN|device.Multi)
	g.SetRings(t, minRing, 2*minRing)
	g.SetPoll(t, 77)
	info := g.Fdinfo(t)
	for key, want := range map[string]string{
		"iff": "myinfo", "queue": "1", "state": "0x0", "poll_us": "77",
		"rx_size": strconv.Itoa(minRing), "tx_size": strconv.Itoa(2 * minRing),
		"rx_used": "0", "tx_used": "0",
		"rx_frames": "0", "rx_ring_full": "0", "tx_refused_vnet": "0", "tx_space_suppressed": "0",
	} {
		if info[key] != want {
			t.Errorf("%s is %q, want %q", key, info[key], want)
		}
	}
	if _, ok := info["kthread_sleeps"]; !ok {
		t.Errorf("no kthread_sleeps in %v", info)
	}
	device.Delete(t, "myinfo")
	if info := g.Fdinfo(t); info["iff"] != "" || info["state"] != "0x1" {
		t.Errorf("after the device's end: %v", info)
	}
}

// TestFdinfoTellsTheNamespace: that of the device, wherever the file was opened and the
// process is.
func TestFdinfoTellsTheNamespace(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "myspace", device.TUN)
	if got, want := f.Fdinfo(t)["netns"], namespaceNumber(t); got != want {
		t.Errorf("netns is %q, want %q", got, want)
	}
	other := device.NewNamespace(t)
	device.Move(t, name, other)
	var want string
	device.Inside(t, other, func() { want = namespaceNumber(t) })
	if got := f.Fdinfo(t)["netns"]; got != want {
		t.Errorf("netns of a device that was moved is %q, want %q", got, want)
	}
}

// namespaceNumber is the number of the thread's network namespace.
func namespaceNumber(t *testing.T) string {
	t.Helper()
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(link, "net:[]")
}

// TestFdinfoTellsWhatIsInTheRings: the frames that the process has not taken, and of what the
// process says no more than can be.
func TestFdinfoTellsWhatIsInTheRings(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	const frames, payload = 3, 100
	for range frames {
		sendDown(t, l, strings.Repeat("x", payload))
	}
	want := strconv.Itoa(int(frames * device.Footprint(device.IPHeader(false)+8+payload)))
	device.WaitFor(t, "the frames to come", func() bool { return q.Fdinfo(t)["rx_used"] == want })
	atomic.StoreUint32(q.Words.RxConsumer, atomic.LoadUint32(q.Words.RxProducer)+64)
	atomic.StoreUint32(q.Words.TxProducer, atomic.LoadUint32(q.Words.TxConsumer)-64)
	for _, ring := range []string{"rx", "tx"} {
		if info := q.Fdinfo(t); info[ring+"_used"] != info[ring+"_size"] {
			t.Errorf("%s_used is %q of %q", ring, info[ring+"_used"], info[ring+"_size"])
		}
	}
}
