// SPDX-License-Identifier: MIT

//go:build linux

package native

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// nobody is no process group: this process is counted all the same, and no other that may end meanwhile.
const nobody = -1

// What this process does is no load of others. How long it takes to do so much is others' affair.
func TestGroupTicks(t *testing.T) {
	own := groupTicks(nobody)
	for end := cpuTime(t) + time.Second; groupTicks(nobody) < own+5; {
		if cpuTime(t) > end {
			t.Fatalf("a second of work is not to be seen: %d ticks, then %d", own, groupTicks(nobody))
		}
	}
	if machineTicks() < own {
		t.Errorf("the machine has had %d ticks, this process %d", machineTicks(), own)
	}
}

// cpuTime is what this process has had.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var spent unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &spent); err != nil {
		t.Fatal(err)
	}
	return time.Duration(spent.Nano())
}

// Nor is what the group does, which is at work until it is seen.
func TestGroupTicksOfGroup(t *testing.T) {
	busy := exec.Command("sh", "-c", "while :; do :; done")
	busy.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer busy.Wait()
	defer busy.Process.Kill()
	for both := 0; both < groupTicks(nobody)+5; {
		both = groupTicks(busy.Process.Pid)
	}
}

func TestWatchLoadEnds(t *testing.T) {
	ticks, stop := make(chan time.Time), make(chan struct{})
	go func() {
		ticks <- time.Time{} // taken by who has begun to watch
		close(stop)
	}()
	loads := watchLoad(syscall.Getpgrp(), ticks, stop)
	if len(loads) != 1 || loads[0].From >= loads[0].To {
		t.Errorf("one interval and what is left of the next give %v", loads)
	}
}

func TestHostCall(t *testing.T) {
	if ns := hostCall(); ns < 10 || ns > 1e6 {
		t.Errorf("a system call takes %v ns", ns)
	}
}
