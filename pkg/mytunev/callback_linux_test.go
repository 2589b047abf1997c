// SPDX-License-Identifier: MIT

package mytunev

import (
	"runtime"
	"testing"
)

// TestOwnCallbacks finds those that a goroutine is inside of, with numbers of several digits,
// and no others.
func TestOwnCallbacks(t *testing.T) {
	var idle []*callback
	for range digitMask * digitMask * digitMask { // which take the low numbers
		idle = append(idle, newCallback())
	}
	if own := ownCallbacks(); len(own) != 0 {
		t.Errorf("%d callbacks outside of all", len(own))
	}
	var want []*callback
	var enter func(n int) error
	enter = func(n int) error {
		c := newCallback()
		want = append([]*callback{c}, want...)
		c.s = newSender(&Queue{}, t.Context())
		return c.call(nil, nil, func(*Tx) (err error) {
			deeper(n%7, func() {
				if n > 0 {
					err = enter(n - 1)
					return
				}
				own := ownCallbacks()
				if len(own) != len(want) {
					t.Fatalf("%d callbacks, want %d", len(own), len(want))
				}
				for i, c := range want {
					if own[i] != c {
						t.Errorf("callback %d is another", i)
					}
				}
				other := make(chan int)
				go func() { other <- len(ownCallbacks()) }()
				if n := <-other; n != 0 {
					t.Errorf("another goroutine is inside %d", n)
				}
			})
			return err
		})
	}
	if err := enter(40); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(idle)
}

// TestCallbackThatEndsOtherwise: after a panic, or the end of the goroutine, nobody is inside it,
// though others run.
func TestCallbackThatEndsOtherwise(t *testing.T) {
	elsewhere := &running{}
	elsewhere.Store(true)
	for name, end := range map[string]func(){"panic": func() { panic(errStop) }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			c := newCallback()
			c.s = newSender(&Queue{}, t.Context())
			onlyRunning(t, c.running, elsewhere)
			var inside, above int
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recover() }()
				defer func() { above = len(ownCallbacks()) }()
				c.call(nil, nil, func(*Tx) error {
					defer func() { inside = len(ownCallbacks()) }()
					end()
					return nil
				})
			}()
			<-done
			if inside != 1 || above != 0 || c.running.Load() {
				t.Errorf("inside %d callbacks of 1, above it %d of 0, running: %v", inside, above, c.running.Load())
			}
		})
	}
}

// TestMayBeInside: only while a function runs is there anything to look for; of many numbers
// nobody asks.
func TestMayBeInside(t *testing.T) {
	few := []*running{{}, {}, {}}
	onlyRunning(t, few...)
	if mayBeInside() {
		t.Error("inside what does not run")
	}
	few[1].Store(true)
	if !mayBeInside() {
		t.Error("one runs, and nobody may be inside")
	}
	onlyRunning(t, make([]*running, manyCallbacks+1)...)
	if !mayBeInside() {
		t.Error("many were looked at")
	}
}

// onlyRunning has these be all that mayBeInside knows, until the end of the test.
func onlyRunning(t *testing.T, all ...*running) {
	t.Helper()
	callbacks.Lock()
	defer callbacks.Unlock()
	was := callbacks.running
	callbacks.running = all
	t.Cleanup(func() {
		callbacks.Lock()
		defer callbacks.Unlock()
		callbacks.running = was
	})
}
