// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mytun/mytun/bench/result"
	"golang.org/x/sys/unix"
)

// Usage is what has been used, of each kind of time.
type Usage struct {
	Wall    time.Duration // time gone by
	Process time.Duration // of this process, in all its threads
	CPUs    time.Duration // of all CPUs, on whatever: kernel threads and softirqs included
}

// usage returns what has been used since the machine was started.
func (e *Env) usage() (Usage, error) {
	busy := busyByTicks
	if e.Clock == result.Icount {
		busy = busyBySwitches
	}
	cpus, err := busy()
	if err != nil {
		return Usage{}, err
	}
	wall, err := clock(unix.CLOCK_MONOTONIC)
	if err != nil {
		return Usage{}, err
	}
	process, err := clock(unix.CLOCK_PROCESS_CPUTIME_ID)
	return Usage{Wall: wall, Process: process, CPUs: cpus}, err
}

// Sub returns what was used between earlier and u.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{Wall: u.Wall - earlier.Wall, Process: u.Process - earlier.Process, CPUs: u.CPUs - earlier.CPUs}
}

// Add returns what u and o are together.
func (u Usage) Add(o Usage) Usage {
	return Usage{Wall: u.Wall + o.Wall, Process: u.Process + o.Process, CPUs: u.CPUs + o.CPUs}
}

func clock(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, fmt.Errorf("clock %d: %w", id, err)
	}
	return time.Duration(t.Nano()), nil
}

// busyBySwitches is to the nanosecond what all tasks have run on all CPUs. The kernel adds to it when a task leaves its CPU: on one CPU the
// short sleep makes everyone do so, and then it is exact. Idle time, which the emulator's clock leaps over, is no part of it.
func busyBySwitches() (time.Duration, error) {
	if err := unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil); err != nil && err != unix.EINTR {
		return 0, fmt.Errorf("sleep: %w", err)
	}
	text, err := os.ReadFile("/proc/schedstat")
	if err != nil {
		return 0, err
	}
	return parseSchedstat(string(text))
}

// parseSchedstat sums field 7 of each CPU, the time that tasks ran, in nanoseconds: fields 1 to 6 count events.
func parseSchedstat(text string) (time.Duration, error) {
	return sumCPUs(text, func(name string, fields []uint64) (time.Duration, bool) {
		if name == "cpu" || len(fields) < 7 {
			return 0, false
		}
		return time.Duration(fields[6]), true
	})
}

// busyByTicks is what all CPUs did besides idling, in units of 10 ms.
func busyByTicks() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat takes the line for all CPUs: user, nice, system, idle, iowait, irq, softirq, steal. Steal is somebody else's.
func parseStat(text string) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ
	return sumCPUs(text, func(name string, f []uint64) (time.Duration, bool) {
		if name != "cpu" || len(f) < 8 {
			return 0, false
		}
		return time.Duration(f[0]+f[1]+f[2]+f[5]+f[6]) * tick, true
	})
}

// sumCPUs adds up what f makes of the lines for CPUs. None that it takes is an error.
func sumCPUs(text string, f func(name string, fields []uint64) (time.Duration, bool)) (sum time.Duration, err error) {
	found := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasPrefix(words[0], "cpu") {
			continue
		}
		fields := make([]uint64, len(words)-1)
		for i, word := range words[1:] {
			if fields[i], err = strconv.ParseUint(word, 10, 64); err != nil {
				return 0, fmt.Errorf("%q: %w", line, err)
			}
		}
		if d, ok := f(words[0], fields); ok {
			sum, found = sum+d, true
		}
	}
	if !found {
		return 0, fmt.Errorf("the kernel does not tell the CPUs' times: %.80q", text)
	}
	return sum, nil
}
