// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// A chart is one picture: the panels of one workload on one kernel.
type chart struct {
	name   string // of the file, without its suffix
	title  string
	panels []panel
}

// A panel shows one line of the table, with one bar for each of the peers; a peer without a figure keeps its place.
type panel struct {
	section *section
	line    *line
	peers   []string
}

// title says what is shown, and which way is better.
func (p panel) title() string {
	name := measure(p.line.metric, p.line.unit)
	if p.line.size != 0 {
		name += fmt.Sprintf(", %d B", p.line.size)
	}
	return fmt.Sprintf("%s, %s: %s", name, plural(p.section.cpus, "CPU"), direction(p.line.unit))
}

// charts returns one chart for each workload, and kernel if there are several. The native clock's rows are in tables only.
func charts(rows []result.Row) []*chart {
	_, rows = split(rows)
	var all []*chart
	kernels := make(map[string]bool)
	for _, row := range rows {
		kernels[row.Kernel] = true
	}
	everything := sections(rows)
	for _, s := range everything {
		for _, l := range s.lines {
			name := fileName(l.workload)
			if len(kernels) > 1 {
				name += "-" + fileName(s.kernel)
			}
			if slices.ContainsFunc(all, func(c *chart) bool { return c.name == name }) {
				continue
			}
			if shown := panels(everything, s.kernel, l.workload); len(shown) > 0 {
				all = append(all, &chart{name, l.workload + ", kernel " + s.kernel, shown})
			}
		}
	}
	return all
}

// fileName keeps what is safe in a file's name and in a link.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, s)
}

// panels returns what is worth a picture; if nothing is, everything is.
func panels(all []*section, kernel, workload string) []panel {
	var everything, chosen []panel
	for _, s := range all {
		if s.kernel != kernel {
			continue
		}
		for _, l := range s.lines {
			if l.workload == workload && l.contested() {
				everything = append(everything, panel{section: s, line: l})
			}
		}
	}
	for _, p := range everything {
		if p.headline(everything) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		chosen = everything
	}
	slices.SortStableFunc(chosen, func(a, b panel) int {
		return slices.Index(order(chosen), a.measured()) - slices.Index(order(chosen), b.measured())
	})
	return withPeers(chosen)
}

// measured tells what may stand beside each other.
func (p panel) measured() string {
	return p.section.clock + " " + p.line.metric
}

// order returns the metrics in the order of their first panel, so that one metric's sizes stay together.
func order(panels []panel) []string {
	var names []string
	for _, p := range panels {
		if !slices.Contains(names, p.measured()) {
			names = append(names, p.measured())
		}
	}
	return names
}

// withPeers gives all panels of a chart the same bars.
func withPeers(panels []panel) []panel {
	var peers []string
	for _, peer := range result.Peers() {
		if slices.ContainsFunc(panels, func(p panel) bool { _, ok := p.line.cells[peer]; return ok }) {
			peers = append(peers, peer)
		}
	}
	for i := range panels {
		panels[i].peers = peers
	}
	return panels
}

// headline tells whether the panel is worth being seen beside the others: instructions above the generator rather than all of them, and
// rates and times by a real clock rather than by the instruction count, where they say the same as the instructions.
func (p panel) headline(others []panel) bool {
	has := func(clock, metric string) bool {
		return slices.ContainsFunc(others, func(o panel) bool { return o.section.clock == clock && o.line.metric == metric })
	}
	switch metric := p.line.metric; metric {
	case result.MetricNetInstructions:
		return p.section.clock == result.Icount
	case result.MetricInstructions:
		return p.section.clock == result.Icount && !has(result.Icount, result.MetricNetInstructions)
	case result.MetricPackets, result.MetricThroughput, result.MetricProcessCPU, result.MetricLost, result.MetricRTTP50, result.MetricRTTP99:
		return p.section.clock == result.Wall || !has(result.Wall, metric) && !has(result.Icount, result.MetricInstructions)
	}
	return false
}
