// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// sharedCounter is in a page that two processes have mapped.
func sharedCounter(t testing.TB, fd int) *atomic.Uint64 {
	t.Helper()
	b, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("map a page: %v", err)
	}
	return device.Counter(b)
}

const workCPU = 0

// worker works on one processor, and counts.
func worker(t testing.TB) {
	runtime.LockOSThread()
	device.Pin(t, 0, workCPU)
	count := sharedCounter(t, device.ChildFile)
	fmt.Println("working")
	for {
		count.Add(1)
	}
}

// flood fills the tx ring from one processor whenever it is on. When it is off
// it keeps a processor of its own busy all the same, so that an emulated or
// shared machine has as much to do.
type flood struct {
	on, over atomic.Bool
	done     sync.WaitGroup
}

func startFlood(t *testing.T, l *device.Link, cpu int) *flood {
	t.Helper()
	f := &flood{}
	frame := l.Frame(false, device.Datagram{SrcPort: 1, DstPort: 2, Payload: make([]byte, 10)})
	f.done.Go(func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		device.Pin(t, 0, cpu)
		q := l.Queue()
		for !f.over.Load() {
			if !f.on.Load() {
				if cpu == workCPU {
					time.Sleep(time.Millisecond)
				}
				continue
			}
			if q.Room() >= device.Footprint(len(frame)) {
				q.Put(frame)
				q.Publish()
			}
		}
	})
	return f
}

func (f *flood) stop() {
	f.over.Store(true)
	f.done.Wait()
}

// TestFloodLeavesOthersTheirShare: a process that only computes gets on, however
// the work of a flood comes to its processor: by the queue's kernel thread, by
// doorbells in the flooding process's own time, or by both.
func TestFloodLeavesOthersTheirShare(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor: the flood has none of its own")
	}
	if device.Slow() {
		t.Skip("a debug kernel's checkers take most of the time, whoever it is counted for")
	}
	device.Sandbox(t)
	fd, err := unix.MemfdCreate("work", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	child := device.StartChild(t, "worker", 0, fd)
	child.ExpectLine(t, "working")
	w := work{sharedCounter(t, fd), child.Process.Pid, device.TaskNamed(t, "ksoftirqd/"+strconv.Itoa(workCPU))}
	for _, c := range []struct {
		what            string
		sender, kthread int
		poll            uint32
	}{
		{"the kernel thread beside it", 1, workCPU, device.PollMaxUsecs},
		{"the sender beside it, the kernel thread elsewhere", workCPU, 1, 0},
		{"all of it beside it", workCPU, workCPU, device.PollMaxUsecs},
	} {
		measureShare(t, c.what, w, c.sender, c.kthread, c.poll)
	}
}

// work is what a process beside the flood has done, and who runs on its
// processor.
type work struct {
	done            *atomic.Uint64
	task, ksoftirqd int
}

// tally is what was counted in some windows.
type tally struct {
	work, frames, runs       uint64
	worker, kthread, softirq time.Duration
}

// count adds what a window brings.
func (y *tally) count(t *testing.T, w work, q *device.Queue, kthread int, window time.Duration) {
	t.Helper()
	work, frames, runs := w.done.Load(), q.Stats(t).TxFrames, device.TaskletRuns(t)
	worker, thread, softirq := device.CPUTime(t, w.task), device.CPUTime(t, kthread), device.CPUTime(t, w.ksoftirqd)
	time.Sleep(window)
	y.work += w.done.Load() - work
	y.frames += q.Stats(t).TxFrames - frames
	y.runs += device.TaskletRuns(t) - runs
	y.worker += device.CPUTime(t, w.task) - worker
	y.kthread += device.CPUTime(t, kthread) - thread
	y.softirq += device.CPUTime(t, w.ksoftirqd) - softirq
}

// measureShare compares the work done with and without a flood, in windows that
// take turns, so that whatever else the machine does meets both.
func measureShare(t *testing.T, what string, w work, sender, kthread int, poll uint32) {
	t.Helper()
	const (
		windows = 6
		window  = 150 * time.Millisecond
		// frames in a run of the tasklet, and one run that a count misses
		budget = 256
	)
	// of three that share the processor, with softirqs in somebody's time
	least := 0.2
	if device.Realtime() {
		// whoever has bottom halves off runs before all others, for as long as
		// the timers' thread waits for it
		least = 0.1
	}
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, poll)
	thread := device.TaskNamed(t, device.Kthreads(l.Name)[0])
	device.Pin(t, thread, kthread)
	f := startFlood(t, l, sender)
	var alone, beside tally
	for range windows {
		alone.count(t, w, q, thread, window)
		f.on.Store(true)
		beside.count(t, w, q, thread, window)
		f.on.Store(false)
		q.WaitTaken(t)
	}
	f.stop()
	share := float64(beside.work) / float64(alone.work)
	t.Logf("%s: %.0f %% of the work it does alone, beside %d frames in %d runs of tasklets; CPU time: worker %v, kernel thread %v, ksoftirqd %v",
		what, 100*share, beside.frames, beside.runs, beside.worker, beside.kthread, beside.softirq)
	if beside.frames < 1000 {
		t.Errorf("%s: no flood, only %d frames", what, beside.frames)
	}
	if share < least {
		t.Errorf("%s: only %.0f %% of the work", what, 100*share)
	}
	if most := budget * (beside.runs + windows); beside.frames > most {
		t.Errorf("%s: %d frames in %d runs of tasklets, more than %d in a run", what, beside.frames, beside.runs, budget)
	}
	q.Close()
	q.Unmap()
	device.WaitGone(t, l.Name)
}
