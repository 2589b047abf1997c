// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/mytun/mytun/bench/native"
	"golang.org/x/sys/unix"
)

// pretendWorker makes a thread of this process look like vhost-net's, and returns its number and what makes it spend so much CPU time.
func pretendWorker(t *testing.T) (id int, spend func(d time.Duration)) {
	t.Helper()
	ids, orders, done := make(chan int), make(chan time.Duration), make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		name := append([]byte("vhost-1"), 0)
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
			t.Error(err)
		}
		ids <- unix.Gettid()
		for d := range orders {
			for from, now := threadTime(t), time.Duration(0); now < d; now = threadTime(t) - from {
			}
			done <- true
		}
	}()
	t.Cleanup(func() { close(orders) })
	return <-ids, func(d time.Duration) {
		orders <- d
		<-done
	}
}

func threadTime(t *testing.T) time.Duration {
	var spent unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spent); err != nil {
		t.Error(err)
	}
	return time.Duration(spent.Nano())
}

func TestFindWorkers(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, _ := pretendWorker(t)
	ids, err := findWorkers()
	if err != nil || !slices.Contains(ids, id) || slices.Contains(ids, unix.Gettid()) {
		t.Errorf("workers %v, %v; %d is one, and %d is not", ids, err, id, unix.Gettid())
	}
}

// What the worker spends is the thread's and no longer the process's, to the nanosecond: not up to the last tick.
func TestAccount(t *testing.T) {
	const spent = 5 * time.Millisecond
	id, spend := pretendWorker(t)
	from := native.Window{Process: 1000}
	if err := (workers{id}).account(&from); err != nil {
		t.Fatal(err)
	}
	spend(spent)
	to := native.Window{Process: 1000 + float64(spent), Thread: 7}
	if err := (workers{id}).account(&to); err != nil {
		t.Fatal(err)
	}
	w := to.Sub(from)
	if w.Thread < float64(spent)+7 || w.Thread+w.Process != float64(spent)+7 {
		t.Errorf("of %v ns the thread has %v and the process %v", float64(spent), w.Thread, w.Process)
	}
}

func TestAccountNobody(t *testing.T) {
	w := native.Window{Process: 3, Thread: 2}
	if err := workers(nil).account(&w); err != nil || w.Process != 3 || w.Thread != 2 {
		t.Errorf("without workers: %+v, %v", w, err)
	}
}

func TestTaskNSOfNoThread(t *testing.T) {
	if ns, err := taskNS(1 << 22); err == nil {
		t.Errorf("a thread that is not there spent %v", ns)
	}
	if err := (workers{1 << 22}).account(&native.Window{}); err == nil {
		t.Error("a worker that is not there is accounted for")
	}
}
