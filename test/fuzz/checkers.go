// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
)

// The kernel's own checkers that say nothing until they are asked. A kernel that
// has not got them has nothing to say.
const (
	leakFile    = "/sys/kernel/debug/kmemleak"
	lockdepFile = "/proc/lockdep_stats"
	// kmemleak holds no object for lost before it is five seconds old
	leakAge = 6 * time.Second
)

// forgetLeaks makes kmemleak overlook what is lost already.
func forgetLeaks() error { return askLeaks("clear") }

func askLeaks(command string) error {
	err := os.WriteFile(leakFile, []byte(command), 0)
	if noLeaks(err) {
		return nil
	}
	return err
}

// noLeaks tells from what a command came to whether kmemleak is not there, or is
// turned off.
func noLeaks(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// findLeaks is what kmemleak has to say, if anything. It is asked twice, as an
// object may be too young the first time, or its address be left on some stack.
func findLeaks() (said string, err error) {
	if err := os.WriteFile(leakFile, []byte("scan"), 0); noLeaks(err) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	time.Sleep(leakAge)
	if err := askLeaks("scan"); err != nil {
		return "", err
	}
	leaks, err := os.ReadFile(leakFile)
	return string(leaks), err
}

var lockdepIsOn = regexp.MustCompile(`(?m)^ *debug_locks: *1$`)

// checkLockdep: after its first report it looks at nothing any more.
func checkLockdep() error {
	stats, err := os.ReadFile(lockdepFile)
	if err == nil && !lockdepIsOn.Match(stats) {
		return fmt.Errorf("lockdep has been turned off")
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
