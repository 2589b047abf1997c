// SPDX-License-Identifier: MIT

// Package watchdog ends a test that hangs, while the reason can still be seen.
package watchdog

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Bound is long for a test that waits for nothing but its own goroutines and this
// machine's kernel, also where others leave it a tenth of a processor, or none at all for
// seconds, and under the race detector. Nobody waits for it but who hangs.
const Bound = 2 * time.Minute

// bark ends the process. The tests of this package replace it.
var bark = func(text string) { panic(text) }

var dogs = struct {
	sync.Mutex
	timers map[testing.TB]*time.Timer
}{timers: make(map[testing.TB]*time.Timer)}

// Watch ends the process, with the name of the test and the stacks of all goroutines,
// unless within bound t ends or Watch is called again for it.
func Watch(t testing.TB, bound time.Duration) {
	dogs.Lock()
	defer dogs.Unlock()
	if timer := dogs.timers[t]; timer != nil {
		timer.Reset(bound)
		return
	}
	dogs.timers[t] = time.AfterFunc(bound, func() {
		bark(fmt.Sprintf("%s hangs: it made no progress for %v\n\n%s", t.Name(), bound, stacks()))
	})
	t.Cleanup(func() { forget(t) })
}

// InTime returns what f does. t fails, with the name of what f is, if f panics or takes longer than
// Bound.
func InTime(t testing.TB, name string, f func() error) error {
	t.Helper()
	return inTime(t, name, Bound, f)
}

func inTime(t testing.TB, name string, bound time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s: panic: %v", name, p)
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(bound):
		t.Fatalf("%s: hangs", name)
		return nil
	}
}

func forget(t testing.TB) {
	dogs.Lock()
	defer dogs.Unlock()
	dogs.timers[t].Stop()
	delete(dogs.timers, t)
}

func stacks() []byte {
	for text := make([]byte, 1<<16); ; text = make([]byte, 2*len(text)) {
		if n := runtime.Stack(text, true); n < len(text) {
			return text[:n]
		}
	}
}
