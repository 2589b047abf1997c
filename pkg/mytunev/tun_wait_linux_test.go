// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"golang.org/x/sys/unix"
)

// eachWait runs a test for goroutines that keep their thread and for others.
func eachWait(t *testing.T, test func(t *testing.T, locked bool)) {
	for name, locked := range map[string]bool{"poller": false, "thread": true} {
		t.Run(name, func(t *testing.T) { test(t, locked) })
	}
}

// TestTunSleeperHasNoP: a Run that waits is parked, unless it keeps its thread.
func TestTunSleeperHasNoP(t *testing.T) {
	eachWait(t, func(t *testing.T, locked bool) {
		q, _ := newFakeTunOf(t, 0, tunRingMin, locked)
		wait := start(t.Context(), q, takeAll)
		state := "[IO wait"
		if locked {
			state = "[syscall"
		}
		untilRunIs(t, state)
		q.Close()
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	})
}

// TestTunNoWakeupIsLost puts Run to sleep again and again, at all stages of falling asleep,
// while somebody kicks it awake for nothing.
func TestTunNoWakeupIsLost(t *testing.T) {
	eachWait(t, func(t *testing.T, locked bool) {
		q, k := newFakeTunOf(t, 0, tunRingMin, locked)
		handed := make(chan byte)
		wait := start(t.Context(), q, func(b *Batch) error {
			for f := range b.Frames() {
				handed <- f.Data[0]
			}
			return nil
		})
		frames, kicking := make(chan int), make(chan struct{})
		go func() { // a few times a frame: more would only keep the sleeper from its thread
			defer close(kicking)
			for i := range frames {
				for range i % 4 {
					q.port.frames.kick()
					runtime.Gosched()
				}
			}
		}()
		for i := range 10000 {
			frames <- i
			if i%3 != 0 {
				runtime.Gosched()
			}
			k.send([]byte{byte(i)})
			if i%5 == 0 { // with what follows in time for a look that is left out, or too late
				k.send([]byte{byte(i)})
				<-handed
			}
			watchdog.Watch(t, watchdog.Bound)
			if got := <-handed; got != byte(i) {
				t.Fatalf("frame %d is %d", i, got)
			}
		}
		close(frames)
		<-kicking
		q.Close()
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	})
}

// TestTunSleeperSees: a frame that came before the wait, a kick at the last moment, the end of
// the device.
func TestTunSleeperSees(t *testing.T) {
	eachWait(t, func(t *testing.T, locked bool) {
		watchdog.Watch(t, watchdog.Bound)
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[0])
		state := new(atomic.Uint32)
		s, err := newTunSleeper(pair[0], state, locked)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		unix.Write(pair[1], []byte{1})
		for range 3 { // for as long as nobody takes it
			if err := s.wait(never); err != nil {
				t.Error(err)
			}
		}
		unix.Read(pair[0], make([]byte, 10))
		for range 2 {
			if err := s.wait(func() bool { s.kick(); s.kick(); return false }); err != nil {
				t.Error(err)
			}
		}
		if err := s.wait(func() bool { return true }); err != nil {
			t.Error(err)
		}
		unix.Close(pair[1])
		var detached error
		for detached == nil { // a change from before may come first
			detached = s.wait(never)
		}
		if detached != ErrDetached || state.Load() != stateDetached {
			t.Errorf("%v, state %d", detached, state.Load())
		}
	})
}

// TestTunSleeperOfDeadDevice: that the device is gone before anybody has waited is seen.
func TestTunSleeperOfDeadDevice(t *testing.T) {
	eachWait(t, func(t *testing.T, locked bool) {
		q, k := newFakeTunOf(t, 0, tunRingMin, locked)
		q.port.file.(tunFile).q.readFD = func(int, []byte) (int, error) { return -1, unix.EAGAIN } // until then
		unix.Shutdown(k.fd, unix.SHUT_RDWR)
		runtime.Gosched() // the poller may see it
		if err := q.Run(t.Context(), takeAll); err != ErrDetached {
			t.Errorf("%v, want ErrDetached", err)
		}
	})
}

// TestTunSleeperIsNotWokenInVain: while nobody waits, frames wake nobody's poller.
func TestTunSleeperIsNotWokenInVain(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	s, err := newTunSleeper(pair[0], new(atomic.Uint32), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	readable := func() bool {
		fds := []unix.PollFd{{Fd: int32(s.set), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n == 1
	}
	unix.Write(pair[1], []byte{1})
	if err := s.wait(never); err != nil {
		t.Fatal(err)
	}
	unix.Write(pair[1], []byte{2})
	if readable() {
		t.Error("the set tells of a frame that nobody waits for")
	}
	if err := s.wait(never); err != nil {
		t.Error(err)
	}
}

// TestTunEndsOfBoth: deadlines and Close end a wait of either kind.
func TestTunEndsOfBoth(t *testing.T) {
	eachWait(t, func(t *testing.T, locked bool) {
		q, _ := newFakeTunOf(t, 0, tunRingMin, locked)
		for range 3 {
			q.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := q.Read(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want the deadline", err)
			}
		}
		q.SetReadDeadline(time.Time{})
		wait := start(t.Context(), q, takeAll)
		asleep(&q.framesGate)
		within(t, "Close", func() { q.Close() })
		if err := wait(); err != ErrClosed {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
}

// BenchmarkTunHandOver is a lone frame whose Handler hands it to another goroutine.
func BenchmarkTunHandOver(b *testing.B) {
	for name, locked := range map[string]bool{"free": false, "locked": true} {
		b.Run(name, func(b *testing.B) {
			q, k := newFakeTunOf(b, 0, tunRingMin, locked)
			handed, answered := make(chan byte, 256), make(chan byte, 256)
			go func() {
				for first := range handed {
					answered <- first
				}
			}()
			b.Cleanup(func() { close(handed) })
			ended := make(chan error, 1)
			go func() {
				ended <- q.Run(b.Context(), func(batch *Batch) error {
					for f := range batch.Frames() {
						handed <- f.Data[0]
					}
					return nil
				})
			}()
			frame := []byte{1}
			for b.Loop() {
				k.send(frame)
				<-answered
			}
			q.Close()
			<-ended
		})
	}
}
