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
		return c.descend(c.path, nil, nil, func(*Tx) (err error) {
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
