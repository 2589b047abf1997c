// SPDX-License-Identifier: MIT

//go:build linux

package watch

import (
	"strings"
	"testing"
	"time"
)

// TestEachBoundCounts: and each says what was waited for.
func TestEachBoundCounts(t *testing.T) {
	bounds := Bounds(Waits{RTNL: 10 * time.Millisecond}, 4)
	if want := rtnlMost + 40*time.Millisecond; bounds.RTNL != want || bounds.Processor != processorMost {
		t.Errorf("bounds are %v", bounds)
	}
	if err := bounds.Beyond(bounds); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	for want, waits := range map[string]Waits{
		"for rtnl":                    {RTNL: bounds.RTNL + 1},
		"for a processor":             {Processor: bounds.Processor + 1},
		"for an ordinary task's turn": {Task: bounds.Task + 1},
	} {
		if err := waits.Beyond(bounds); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", waits, err)
		}
	}
}

func TestLongestIsKept(t *testing.T) {
	var l longest
	for _, took := range []time.Duration{3, 5, 1} {
		l.note(took)
	}
	if got := l.Load(); got != 5 {
		t.Errorf("the longest of 3, 5 and 1 is %d", got)
	}
	if got := (Waits{1, 5, 2}).Max(Waits{2, 4, 2}); got != (Waits{2, 5, 2}) {
		t.Errorf("got %v", got)
	}
}
