// SPDX-License-Identifier: MIT

package eventfd

import (
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *EventFD {
	t.Helper()
	watchdog.Watch(t, watchdog.Bound)
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func signal(t *testing.T, e *EventFD, times int) {
	t.Helper()
	for range times {
		if err := e.Signal(); err != nil {
			t.Fatal(err)
		}
	}
}

func wantDrain(t *testing.T, e *EventFD, want uint64) {
	t.Helper()
	if got, err := e.Drain(); got != want || err != nil {
		t.Errorf("Drain: %d, %v, want %d", got, err, want)
	}
}

func TestFlags(t *testing.T) {
	e := open(t)
	if flags, err := unix.FcntlInt(uintptr(e.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("F_GETFD: %#x, %v, want FD_CLOEXEC", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(e.FD()), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("F_GETFL: %#x, %v, want O_NONBLOCK", flags, err)
	}
}

func TestSignalAndDrain(t *testing.T) {
	e := open(t)
	wantDrain(t, e, 0)
	signal(t, e, 3)
	wantDrain(t, e, 3)
	wantDrain(t, e, 0)
	if err := e.Add(1 << 40); err != nil {
		t.Fatal(err)
	}
	signal(t, e, 1)
	wantDrain(t, e, 1<<40+1)
}

func TestAddLimits(t *testing.T) {
	e := open(t)
	if err := e.Add(math.MaxUint64); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Add(2^64-1): %v, want EINVAL", err)
	}
	if err := e.Add(math.MaxUint64 - 1); err != nil {
		t.Fatal(err)
	}
	if err := e.Signal(); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("Signal of a full counter: %v, want EAGAIN", err)
	}
	wantDrain(t, e, math.MaxUint64-1)
	signal(t, e, 1)
	wantDrain(t, e, 1)
}

func TestWait(t *testing.T) {
	e := open(t)
	signal(t, e, 2)
	if n, err := e.Wait(); n != 2 || err != nil {
		t.Errorf("Wait: %d, %v, want 2", n, err)
	}
	got := make(chan uint64)
	go func() {
		n, _ := e.Wait()
		got <- n
	}()
	signal(t, e, 1)
	if n := <-got; n != 1 {
		t.Errorf("Wait: %d, want 1", n)
	}
}

func TestDeadline(t *testing.T) {
	e := open(t)
	if err := e.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Wait: %v, want os.ErrDeadlineExceeded", err)
	}
	if err := e.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	signal(t, e, 1)
	if n, err := e.Wait(); n != 1 || err != nil {
		t.Errorf("Wait: %d, %v, want 1", n, err)
	}
}

func TestDeadlineEndsRunningWait(t *testing.T) {
	e := open(t)
	errs := make(chan error)
	go func() {
		_, err := e.Wait()
		errs <- err
	}()
	if err := e.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Wait: %v, want os.ErrDeadlineExceeded", err)
	}
}

func TestDup(t *testing.T) {
	e := open(t)
	d, err := e.Dup()
	if err != nil {
		t.Fatal(err)
	}
	if d.FD() == e.FD() {
		t.Error("Dup returned the same descriptor")
	}
	if flags, _ := unix.FcntlInt(uintptr(d.FD()), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("the duplicate is not close-on-exec")
	}
	signal(t, e, 2)
	wantDrain(t, d, 2)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	signal(t, d, 1)
	wantDrain(t, d, 1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWrap(t *testing.T) {
	fd, err := unix.Eventfd(5, 0)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Wrap(fd)
	if err != nil {
		t.Fatal(err)
	}
	if e.FD() != fd {
		t.Errorf("FD() = %d, want %d", e.FD(), fd)
	}
	wantDrain(t, e, 5)
	wantDrain(t, e, 0) // does not block: Wrap made it non-blocking
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Wrap(fd); !errors.Is(err, unix.EBADF) {
		t.Errorf("Wrap of a closed descriptor: %v, want EBADF", err)
	}
}

// parked waits until a goroutine is in the runtime's poller on behalf of Wait.
func parked(t *testing.T) {
	t.Helper()
	text := make([]byte, 1<<20)
	for {
		for g := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
			if strings.Contains(g, "[IO wait") && strings.Contains(g, "eventfd.(*EventFD).Wait") {
				return
			}
		}
		runtime.Gosched()
	}
}

// TestCloseEndsParkedWait: the file is what is closed, not the descriptor under it.
func TestCloseEndsParkedWait(t *testing.T) {
	watchdog.Watch(t, watchdog.Bound)
	e := open(t)
	errs := make(chan error)
	go func() {
		_, err := e.Wait()
		errs <- err
	}()
	parked(t)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Wait: %v, want os.ErrClosed", err)
	}
}

func TestCloseEndsWait(t *testing.T) {
	for range 100 {
		e := open(t)
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() {
				_, err := e.Wait()
				errs <- err
			}()
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, os.ErrClosed) {
				t.Fatalf("Wait: %v, want os.ErrClosed", err)
			}
		}
	}
}

func TestConcurrentSignalAndDrain(t *testing.T) {
	const signallers, signals = 4, 2000
	e := open(t)
	var group sync.WaitGroup
	for range signallers {
		group.Add(1)
		go func() {
			defer group.Done()
			for range signals {
				if err := e.Signal(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var sum uint64
	for sum < signallers*signals {
		n, err := e.Wait()
		if err != nil {
			t.Fatal(err)
		}
		more, err := e.Drain()
		if err != nil {
			t.Fatal(err)
		}
		sum += n + more
	}
	group.Wait()
	if sum != signallers*signals {
		t.Errorf("drained %d of %d signals", sum, signallers*signals)
	}
	wantDrain(t, e, 0)
}

func TestConcurrentSignalAndClose(t *testing.T) {
	for range 200 {
		e := open(t)
		var group sync.WaitGroup
		for range 2 {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					if err := e.Signal(); err != nil {
						if !errors.Is(err, os.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			}()
		}
		e.Close()
		group.Wait()
	}
}

// TestEdgeTriggered pins down what users of a private epoll set rely on: a
// counter that nobody reads raises an event at every signal.
func TestEdgeTriggered(t *testing.T) {
	e := open(t)
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(set)
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, e.FD(), &event); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		signal(t, e, 1+i%3)
		for want := 1; want >= 0; want-- {
			n, err := unix.EpollWait(set, make([]unix.EpollEvent, 1), 0)
			if n != want || err != nil {
				t.Fatalf("signal %d: EpollWait: %d, %v, want %d", i, n, err, want)
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes system calls allocate")
	}
	e := open(t)
	if n := testing.AllocsPerRun(100, func() {
		e.Signal()
		e.Drain()
	}); n != 0 {
		t.Errorf("Signal and Drain allocate %v times, want 0", n)
	}
}

func BenchmarkSignal(b *testing.B) {
	e, err := New()
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for b.Loop() {
		e.Signal()
	}
}

// TestCloseBesideAFunction: Close waits for a function that SyscallConn's Read calls, and
// the function may use the EventFD meanwhile, which tells it that it is closed.
func TestCloseBesideAFunction(t *testing.T) {
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := e.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	started, read := make(chan bool), make(chan error, 1)
	go func() {
		read <- conn.Read(func(uintptr) bool {
			close(started)
			for e.Signal() == nil {
				runtime.Gosched()
			}
			return true
		})
	}()
	<-started
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
