// SPDX-License-Identifier: MIT

//go:build linux

package native

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const text = "cpu  1 20 300 4000 50000 600000 7000000 80000000 900000000 1\ncpu0 5 5 5 5\n"
	if got, want := parseStat(text), 1+20+300+600000+7000000+80000000; got != want {
		t.Errorf("%d ticks, want %d: neither idle nor waiting for I/O nor a guest's, which are users' already", got, want)
	}
	if got := parseStat(""); got != 0 {
		t.Errorf("%d ticks in nothing", got)
	}
}

func TestParseProcess(t *testing.T) {
	const text = "12 (a) b (c)) S 1 77 77 0 -1 4194304 100 200 3 4 10 20 300 4000 20 0 1 0 5"
	group, ticks, err := parseProcess(text)
	if err != nil || group != 77 || ticks != 4330 {
		t.Errorf("group %d, %d ticks, %v; want 77, 4330", group, ticks, err)
	}
	for _, bad := range []string{"", "12 (a) S 1 77", strings.Replace(text, "4000", "x", 1), strings.Replace(text, " 77 77", " x 77", 1)} {
		if _, _, err := parseProcess(bad); err == nil {
			t.Errorf("%q is taken for a process", bad)
		}
	}
}

// What this process does is no load of others.
func TestGroupTicks(t *testing.T) {
	own := groupTicks(syscall.Getpgrp())
	for end := time.Now().Add(time.Second); groupTicks(syscall.Getpgrp()) < own+5; {
		if time.Now().After(end) {
			t.Fatalf("a second of work is not to be seen: %d ticks, then %d", own, groupTicks(syscall.Getpgrp()))
		}
	}
	if machineTicks() < own {
		t.Errorf("the machine has had %d ticks, this group %d", machineTicks(), own)
	}
	if groupTicks(-1) == 0 {
		t.Error("this process is not counted where its group is another")
	}
}

func TestWatchLoadEnds(t *testing.T) {
	stop := make(chan struct{})
	time.AfterFunc(3*loadInterval/2, func() { close(stop) })
	loads := watchLoad(syscall.Getpgrp(), stop)
	if len(loads) != 1 || loads[0].From >= loads[0].To {
		t.Errorf("one and a half intervals give %v", loads)
	}
}

func TestHostCall(t *testing.T) {
	if ns := hostCall(); ns < 10 || ns > 1e6 {
		t.Errorf("a system call takes %v ns", ns)
	}
}
