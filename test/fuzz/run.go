// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/mytun/mytun/test/device"
)

// options are what "fuzz run" is asked for.
type options struct {
	seed       uint64
	duration   time.Duration
	corpus     []string
	replay     string
	repeat     int
	complaints string
	module     string
}

// run is a run in the guest.
type run struct {
	options
	stream   stream
	log      *kernelLog
	cover    *coverage
	corpus   []Program
	executor executor
	summary  Summary
	start    time.Time
	said     time.Time
}

// every is how often progress is shown.
const every = 10 * time.Second

// fuzz makes programs and runs them until the time is over or one of them does
// harm. It tells whether none did.
func fuzz(o options) (well bool, err error) {
	r := &run{options: o, stream: stream{os.Stdout}, start: time.Now(), said: time.Now()}
	r.summary.Seed = o.seed
	if r.log, err = openKernelLog(o.complaints); err != nil {
		return false, err
	}
	if r.cover, err = openCoverage(o.module); err != nil {
		return false, err
	}
	if err := forgetLeaks(); err != nil {
		return false, err
	}
	if err := attempt(func(t *tb) { device.Sandbox(t) }); err != nil {
		return false, err
	}
	if err := r.begin(); err != nil {
		return false, err
	}
	r.programs()
	r.executor.stop()
	r.finish()
	return len(r.summary.Findings) == 0, r.stream.summary(r.summary)
}

// begin makes sure that all is well before the first program: what is found
// later is the programs' doing. So is what is reached.
func (r *run) begin() (err error) {
	if r.replay != "" {
		p, err := loadProgram(r.replay)
		if err != nil {
			return err
		}
		for range r.repeat {
			r.corpus = append(r.corpus, p)
		}
	} else if r.corpus, err = loadCorpus(r.options.corpus...); err != nil {
		return err
	}
	if err := checkMachine(r.log); err != nil {
		return fmt.Errorf("before the first program: %w", err)
	}
	_, err = r.cover.update()
	return err
}

// programs runs those that are given, then those that are made up.
func (r *run) programs() {
	given := r.corpus
	r.corpus = nil
	for _, p := range given {
		if !r.try(p) {
			return
		}
		r.corpus = append(r.corpus, p)
	}
	if r.replay != "" {
		return
	}
	for r.start.Add(r.duration).After(time.Now()) {
		p := newMaker(r.seed, r.summary.Programs).program(r.corpus)
		kept := r.summary.Kept
		if !r.try(p) {
			return
		}
		if r.summary.Kept > kept {
			r.corpus = append(r.corpus, p)
		}
	}
}

// try runs one program and looks at what came of it. False if it was harm.
func (r *run) try(p Program) bool {
	number := r.summary.Programs
	r.summary.Programs++
	r.stream.program(number, p)
	outcome, err := r.executor.run(p)
	r.count(outcome, p)
	if err == nil {
		err = checkMachine(r.log)
	}
	if err == nil {
		err = r.look(number)
	}
	if err != nil {
		r.found(number, err)
	}
	r.progress()
	return err == nil
}

func (r *run) count(o Outcome, p Program) {
	r.summary.Operations += o.Operations
	r.summary.Succeeded += o.Succeeded
	r.summary.Faults += o.Faults
	if p.dies() {
		r.summary.Deaths++
	}
}

// look keeps a program that reached something new.
func (r *run) look(number uint64) error {
	news, err := r.cover.update()
	if news > 0 {
		r.summary.Kept++
		r.stream.keep(number, news)
	}
	return err
}

func (r *run) found(number uint64, err error) {
	what := err.Error()
	if said := r.log.news(); said != "" {
		what += "\nthe kernel complains:\n" + said
	}
	r.summary.Findings = append(r.summary.Findings, firstLine(what))
	r.stream.finding(number, what)
}

func (r *run) progress() {
	if time.Since(r.said) < every {
		return
	}
	r.said = time.Now()
	fmt.Println(r.now())
}

// now is the summary as it stands.
func (r *run) now() Summary {
	r.summary.Seconds = time.Since(r.start).Seconds()
	r.summary.Reached, r.summary.Blocks = r.cover.count, len(r.cover.blocks)
	return r.summary
}

// finish looks for what shows only in the end.
func (r *run) finish() {
	r.now()
	r.summary.Missing = r.cover.missing()
	if len(r.summary.Findings) != 0 {
		return
	}
	fmt.Println("fuzz: looking for leaks")
	if err := checkCheckers(r.log); err != nil {
		r.found(r.summary.Programs, err)
	}
}
