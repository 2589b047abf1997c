// SPDX-License-Identifier: MIT

package report

import (
	"math"
	"slices"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// A target is what mytun is to reach in one metric of a workload.
type target struct {
	workload string
	size     int // 0: every size
	metric   string
	clock    string   // "": either
	cpus     int      // the least number of CPUs for which it is meant
	bound    float64  // of the ratio, or of the figure itself if absolute is set
	below    bool     // the bound itself does not reach it
	absolute bool     // bound is a figure of mytun's own, whatever the peers have
	against  []string // the peers that bound is relative to; none: the best one
}

var (
	stock         = []string{result.PeerTun}
	stockAndVhost = []string{result.PeerTun, result.PeerVhost}
	offloading    = []string{result.PeerWireGuard}
)

// targets are those that the project set itself before the first figure was measured (docs/performance.md, "Targets"). They are the floor of
// what was aimed at, and are not moved to where the figures are.
var targets = []target{
	{workload: result.WorkloadRx, size: 64, metric: result.MetricNetInstructions, clock: result.Icount, bound: 1.0 / 3, against: stock},
	{workload: result.WorkloadTx, size: 64, metric: result.MetricInstructions, clock: result.Icount, bound: 0.5, against: stock},
	{workload: result.WorkloadRx, size: 1400, metric: result.MetricNetInstructions, clock: result.Icount, bound: 0.45, against: stock},
	{workload: result.WorkloadTx, size: 1400, metric: result.MetricInstructions, clock: result.Icount, bound: 0.6, against: stock},
	{workload: result.WorkloadRx, size: 64, metric: result.MetricPackets, clock: result.Wall, cpus: 2, bound: 2.5, against: stockAndVhost},
	{workload: result.WorkloadTx, size: 64, metric: result.MetricPackets, clock: result.Wall, cpus: 2, bound: 2.5, against: stockAndVhost},
	{workload: result.WorkloadRx, size: 64, metric: result.MetricProcessCPU, bound: 1.0 / 15, against: stock},
	{workload: result.WorkloadTx, size: 64, metric: result.MetricProcessCPU, bound: 1.0 / 15, against: stock},
	{workload: result.WorkloadForwardUDP, size: 1400, metric: result.MetricPackets, clock: result.Wall, bound: 2},
	{workload: result.WorkloadForwardUDP, size: 1400, metric: result.MetricInstructions, clock: result.Icount, bound: 0.5},
	{workload: result.WorkloadForwardTCP1, metric: result.MetricThroughput, clock: result.Wall, bound: 1.2, against: offloading},
	{workload: result.WorkloadForwardTCP8, metric: result.MetricThroughput, clock: result.Wall, bound: 1.2, against: offloading},
	{workload: result.WorkloadPing, metric: result.MetricRTTP50, bound: 1, against: stock},
	{workload: result.WorkloadPing, metric: result.MetricRTTP99, bound: 1, against: stock},
	{workload: result.WorkloadRx, size: 64, metric: result.MetricReadWrite, bound: 0, absolute: true},
	{workload: result.WorkloadTx, size: 64, metric: result.MetricReadWrite, bound: 0, absolute: true},
	{workload: result.WorkloadRx, size: 64, metric: result.MetricDoorbells, bound: 1.0 / 64, below: true, absolute: true},
	{workload: result.WorkloadTx, size: 64, metric: result.MetricDoorbells, bound: 1.0 / 64, below: true, absolute: true},
	{workload: result.WorkloadOverload, metric: result.MetricLost, bound: 0, absolute: true},
}

// shortNames are for the column of targets, which is narrow.
var shortNames = map[string]string{result.PeerVhost: "vh", result.PeerWireGuard: "wg"}

// targetFor returns the target that is set for a line, nil if there is none.
func targetFor(s *section, l *line) *target {
	for i := range targets {
		if targets[i].matches(s, l) {
			return &targets[i]
		}
	}
	return nil
}

func (t *target) matches(s *section, l *line) bool {
	return t.workload == l.workload && t.metric == l.metric && (t.size == 0 || t.size == l.size) &&
		(t.clock == "" || t.clock == s.clock) && t.cpus <= s.cpus
}

// text prints the bound for the table: "<=0.33 tun", ">=2.50 tun+vh", "<=0".
func (t *target) text(unit string) string {
	sign := "<="
	switch {
	case result.HigherIsBetter(unit):
		sign = ">="
	case t.below:
		sign = "<"
	}
	if t.absolute {
		return sign + figure(t.bound)
	}
	names := make([]string, 0, len(t.against))
	for _, peer := range t.against {
		if short, ok := shortNames[peer]; ok {
			peer = short
		}
		names = append(names, peer)
	}
	if len(names) == 0 {
		names = []string{"best"}
	}
	return sign + digits(math.Round(t.bound*1000)/1000) + " " + strings.Join(names, "+")
}

// String names the target, for the list of those that were not measured.
func (t *target) String() string {
	name := subject(t.workload, t.size) + ", " + t.metric
	if t.clock == result.Wall {
		return name + " (wall clock)"
	}
	return name
}

// reached tells whether the line reaches the target; measured is false if mytun, or a peer that decides it, has no figure.
func (t *target) reached(l *line) (reached, measured bool) {
	own, ok := l.cells[result.PeerMytun]
	if !ok {
		return false, false
	}
	limit := t.bound
	if !t.absolute {
		best, ok := l.rivals(t.against)
		if !ok {
			return t.missedAgainstSome(l, own.Median)
		}
		limit *= best
	}
	return t.within(l, own.Median, limit), true
}

// missedAgainstSome decides what can be decided if not all peers have figures: missed is missed, but reached needs all of them.
func (t *target) missedAgainstSome(l *line, own float64) (reached, measured bool) {
	for _, peer := range t.against {
		if row, ok := l.cells[peer]; ok && !t.within(l, own, t.bound*row.Median) {
			return false, true
		}
	}
	return false, false
}

// actual prints what the bound is to be compared with: mytun's own figure, or its ratio to the best of those target peers that were measured.
func (t *target) actual(l *line) string {
	own := l.cells[result.PeerMytun].Median
	if t.absolute {
		return figure(own)
	}
	known := slices.DeleteFunc(slices.Clone(t.against), func(peer string) bool { _, ok := l.cells[peer]; return !ok })
	if best, ok := l.rivals(known); ok && best != 0 {
		return quotient(own / best)
	}
	return figure(own) + " against 0"
}

func (t *target) within(l *line, own, limit float64) bool {
	switch {
	case result.HigherIsBetter(l.unit):
		return own >= limit
	case t.below:
		return own < limit
	}
	return own <= limit
}

// rivals returns the best figure of the named peers, or of all if none is named.
func (l *line) rivals(named []string) (float64, bool) {
	if len(named) == 0 {
		return l.best()
	}
	return l.bestOf(named)
}
