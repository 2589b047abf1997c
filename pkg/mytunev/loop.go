// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A loop is how a queue waits for frames, and where its Run does.
type loop struct {
	busyPoll time.Duration
	lock     bool // keep the thread
	cpu      int  // of those that the thread is bound to, if pin is set
	pin      bool
}

// loop returns what c says of the queue with this index.
func (c Config) loop(index int) loop {
	l := loop{busyPoll: c.BusyPoll, lock: c.LockThreads}
	if runtime.NumCPU() == 1 {
		// Nobody could fill the ring meanwhile.
		l.busyPoll = 0
	}
	if cpus, _ := parseCPUs(c.CPUs); len(cpus) > 0 {
		l.lock, l.pin, l.cpu = true, true, cpus[index%len(cpus)]
	}
	return l
}

// locked reports whether Run keeps its threads.
func (c Config) locked() bool { return c.LockThreads || c.CPUs != "" }

func (c Config) validateLoop() error {
	if c.BusyPoll < 0 || c.BusyPoll > maxPoll {
		return fmt.Errorf("mytunev: Config.BusyPoll is %v, not in 0..%v", c.BusyPoll, maxPoll)
	}
	_, err := parseCPUs(c.CPUs)
	return err
}

// maxCPU is the highest number that a CPU can have: Linux knows no more than 8192.
const maxCPU = 8191

// parseCPUs returns the numbers in a list such as "0-3,8", in its order.
func parseCPUs(list string) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var cpus []int
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(item, "-")
		first, err := strconv.ParseUint(from, 10, 16)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || first > last || last > maxCPU {
			return nil, fmt.Errorf("mytunev: Config.CPUs is %q, and %q is neither a CPU from 0 to %d nor a range such as 0-3",
				list, item, maxCPU)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}

// enterThread makes the calling goroutine keep its thread, and the thread its CPU,
// if l says so. leave undoes both.
func (l loop) enterThread(q *Queue) (leave func(), err error) {
	if !l.lock {
		return func() {}, nil
	}
	runtime.LockOSThread()
	if !l.pin {
		return runtime.UnlockOSThread, nil
	}
	undo, err := pinThread(l.cpu)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, opError("run", fmt.Sprintf("queue %d of %s on CPU %d", q.index, q.Name(), l.cpu), err,
			"choose Config.CPUs from Cpus_allowed_list in /proc/self/status")
	}
	return func() {
		// A thread that is still bound is of no use to others: it stays
		// locked, and ends with its goroutine.
		if undo() == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}

// looksPerTurn is how often the ring is looked at before anything else is: about
// as long as a call of time.Now takes.
const looksPerTurn = 32

// lookOn watches the rx ring for as long as Config.BusyPoll says, and returns true
// as soon as there is something to do. It does not call runtime.Gosched, which would
// keep this thread from the network poller for as long as it finds goroutines to run:
// the bound is what is fair to others.
func (q *Queue) lookOn(ctx context.Context, d *deadline) bool {
	if q.loop.busyPoll == 0 {
		return false
	}
	q.counters.busyPolls.Add(1)
	for begin := time.Now(); time.Since(begin) < q.loop.busyPoll; {
		if q.look() {
			q.counters.busyPollHits.Add(1)
			return true
		}
		if !q.open.Load() || ctx.Err() != nil || d.over() {
			break // sleep finds out which
		}
	}
	return false
}

// look has the ring for a short time, so that Close is not kept waiting. While
// somebody else has it, there is nothing to see.
func (q *Queue) look() bool {
	if !q.rxTurn.try(brief) {
		return false
	}
	defer q.rxTurn.release()
	for range looksPerTurn {
		if !q.open.Load() {
			return false
		}
		if ready, err := q.rx.poll(); ready || err != nil {
			return true
		}
	}
	return false
}
