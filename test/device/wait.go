// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

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
// A hang is reported instead of hung on.
func Within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
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
