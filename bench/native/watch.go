// SPDX-License-Identifier: MIT

//go:build linux

package native

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// loadInterval is how long what others do is averaged over: the kernel counts in hundredths of a second.
const loadInterval = 500 * time.Millisecond

// userHZ is what /proc counts CPU time in.
const userHZ = 100

// watchLoad measures how busy others than the process group, and this process, keep the machine from one tick to the next, until stop is closed.
func watchLoad(pgid int, ticks <-chan time.Time, stop <-chan struct{}) []Load {
	var loads []Load
	from, busy, ours := TSC(), machineTicks(), groupTicks(pgid)
	start := time.Now()
	for {
		select {
		case <-stop:
			return loads
		case <-ticks:
		}
		now, nowBusy, nowOurs := TSC(), machineTicks(), groupTicks(pgid)
		others := float64(nowBusy-busy) - float64(nowOurs-ours)
		loads = append(loads, Load{From: from, To: now, CPUs: others / userHZ / time.Since(start).Seconds()})
		from, busy, ours, start = now, nowBusy, nowOurs, time.Now()
	}
}

// machineTicks is the CPU time that anybody has had; 0 where there is no /proc.
func machineTicks() int {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return parseStat(string(text))
}

// parseStat adds up what /proc/stat says of all CPUs, but idle and waiting for I/O. What the hypervisor gave to other machines is among it. Guests'
// time is in that of users already.
func parseStat(text string) int {
	const idle, iowait, steal = 4, 5, 8
	line, _, _ := strings.Cut(text, "\n")
	var sum int
	for i, word := range strings.Fields(line) {
		if n, err := strconv.Atoi(word); err == nil && i != idle && i != iowait && i <= steal {
			sum += n
		}
	}
	return sum
}

// groupTicks is the CPU time that a process group and this process have had.
func groupTicks(pgid int) int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	sum := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if group, ticks, err := parseProcess(string(text)); err == nil && (group == pgid || pid == os.Getpid()) {
			sum += ticks
		}
	}
	return sum
}

// parseProcess takes from /proc/PID/stat the process's group and its CPU time, that of ended children included. The name may hold blanks and
// brackets.
func parseProcess(text string) (group, ticks int, err error) {
	const pgrp, utime, cstime = 2, 11, 14 // behind the name
	words := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(words) <= cstime {
		return 0, 0, fmt.Errorf("%q is not what /proc/PID/stat holds", text)
	}
	if group, err = strconv.Atoi(words[pgrp]); err != nil {
		return 0, 0, err
	}
	for _, word := range words[utime : cstime+1] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return 0, 0, err
		}
		ticks += n
	}
	return group, ticks, nil
}

// hostCall measures what a system call costs this process, in ns: the median of many windows.
func hostCall() float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const windows, calls = 51, 2000
	var all []float64
	for range windows {
		start := time.Now()
		CallMany(calls)
		all = append(all, float64(time.Since(start))/calls)
	}
	return medianOf(all)
}
