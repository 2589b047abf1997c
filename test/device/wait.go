// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Slow tells whether this is a debug kernel: how fast it does things says nothing.
func Slow() bool { return slow > 1 }

// slow is how many times as slow as a stock one this kernel is: MYTUN_SLOW.
var slow = slowness(os.Getenv("MYTUN_SLOW"))

func slowness(text string) time.Duration {
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		panic(fmt.Sprintf("MYTUN_SLOW=%q is no number of times", text))
	}
	return time.Duration(n)
}

// Times is how often to do what may go wrong once in a while: so often, or a tenth of it
// and at least twice on a debug kernel, which looks closer and takes longer.
func Times(n int) int {
	if Slow() {
		return max(n/10, 2)
	}
	return n
}

// Deadline is how long tests wait for a state before they call it lost. It
// is generous: the machine may be an emulated one.
var Deadline = 20 * time.Second * slow

// Until looks for a state again and again until the deadline.
func Until(deadline time.Time, state func() bool) bool {
	for !state() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// WaitFor waits for a state and fails the test if it does not come.
func WaitFor(t testing.TB, what string, state func() bool) {
	t.Helper()
	if !Until(time.Now().Add(Deadline), state) {
		t.Fatalf("waited %v in vain for %s", Deadline, what)
	}
}

// waitForProcessors waits until each processor has ended what it does in the kernel now
// and lets nobody else interfere with: the run of a softirq, or what a thread does with
// bottom halves off.
func waitForProcessors(t testing.TB) {
	t.Helper()
	const global = 1 // MEMBARRIER_CMD_GLOBAL, which waits for a grace period of RCU
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		t.Fatalf("membarrier: %v", errno)
	}
}

// Restart makes a system call again that a signal interrupted, which the Go
// runtime's own signals do to any that has a time limit.
func Restart(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Within runs something that must end soon, and says how long it took if not.
// The limit is a stock kernel's. A hang is reported instead of hung on.
func Within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	limit *= slow
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, more than %v", what, took, limit)
	}
}

// Spin passes a time without sleeping: too short a time to sleep for.
func Spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}
