// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"testing"
)

// failure is what a helper of package device says when it fails.
type failure string

// tb lets the fuzzer use the helpers of package device, which are made for
// tests: a failure is a panic, to be caught by attempt.
type tb struct {
	testing.TB
	cleanups []func()
}

func (*tb) Helper()             {}
func (*tb) Logf(string, ...any) {}

func (t *tb) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *tb) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (t *tb) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
func (t *tb) Errorf(format string, args ...any) { t.Fatalf(format, args...) }

// finish cleans up what the helpers left to be cleaned up.
func (t *tb) finish() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
	t.cleanups = nil
}

// attempt runs something that uses helpers, cleans up after it, and returns
// what failed.
func attempt(f func(t *tb)) (err error) {
	t := &tb{}
	defer func() {
		if said, failed := recover().(failure); failed {
			err = fmt.Errorf("%s", said)
		}
	}()
	defer t.finish()
	f(t)
	return nil
}
