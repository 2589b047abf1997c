// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mytun/mytun/test/device"
)

// options are what "fuzz run" is asked for.
type options struct {
	seed     uint64
	duration time.Duration
	corpus   []string
	replay   string
	repeat   int
	allowed  string
	module   string
}

// run is a run in the guest.
type run struct {
	options
	stream   stream
	machine  *machine
	cover    *coverage
	corpus   []Program
	executor executor
	waiting  waiting
	suspects []suspect
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
	r.summary.Seed, r.summary.Spent = o.seed, map[string]float64{}
	log, err := openKernelLog(o.allowed)
	if err != nil {
		return false, err
	}
	r.machine = newMachine(log)
	if r.cover, err = openCoverage(o.module); err != nil {
		return false, err
	}
	if err := forgetLeaks(); err != nil {
		return false, err
	}
	if err := attempt(prepare); err != nil {
		return false, err
	}
	if err := r.begin(); err != nil {
		return false, err
	}
	r.executor.tell = o.replay != ""
	if err := r.executor.begin(); err != nil {
		return false, err
	}
	if err := r.waiting.begin(); err != nil {
		return false, err
	}
	defer r.waiting.watcher.Stop()
	r.programs()
	r.finish()
	r.executor.stop()
	return len(r.summary.Findings) == 0, r.stream.summary(r.summary)
}

// prepare makes the kernel say all that it has to say, however often, and gives
// the programs a namespace to be in.
func prepare(t *tb) {
	device.Sysctl(t, "net/core/message_cost", "0")
	device.Sysctl(t, "kernel/printk_ratelimit", "0")
	device.Sandbox(t)
	makeSink(t)
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
	if err := r.do(r.machine.checks(0)); err != nil {
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
	r.suspects = append(r.suspects, suspect{number, p})
	err := r.do(slices.Concat(
		[]step{
			{"print", func() error { r.stream.program(number, p); return nil }},
			{"execute", func() error { return r.waiting.check(r.waiting.bounds(p), func() error { return r.execute(p) }) }},
		},
		r.machine.checks(number),
		[]step{{"look", func() error { return r.look(number) }}},
	))
	if errors.As(err, new(*staleError)) {
		r.blame(r.suspects[max(0, len(r.suspects)-freshEvery):], err)
		return false
	}
	if err != nil {
		r.found(number, err)
		return false
	}
	r.progress()
	return len(r.suspects) < leakEvery || r.judge()
}

// do does one step after another, up to the first that fails, and adds up what
// each takes.
func (r *run) do(steps []step) error {
	for _, s := range steps {
		start := time.Now()
		err := s.run()
		r.summary.Spent[s.name] += time.Since(start).Seconds()
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) execute(p Program) error {
	outcome, err := r.executor.run(p)
	r.count(outcome, p)
	if err == nil && outcome.Harm != "" {
		err = errors.New(outcome.Harm)
	}
	return err
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
	if said := r.machine.log.news(); said != "" {
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
	if len(r.summary.Findings) == 0 {
		r.judge()
	}
	r.now()
	r.summary.Missing = r.cover.missing()
	r.summary.Waited, r.summary.WaitedStock = r.waiting.longest.Milliseconds(), r.waiting.stock.Milliseconds()
	fmt.Printf("fuzz: others waited at most for %v\n", r.waiting.longest)
}
