// SPDX-License-Identifier: MIT

//go:build linux

// Package workload holds what the benchmark makes the contestants do, and how that is measured. Each workload checks at the far end that the
// packets that it counts have arrived and are the ones that were sent: a figure for work that was not done is an error.
//
// The process must be root, in a network namespace that is its own, with IPv6 off for new interfaces: nothing but the workload sends packets.
package workload

import (
	"fmt"
	"slices"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/internal/syscount"
)

// An Env is where and how a workload is to run.
type Env struct {
	Clock string // result.Icount or result.Wall
	CPUs  int    // of the machine
	// Calls counts system calls, unless it is nil. Counting costs: in a round with it there are no other figures.
	Calls *syscount.Counter
}

// A Sample is one figure of one round.
type Sample struct {
	Peer, Metric, Unit string
	Value              float64
}

// A Workload is something that contestants are made to do.
type Workload struct {
	Name  string
	Sizes []int // bytes of a packet, one row each; 0 where there is no size
	// Clocks are the clocks that it means anything by; nil is all of them.
	Clocks []string
	// Uncounted workloads have no packets that system calls could be related to.
	Uncounted bool
	// Base measures the workload without a contestant, if that means anything: its cost, or its rate, for which base is 0. It runs once a
	// round, before the contestants.
	Base func(e *Env, size int) (base float64, s []Sample, err error)
	// Run makes one contestant do it once. It returns an error that wraps peer.ErrUnable if the contestant cannot.
	Run func(e *Env, p peer.Peer, size int, base float64) ([]Sample, error)
}

// Has reports whether the workload means anything by that clock.
func (w Workload) Has(clock string) bool {
	return w.Clocks == nil || slices.Contains(w.Clocks, clock)
}

// All returns the workloads in the order that they are run in.
func All() []Workload {
	return slices.Concat([]Workload{receive, receiveUDP, send, receiveSuper, sendSuper, forwardUDP, forwardTCP1, forwardTCP8, overlayUDP, overlayTCP,
		ping, pingLoad, handOffWith(1), handOffWith(2), overload}, rxVariants, vpnsOfAll())
}

// ByName returns the workload of that name: one of All, or of those of a VPN, which mean something by
// either clock for who asks.
func ByName(name string) (Workload, error) {
	for _, w := range slices.Concat(vpns, All()) {
		if w.Name == name {
			return w, nil
		}
	}
	return Workload{}, fmt.Errorf("there is no workload %q", name)
}

// costs are the figures that every workload has: what was used for so many packets of that size, and what it is above base instructions a packet.
func (e *Env) costs(name string, u Usage, packets, size int, base float64) []Sample {
	n := float64(packets)
	if e.Clock == result.Icount {
		total := float64(u.CPUs.Nanoseconds()) / n
		s := []Sample{
			{name, result.MetricInstructions, "instr/packet", total},
			{name, result.MetricProcessCPU, "instr/packet", float64(u.Process.Nanoseconds()) / n},
		}
		if base > 0 {
			s = append(s, Sample{name, result.MetricNetInstructions, "instr/packet", total - base})
		}
		return s
	}
	rate := n / u.Wall.Seconds()
	return []Sample{
		{name, result.MetricPackets, "packets/s", rate},
		{name, result.MetricThroughput, "Gb/s", rate * float64(size) * 8 / 1e9},
		{name, result.MetricProcessCPU, "ns/packet", float64(u.Process.Nanoseconds()) / n},
		{name, result.MetricAllCPU, "ns/packet", float64(u.CPUs.Nanoseconds()) / n},
	}
}
