// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A result is what a call in the background came back with.
type result struct {
	n   int
	err error
}

// background makes a call on a thread of its own, and returns when it sleeps in
// it. The call is made again if a signal of Go's runtime ends it.
func background(t *testing.T, call func() (int, error)) <-chan result {
	t.Helper()
	done, thread := start(call)
	device.WaitFor(t, "the call to sleep", func() bool { return len(done) > 0 || device.IsAsleep(t, thread) })
	if len(done) > 0 {
		r := <-done
		t.Fatalf("the call was to sleep, but returned %d, %v", r.n, r.err)
	}
	return done
}

// start makes a call in a thread of its own.
func start(call func() (int, error)) (<-chan result, int) {
	done, thread := make(chan result, 1), make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		n, err := device.Restart(call)
		done <- result{n, err}
	}()
	return done, <-thread
}

// finish waits for a call of background's.
func finish(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(device.Deadline):
		t.Fatal("the call sleeps on")
		return result{}
	}
}

func TestFrameWakesAReader(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		p.SetBlocking(t, true)
		for i := range 20 {
			b := make([]byte, 2000)
			done := background(t, func() (int, error) { return unix.Read(p.FD, b) })
			payload := device.Pattern(uint64(i), 50)
			down(t, p.Link, payload)
			r := finish(t, done)
			if r.err != nil {
				t.Fatalf("read: %v", r.err)
			}
			checkDown(t, p.Link, b[:r.n], payload)
		}
	})
}

// TestManyReadersGetAFrameEach: one wakes all, and those who get none sleep on.
func TestManyReadersGetAFrameEach(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		p.SetBlocking(t, true)
		const readers = 8
		var done []<-chan result
		for range readers {
			done = append(done, background(t, func() (int, error) { return unix.Read(p.FD, make([]byte, 2000)) }))
		}
		for range readers {
			down(t, p.Link, []byte("for one"))
		}
		for _, d := range done {
			if r := finish(t, d); r.err != nil || r.n != len(up(p.Link, []byte("for one"))) {
				t.Errorf("read: %d, %v", r.n, r.err)
			}
		}
	})
}

// TestDeviceEndWakesAReader with the error that stock tun has for it.
func TestDeviceEndWakesAReader(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		p.SetBlocking(t, true)
		done := background(t, func() (int, error) { return unix.Read(p.FD, make([]byte, 2000)) })
		device.Delete(t, p.Name)
		expect(t, "read of a device that went", finish(t, done).err, unix.EFAULT)
		checkNotAttached(t, p.File)
	})
}

// poll waits for events of a file in the background, for longer than finish does, and
// tells those that came.
func poll(t *testing.T, f *device.File, events int16) <-chan result {
	t.Helper()
	return background(t, func() (int, error) {
		fds := []unix.PollFd{{Fd: int32(f.FD), Events: events}}
		_, err := unix.Poll(fds, int(2*device.Deadline/time.Millisecond))
		return int(fds[0].Revents), err
	})
}

func TestPollIsWoken(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		if got := p.Events(t); got != unix.POLLOUT {
			t.Errorf("poll says %#x of an idle device", got)
		}
		done := poll(t, p.File, unix.POLLIN)
		down(t, p.Link, []byte("wake"))
		if r := finish(t, done); r.n != unix.POLLIN {
			t.Errorf("poll says %#x, %v when a frame came", r.n, r.err)
		}
		if got := p.Events(t); got != unix.POLLIN|unix.POLLOUT {
			t.Errorf("poll says %#x beside a frame", got)
		}
		read(t, p.File, 2000)
		device.Down(t, p.Name)
		done = poll(t, p.File, unix.POLLIN|unix.POLLOUT)
		device.Up(t, p.Name)
		if r := finish(t, done); r.n != unix.POLLOUT {
			t.Errorf("poll says %#x, %v when the device came up", r.n, r.err)
		}
		done = poll(t, p.File, unix.POLLIN)
		device.Delete(t, p.Name)
		if r := finish(t, done); r.n != unix.POLLERR {
			t.Errorf("poll says %#x, %v when the device went", r.n, r.err)
		}
	})
}

// TestEdgesComeWithEachFrame: also while an earlier one has not been read.
func TestEdgesComeWithEachFrame(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		epoll := device.NewEpoll(t)
		device.WatchEdges(t, epoll, p.FD)
		var events [1]unix.EpollEvent
		for i := range 50 {
			down(t, p.Link, []byte(strconv.Itoa(i)))
			n, err := device.Restart(func() (int, error) {
				return unix.EpollWait(epoll, events[:], int(device.Deadline/time.Millisecond))
			})
			if n != 1 {
				t.Fatalf("frame %d was not announced: %v", i, err)
			}
		}
		for i := range 50 {
			checkDown(t, p.Link, read(t, p.File, 2000), []byte(strconv.Itoa(i)))
		}
	})
}

func TestFramesRaiseSIGIO(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		came := make(chan os.Signal, 1)
		signal.Notify(came, unix.SIGIO)
		defer signal.Stop(came)
		flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		setFlags(t, p.File, flags|unix.O_ASYNC)
		for i := range 3 {
			down(t, p.Link, []byte("signal"))
			select {
			case <-came:
			case <-time.After(device.Deadline):
				t.Fatalf("frame %d raised no SIGIO", i)
			}
		}
		setFlags(t, p.File, flags)
	})
}

func setFlags(t *testing.T, f *device.File, flags int) {
	t.Helper()
	if _, err := unix.FcntlInt(uintptr(f.FD), unix.F_SETFL, flags); err != nil {
		t.Fatalf("F_SETFL %#x: %v", flags, err)
	}
}

// TestSendBufferBoundsWhatIsInFlight: a write that would go beyond it fails or
// waits, and poll tells when there is room.
func TestSendBufferBoundsWhatIsInFlight(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := device.NewPort(t, node, device.Config{TAP: true, NoAddresses: true})
		device.HoldFrames(t, p.Name)
		setSendBuffer(t, p.File, 4096)
		frame := up(p.Link, device.Pattern(1, 1000))
		fill(t, p, frame)
		if got := p.Events(t); got != 0 {
			t.Errorf("poll says %#x beside a full buffer", got)
		}
		polled := poll(t, p.File, unix.POLLOUT)
		device.DropHeld(t)
		if r := finish(t, polled); r.n != unix.POLLOUT {
			t.Errorf("poll says %#x, %v when there was room", r.n, r.err)
		}
		write(t, p.File, frame)
	})
}
