// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// Whether memory was lost takes seconds to find out. So it is asked once for
// many programs, and if it was, they are run again to find out by which.

// suspect is a program that has been run since leaks were looked for.
type suspect struct {
	number  uint64
	program Program
}

const (
	// leakEvery is how many programs are run before leaks are looked for
	leakEvery = 200
	// narrowing is how long the search for the one may take
	narrowing = 2 * time.Minute
	// accusedMax is how many are kept if the one was not found
	accusedMax = freshEvery
)

// judge asks the checkers that say nothing by themselves, about all programs
// since the last time. False if one has done harm.
func (r *run) judge() bool {
	fmt.Printf("fuzz: asking the kernel's checkers about the last %s\n", plural(len(r.suspects), "program"))
	var leaks string
	err := r.do([]step{{"fresh", checkFresh}, {"judge", func() (err error) {
		leaks, err = findLeaks()
		return errors.Join(err, checkLockdep())
	}}})
	switch {
	case leaks != "":
		r.accuse(leaks)
	case err == nil:
		err = r.machine.log.complaint()
	}
	if err != nil {
		r.found(r.summary.Programs, err)
	}
	r.suspects = nil
	return err == nil && leaks == ""
}

// accuse finds out whose leaks they are.
func (r *run) accuse(leaks string) {
	fmt.Printf("fuzz: memory was lost: running %s again to find the one\n", plural(len(r.suspects), "program"))
	limit := time.Now().Add(narrowing)
	guilty := narrow(r.suspects, func(some []suspect) bool {
		return time.Now().Before(limit) && r.leak(some)
	})
	whose := "this program"
	if len(guilty) > 1 {
		whose = fmt.Sprintf("one of the programs %d to %d", guilty[0].number, guilty[len(guilty)-1].number)
	}
	r.blame(guilty, fmt.Errorf("memory was lost by %s\n%s", whose, tail(leaks, 60)))
}

// blame is a finding of each, as it is not known whose it is.
func (r *run) blame(guilty []suspect, err error) {
	for _, s := range guilty[:min(len(guilty), accusedMax)] {
		r.stream.program(s.number, s.program)
		r.found(s.number, err)
	}
}

// leak tells whether some programs lose memory when they are run again.
func (r *run) leak(some []suspect) bool {
	fmt.Printf("fuzz: %s from %d on\n", plural(len(some), "program"), some[0].number)
	if forgetLeaks() != nil {
		return false
	}
	for _, s := range some {
		r.stream.program(s.number, s.program)
		if _, err := r.executor.run(s.program); err != nil || deleteDevices() != nil {
			return false
		}
	}
	leaks, err := findLeaks()
	return err == nil && leaks != ""
}

// narrow finds the one of some programs that something comes of, by running
// halves of them again. It ends with more than one if neither half does it.
func narrow(some []suspect, again func([]suspect) bool) []suspect {
	for len(some) > 1 {
		half := len(some) / 2
		switch {
		case again(some[:half]):
			some = some[:half]
		case again(some[half:]):
			some = some[half:]
		default:
			return some
		}
	}
	return some
}
