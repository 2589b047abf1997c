// SPDX-License-Identifier: MIT

package report

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/mytun/mytun/bench/result"
)

// A section is what was measured on one kernel, one number of CPUs and one clock: only figures within it may be compared.
type section struct {
	kernel string
	cpus   int
	clock  string
	lines  []*line
}

// A line is one metric of one workload, with a cell for each peer that has a figure, and for others who were measured and compete with nobody,
// such as the generator alone.
type line struct {
	workload string
	size     int
	metric   string
	unit     string
	cells    map[string]result.Row
}

// sections arranges rows for showing: instruction counts first; workloads and metrics in the order of their first row.
func sections(rows []result.Row) []*section {
	var all []*section
	for _, row := range rows {
		sectionOf(&all, row).add(row)
	}
	slices.SortStableFunc(all, func(a, b *section) int {
		return cmp.Or(cmp.Compare(a.clock, b.clock), cmp.Compare(a.cpus, b.cpus))
	})
	for _, s := range all {
		s.gather()
	}
	return all
}

func sectionOf(all *[]*section, row result.Row) *section {
	for _, s := range *all {
		if s.kernel == row.Kernel && s.cpus == row.CPUs && s.clock == row.Clock {
			return s
		}
	}
	s := &section{kernel: row.Kernel, cpus: row.CPUs, clock: row.Clock}
	*all = append(*all, s)
	return s
}

func (s *section) add(row result.Row) {
	for _, l := range s.lines {
		if l.workload == row.Workload && l.size == row.Size && l.metric == row.Metric && l.unit == row.Unit {
			l.cells[row.Peer] = row
			return
		}
	}
	s.lines = append(s.lines, &line{row.Workload, row.Size, row.Metric, row.Unit, map[string]result.Row{row.Peer: row}})
}

// gather puts the lines of one workload beside each other, however the runs were interleaved.
func (s *section) gather() {
	var gathered []*line
	for _, first := range s.lines {
		if slices.Contains(gathered, first) {
			continue
		}
		for _, l := range s.lines {
			if l.workload == first.workload && l.size == first.size {
				gathered = append(gathered, l)
			}
		}
	}
	s.lines = gathered
}

// spread returns the figure whose rounds lie farthest apart, as the larger distance of an extreme from the median, relative to that.
// The row has no peer if no figure has more than one round.
func (s *section) spread() (widest result.Row, distance float64) {
	for _, l := range s.lines {
		for _, peer := range result.Peers() {
			row, ok := l.cells[peer]
			if !ok || row.Rounds < 2 || row.Median == 0 {
				continue
			}
			d := math.Max(row.Max-row.Median, row.Median-row.Min) / math.Abs(row.Median)
			if widest.Peer == "" || d > distance {
				widest, distance = row, d
			}
		}
	}
	return widest, distance
}

// better returns the better one of two figures of the line.
func (l *line) better(a, b float64) float64 {
	if result.HigherIsBetter(l.unit) {
		return math.Max(a, b)
	}
	return math.Min(a, b)
}

// best returns the best figure that a peer other than mytun has.
func (l *line) best() (float64, bool) {
	var names []string
	for _, peer := range result.Peers() {
		if _, ok := l.cells[peer]; ok && peer != result.PeerMytun {
			names = append(names, peer)
		}
	}
	return l.bestOf(names)
}

// contested tells whether any peer has a figure.
func (l *line) contested() bool {
	return slices.ContainsFunc(result.Peers(), func(peer string) bool {
		_, ok := l.cells[peer]
		return ok
	})
}

// others returns the rows that are no peer's, in the order of their names.
func (l *line) others() []result.Row {
	known := result.Peers()
	var rows []result.Row
	for _, name := range slices.Sorted(maps.Keys(l.cells)) {
		if !slices.Contains(known, name) {
			rows = append(rows, l.cells[name])
		}
	}
	return rows
}

// bestOf returns the best figure of those peers; false if one of them has none, or there are none.
func (l *line) bestOf(peers []string) (float64, bool) {
	var best float64
	for i, peer := range peers {
		row, ok := l.cells[peer]
		switch {
		case !ok:
			return 0, false
		case i == 0:
			best = row.Median
		default:
			best = l.better(best, row.Median)
		}
	}
	return best, len(peers) > 0
}

// ratio returns mytun's figure divided by the best peer's; false where one of them is missing or the quotient is no number.
func (l *line) ratio() (float64, bool) {
	best, ok := l.best()
	own, measured := l.cells[result.PeerMytun]
	if !ok || !measured || best == 0 {
		return 0, false
	}
	return own.Median / best, true
}

// lost tells whether mytun's figure is worse than the best peer's, by enough to be seen in the table.
func (l *line) lost() bool {
	best, ok := l.best()
	own, measured := l.cells[result.PeerMytun]
	if ratio, finite := l.ratio(); finite && math.Abs(ratio-1) < 0.005 {
		return false
	}
	return ok && measured && own.Median != best && l.better(own.Median, best) == best
}
