// SPDX-License-Identifier: MIT

//go:build linux

// Command mytun-bench makes the contestants of the benchmark do the workloads and prints what it cost them. It is to be run as root in a
// network namespace of its own, as scripts/bench.sh does; progress goes to standard error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/bench/workload"
	"github.com/mytun/mytun/internal/syscount"
)

func main() {
	do, args := run, os.Args[1:]
	if len(args) > 0 && args[0] == workload.HelperWord {
		do, args = workload.Help, args[1:]
	}
	if err := do(args); err != nil {
		fmt.Fprintln(os.Stderr, "mytun-bench:", err)
		os.Exit(1)
	}
}

// A plan is what the command line asks for.
type plan struct {
	env       workload.Env
	workloads []workload.Workload
	peers     []peer.Peer
	rounds    int
	blind     bool      // system calls cannot be counted
	spare     bool      // leave out what this machine has not
	say       io.Writer // progress, and what is left out
	out       string
	collect   bool
	logs      []string
}

func run(args []string) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	if p.collect {
		return collect(p.out, p.logs)
	}
	if p.spare {
		if p.peers, err = present(p.peers, p.say); err != nil {
			return err
		}
	}
	table := newTable(p.env)
	if err := p.measureAll(table); err != nil {
		return err
	}
	return table.write(p.out)
}

// measureAll does the workloads that mean anything by the clock.
func (p *plan) measureAll(t *table) error {
	for _, w := range p.workloads {
		if !w.Has(p.env.Clock) {
			continue
		}
		for _, size := range w.Sizes {
			err := p.measure(t, w, size)
			if p.spare && lacks(err) {
				fmt.Fprintf(p.say, "mytun-bench: %s is left out, for this machine has not what it needs: %v\n", w.Name, err)
				break
			}
			if err != nil {
				return err
			}
		}
	}
	if p.spare && len(t.keys) == 0 {
		return errors.New("nothing could be measured: the lines above say why")
	}
	return nil
}

func parse(args []string) (*plan, error) {
	p := &plan{env: workload.Env{CPUs: runtime.NumCPU()}, say: os.Stderr}
	flags := flag.NewFlagSet("mytun-bench", flag.ContinueOnError)
	flags.StringVar(&p.env.Clock, "clock", result.Wall, "`kind` of clock that this machine has: icount in an emulator that counts instructions, or wall")
	workloads := flags.String("workloads", "", "comma-separated `names`, each with all its sizes or as name:bytes with one (default all)")
	peers := flags.String("peers", "", "comma-separated `names` (default all)")
	flags.IntVar(&p.rounds, "rounds", 5, "`times` that each contestant has its turn")
	flags.BoolVar(&p.spare, "spare", false, "leave out, with a line that says so, what this machine has not, instead of ending")
	flags.StringVar(&p.out, "json", "", "`file` for the rows; by default they are printed, one a line")
	flags.BoolVar(&p.collect, "collect", false, "measure nothing: put the rows that the files named as arguments hold into one")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	p.logs = flags.Args()
	if p.env.Clock != result.Icount && p.env.Clock != result.Wall {
		return nil, fmt.Errorf("-clock %s: it is icount or wall", p.env.Clock)
	}
	var err, err2 error
	p.workloads, err = choose(*workloads, workload.All(), workloadByName)
	p.peers, err2 = choose(*peers, peer.All(), peer.ByName)
	return p, errors.Join(err, err2)
}

// choose returns those that are named, or all.
func choose[T any](names string, all []T, byName func(string) (T, error)) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var chosen []T
	for name := range strings.SplitSeq(names, ",") {
		one, err := byName(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, one)
	}
	return chosen, nil
}

// workloadByName returns the workload of that name, limited to one size if there is one behind a colon.
func workloadByName(name string) (workload.Workload, error) {
	name, size, limited := strings.Cut(name, ":")
	w, err := workload.ByName(name)
	if err != nil || !limited {
		return w, err
	}
	n, err := strconv.Atoi(size)
	if err != nil || !slices.Contains(w.Sizes, n) {
		return w, fmt.Errorf("workload %s has the sizes %v, not %q", name, w.Sizes, size)
	}
	w.Sizes = []int{n}
	return w, nil
}

// measure gives all contestants their turn, round after round: what changes on the machine in the course of time meets all of them. In a
// round before the first, system calls are counted and nothing else.
func (p *plan) measure(t *table, w workload.Workload, size int) error {
	able, err := p.count(t, w, size)
	if err != nil {
		return err
	}
	for round := range p.rounds {
		if able, err = p.round(&p.env, t, w, size, able, fmt.Sprintf("round %d of %d", round+1, p.rounds)); err != nil {
			return err
		}
	}
	return nil
}

// count is the round in which system calls are counted.
func (p *plan) count(t *table, w workload.Workload, size int) (able []peer.Peer, err error) {
	if w.Uncounted {
		return p.peers, nil
	}
	calls, err := syscount.Open()
	if err != nil && p.spare {
		p.uncounted(err)
		return p.peers, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, calls.Close()) }()
	if err := calls.Start(); err != nil {
		return nil, err
	}
	counting := p.env
	counting.Calls = calls
	return p.round(&counting, t, w, size, p.peers, "counting calls")
}

// uncounted says once that there are no counts, and why.
func (p *plan) uncounted(err error) {
	if !p.blind {
		fmt.Fprintf(p.say, "mytun-bench: system calls and doorbells are not counted, for this kernel lets no eBPF program see calls"+
			" (it wants CONFIG_BPF_SYSCALL and CONFIG_FTRACE_SYSCALLS, and no lockdown=confidentiality): %v\n", err)
	}
	p.blind = true
}

// round is one turn for each contestant. It returns those that are able to do the workload.
func (p *plan) round(e *workload.Env, t *table, w workload.Workload, size int, peers []peer.Peer, label string) (able []peer.Peer, err error) {
	base := 0.0
	if w.Base != nil && e.Calls == nil {
		var samples []workload.Sample
		if base, samples, err = w.Base(e, size); err != nil {
			return nil, fmt.Errorf("%s, %d bytes, without a contestant: %w", w.Name, size, err)
		}
		t.add(w, size, samples)
	}
	for _, c := range peers {
		fmt.Fprintf(p.say, "%s, %d bytes, %s: %s\n", w.Name, size, label, c.Name)
		samples, err := w.Run(e, c, size, base)
		if errors.Is(err, peer.ErrUnable) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s, %d bytes, %s: %w", w.Name, size, c.Name, err)
		}
		t.add(w, size, samples)
		able = append(able, c)
	}
	return able, nil
}
