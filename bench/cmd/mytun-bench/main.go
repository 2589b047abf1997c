// SPDX-License-Identifier: MIT

//go:build linux

// Command mytun-bench makes the contestants of the benchmark do the workloads and prints what it cost them. It is to be run as root in a
// network namespace of its own, as scripts/bench.sh does; progress goes to standard error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/bench/workload"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mytun-bench:", err)
		os.Exit(1)
	}
}

// A plan is what the command line asks for.
type plan struct {
	env       workload.Env
	workloads []workload.Workload
	peers     []peer.Peer
	sizes     string
	rounds    int
	out       string
}

func run(args []string) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	table := newTable(p.env)
	for _, w := range p.workloads {
		for _, size := range w.Sizes {
			if !p.wants(size) {
				continue
			}
			if err := p.measure(table, w, size); err != nil {
				return err
			}
		}
	}
	return table.write(p.out)
}

func parse(args []string) (*plan, error) {
	p := &plan{env: workload.Env{CPUs: runtime.NumCPU()}}
	flags := flag.NewFlagSet("mytun-bench", flag.ContinueOnError)
	flags.StringVar(&p.env.Clock, "clock", result.Wall, "`kind` of clock that this machine has: icount in an emulator that counts instructions, or wall")
	workloads := flags.String("workloads", "", "comma-separated `names` (default all)")
	peers := flags.String("peers", "", "comma-separated `names` (default all)")
	flags.StringVar(&p.sizes, "sizes", "", "comma-separated `bytes` of a packet (default all)")
	flags.IntVar(&p.rounds, "rounds", 5, "`times` that each contestant has its turn")
	flags.StringVar(&p.out, "json", "", "`file` for the rows; by default they are printed, one a line")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.env.Clock != result.Icount && p.env.Clock != result.Wall {
		return nil, fmt.Errorf("-clock %s: it is icount or wall", p.env.Clock)
	}
	var err, err2 error
	p.workloads, err = choose(*workloads, workload.All(), workload.ByName)
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

func (p *plan) wants(size int) bool {
	if p.sizes == "" {
		return true
	}
	for one := range strings.SplitSeq(p.sizes, ",") {
		if one == fmt.Sprint(size) {
			return true
		}
	}
	return false
}

// measure gives all contestants their turn, round after round: what changes on the machine in the course of time meets all of them.
func (p *plan) measure(t *table, w workload.Workload, size int) error {
	unable := make(map[string]bool)
	for round := range p.rounds {
		base := 0.0
		if w.Base != nil {
			var err error
			var samples []workload.Sample
			if base, samples, err = w.Base(&p.env, size); err != nil {
				return fmt.Errorf("%s, %d bytes, without a contestant: %w", w.Name, size, err)
			}
			t.add(w, size, samples)
		}
		for _, c := range p.peers {
			if unable[c.Name] {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, %d bytes: round %d of %d, %s\n", w.Name, size, round+1, p.rounds, c.Name)
			samples, err := w.Run(&p.env, c, size, base)
			if errors.Is(err, peer.ErrUnable) {
				unable[c.Name] = true
				continue
			}
			if err != nil {
				return fmt.Errorf("%s, %d bytes, %s: %w", w.Name, size, c.Name, err)
			}
			t.add(w, size, samples)
		}
	}
	return nil
}
