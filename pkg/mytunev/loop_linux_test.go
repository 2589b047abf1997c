// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConfigLoop(t *testing.T) {
	c := Config{BusyPoll: time.Microsecond, CPUs: "5,3"}
	window := c.BusyPoll
	if runtime.NumCPU() == 1 {
		window = 0
	}
	for i, cpu := range []int{5, 3, 5} {
		if got, want := c.loop(i), (loop{window, true, cpu, true}); got != want {
			t.Errorf("queue %d: %+v, want %+v", i, got, want)
		}
	}
	if got := (Config{}).loop(0); got != (loop{}) {
		t.Errorf("by default: %+v", got)
	}
	if got := (Config{LockThreads: true}).loop(1); got != (loop{lock: true}) {
		t.Errorf("LockThreads: %+v", got)
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{
		"": "[]", "0": "[0]", "3,0": "[3 0]", "0-3,8": "[0 1 2 3 8]", "7-7,7": "[7 7]", "8191": "[8191]",
	} {
		if got, err := parseCPUs(list); fmt.Sprint(got) != want || err != nil {
			t.Errorf("%q: %v, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{",", "1,", "-1", "1-", "3-2", "a", "0x1", "1-2-3", " 1", "8192", "0-8192", "0-99999999999"} {
		if got, err := parseCPUs(list); err == nil || !strings.Contains(err.Error(), "Config.CPUs") {
			t.Errorf("%q: %v, %v, want an error", list, got, err)
		}
	}
}

// until waits for a state.
func until(t *testing.T, what string, state func() bool) {
	t.Helper()
	within(t, what, func() {
		for !state() {
			runtime.Gosched()
		}
	})
}

// looking waits until somebody looks on for the nth time.
func looking(t *testing.T, q *Queue, n uint64) {
	t.Helper()
	until(t, "the wait for a look", func() bool { return q.counters.busyPolls.Load() >= n })
}

// TestBusyPollSavesWakeups: frames that come while Run looks on need no doorbell,
// and none is asked for.
func TestBusyPollSavesWakeups(t *testing.T) {
	const frames = 50
	q, k := newFake(t)
	q.loop.busyPoll = time.Hour
	event := k.rx.needWakeup.Load()
	wait := start(t.Context(), q, collect(t, frames, testSize))
	for i := range frames {
		looking(t, q, uint64(i+1))
		k.send(pattern(testSize(i), byte(i)))
	}
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
	s, _ := q.Stats()
	if s.Wakeups != 0 || k.rxBells.Load() != 0 || k.rx.needWakeup.Load() != event {
		t.Errorf("%d wake-ups, %d doorbells, need_wakeup %d, want none", s.Wakeups, k.rxBells.Load(), k.rx.needWakeup.Load())
	}
	if s.BusyPolls != frames || s.BusyPollHits != frames {
		t.Errorf("%d looks, %d hits, want %d", s.BusyPolls, s.BusyPollHits, frames)
	}
}

// TestBusyPollIsBounded: then the queue sleeps, and its doorbell wakes it.
func TestBusyPollIsBounded(t *testing.T) {
	q, k := newFake(t)
	q.loop.busyPoll = time.Microsecond
	wait := start(t.Context(), q, collect(t, 2, testSize))
	for i := range 2 {
		until(t, "the wait for a sleeper", func() bool { return k.rx.needWakeup.Load() == k.rxProducer })
		untilRunIs(t, "[IO wait") // who has asked for a doorbell looks once more, and need not sleep if the frame is there
		k.send(pattern(testSize(i), byte(i)))
	}
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
	if s, _ := q.Stats(); s.BusyPolls < 2 || s.BusyPollHits != 0 || s.Wakeups < 2 {
		t.Errorf("%d looks, %d hits, %d wake-ups, want no hit", s.BusyPolls, s.BusyPollHits, s.Wakeups)
	}
}

func TestNoBusyPollByDefault(t *testing.T) {
	q, k := newFake(t)
	wait := start(t.Context(), q, collect(t, 1, testSize))
	until(t, "the wait for a sleeper", func() bool { return k.rx.needWakeup.Load() == k.rxProducer })
	k.send(pattern(testSize(0), 0))
	if err := wait(); err != errStop {
		t.Fatal(err)
	}
	if s, _ := q.Stats(); s.BusyPolls != 0 {
		t.Errorf("%d looks, want none", s.BusyPolls)
	}
}

// TestBusyPollEnds: whatever ends a sleep ends a look as well.
func TestBusyPollEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(q *Queue, cancel func())
		want error
	}{
		"Close":  {func(q *Queue, cancel func()) { q.Close() }, os.ErrClosed},
		"cancel": {func(q *Queue, cancel func()) { cancel() }, context.Canceled},
	} {
		q, _ := newFake(t)
		q.loop.busyPoll = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		wait := start(ctx, q, func(*Batch) error { return errStop })
		looking(t, q, 1)
		within(t, name, func() { c.end(q, cancel) })
		if err := wait(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		cancel()
	}
}

// TestBusyPollOfRead: of two readers one looks on, and any may get the frame.
func TestBusyPollOfRead(t *testing.T) {
	q, k := newFake(t)
	q.loop.busyPoll = time.Hour
	results := make(chan error, 2)
	for range cap(results) {
		go func() {
			p := make([]byte, 200)
			n, err := q.Read(p)
			if err == nil && !bytes.Equal(p[:n], pattern(100, 1)) {
				err = errStop
			}
			results <- err
		}()
	}
	looking(t, q, 1)
	k.send(pattern(100, 1))
	if err := <-results; err != nil {
		t.Error(err)
	}
	k.send(pattern(100, 1))
	if err := <-results; err != nil {
		t.Error(err)
	}
}

func TestBusyPollEndsAtTheReadDeadline(t *testing.T) {
	q, _ := newFake(t)
	q.loop.busyPoll = time.Hour
	result := make(chan error)
	go func() {
		_, err := q.Read(make([]byte, 200))
		result <- err
	}()
	looking(t, q, 1)
	q.SetReadDeadline(time.Unix(1, 0))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
}

// TestBusyPollOfABrokenRing: the look ends, and says why.
func TestBusyPollOfABrokenRing(t *testing.T) {
	q, k := newFake(t)
	q.loop.busyPoll = time.Hour
	wait := start(t.Context(), q, func(*Batch) error { return errStop })
	looking(t, q, 1)
	k.rx.producer.Store(k.rxProducer + 1)
	if err := wait(); err != ErrRingBroken {
		t.Errorf("%v, want ErrRingBroken", err)
	}
}

// locked reports whether the calling goroutine keeps its thread.
func locked() bool {
	text := make([]byte, 100)
	text = text[:runtime.Stack(text, false)]
	return strings.Contains(string(text), "locked to thread")
}

func affinity(t *testing.T) unix.CPUSet {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// lastCPU returns the last CPU of a set.
func lastCPU(set unix.CPUSet) int {
	for cpu := 1023; ; cpu-- {
		if set.IsSet(cpu) {
			return cpu
		}
	}
}

func TestRunThreads(t *testing.T) {
	runtime.LockOSThread() // the thread whose affinity is compared
	defer runtime.UnlockOSThread()
	before := affinity(t)
	cpu := lastCPU(before)
	for name, c := range map[string]struct {
		loop   loop
		locked bool
		cpus   int
	}{
		"by default":  {loop{}, false, before.Count()},
		"LockThreads": {loop{lock: true}, true, before.Count()},
		"CPUs":        {loop{lock: true, pin: true, cpu: cpu}, true, 1},
	} {
		q, k := newFake(t)
		q.loop = c.loop
		k.send(pattern(1, 1))
		var isLocked, wasLocked bool
		var inside unix.CPUSet
		result := make(chan error)
		go func() {
			err := q.Run(t.Context(), func(b *Batch) error {
				isLocked, inside = locked(), affinity(t)
				return errStop
			})
			wasLocked = locked()
			result <- err
		}()
		if err := <-result; err != errStop {
			t.Fatal(err)
		}
		if isLocked != c.locked || wasLocked || inside.Count() != c.cpus || !inside.IsSet(cpu) {
			t.Errorf("%s: locked %v, afterwards %v, on %d CPUs, want %v, false, %d",
				name, isLocked, wasLocked, inside.Count(), c.locked, c.cpus)
		}
	}
}

// TestRunGivesTheCPUsBack calls Run on a thread that the test keeps.
func TestRunGivesTheCPUsBack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := affinity(t)
	q, k := newFake(t)
	q.loop = Config{CPUs: fmt.Sprint(lastCPU(before))}.loop(0)
	k.send(pattern(1, 1))
	if err := q.Run(t.Context(), func(*Batch) error { return errStop }); err != errStop {
		t.Fatal(err)
	}
	if after := affinity(t); after != before {
		t.Errorf("%d CPUs after Run, %d before", after.Count(), before.Count())
	}
}

func TestRunOnACPUThatIsNotThere(t *testing.T) {
	for _, cpu := range []int{1023, maxCPU} {
		q, _ := newFake(t)
		q.loop = Config{CPUs: fmt.Sprint(cpu)}.loop(0)
		var wasLocked bool
		result := make(chan error)
		go func() {
			err := q.Run(t.Context(), func(*Batch) error { return errStop })
			wasLocked = locked()
			result <- err
		}()
		err := <-result
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "Config.CPUs") || wasLocked {
			t.Errorf("CPU %d: %v, locked %v, want EINVAL", cpu, err, wasLocked)
		}
	}
}
