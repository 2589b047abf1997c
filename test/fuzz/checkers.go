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
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkCheckers asks them in the end. Leaks are looked for twice, as an object
// may be too young the first time, or its address be left on some stack.
func checkCheckers(k *kernelLog) error {
	if err := askLeaks("scan"); err != nil {
		return err
	}
	time.Sleep(leakAge)
	if err := askLeaks("scan"); err != nil {
		return err
	}
	if leaks, err := os.ReadFile(leakFile); err == nil && len(leaks) != 0 {
		return fmt.Errorf("memory was lost, by any of the programs:\n%s", tail(string(leaks), 60))
	}
	return errors.Join(checkLockdep(), k.complaint())
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
