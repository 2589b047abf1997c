// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mytun/mytun/bench/result"
)

// split takes the rows of the native clock out of the others.
func split(rows []result.Row) (native, others []result.Row) {
	for _, row := range rows {
		if row.Clock == result.Native {
			native = append(native, row)
		} else {
			others = append(others, row)
		}
	}
	return native, others
}

// A nativeLine is what one contestant reached in one workload at one distance of the CPUs: all its metrics beside each other.
type nativeLine struct {
	key   result.Row // without peer and metric
	peer  string
	cells map[string]result.Row // by metric
}

// nativeLines arranges rows: what contestants have in common stands together, in the order of the first row.
func nativeLines(rows []result.Row) []*nativeLine {
	var lines []*nativeLine
	for _, row := range rows {
		key := row.Key()
		key.Peer, key.Metric = "", ""
		at := slices.IndexFunc(lines, func(l *nativeLine) bool { return l.key == key && l.peer == row.Peer })
		if at < 0 {
			at = len(lines)
			lines = append(lines, &nativeLine{key, row.Peer, make(map[string]result.Row)})
		}
		lines[at].cells[row.Metric] = row
	}
	order := func(l *nativeLine) int {
		return slices.IndexFunc(lines, func(o *nativeLine) bool { return o.key.CPUs == l.key.CPUs && o.name() == l.name() })
	}
	place := make(map[*nativeLine]int)
	for _, l := range lines {
		place[l] = (order(l)*len(distances)+slices.Index(distances, l.key.Distance))*(len(nativePeers)+1) + slices.Index(nativePeers, l.peer)
	}
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b *nativeLine) int { return place[a] - place[b] })
	return sorted
}

// The order of lines that have the workload in common: others than these stand before them.
var (
	distances   = []string{"", result.Near, result.Far}
	nativePeers = []string{result.PeerMytun, result.PeerMytunA, result.PeerMytunB, result.PeerTun, result.PeerVhost}
)

func (l *nativeLine) name() string { return subject(l.key.Workload, l.key.Size) }

// writeNative writes one table for each kernel and number of CPUs, a line for each workload, distance and contestant, and what the words mean.
func writeNative(b *strings.Builder, rows []result.Row, format Format) {
	lines := nativeLines(rows)
	for from := 0; from < len(lines); {
		to := from
		for to < len(lines) && lines[to].key.CPUs == lines[from].key.CPUs && lines[to].key.Kernel == lines[from].key.Kernel {
			to++
		}
		writeNativeTable(b, lines[from:to], format)
		from = to
	}
	if len(lines) == 0 {
		return
	}
	b.WriteString(paragraph(nativeLegend, format))
	if slices.ContainsFunc(rows, func(row result.Row) bool { return row.Loaded }) {
		b.WriteString(paragraph(nativeLoaded, format))
	}
	b.WriteString("\n")
}

const (
	nativeLegend = "ns/packet, from one packet to the next, whoever spends it: min, 10th percentile, median of the windows; B/A: by min and by" +
		" median. proc, thread, sender: their CPU time, ns/packet, median. drop: % of what was offered. bells: doorbells for 1000 packets. n:" +
		" windows. near and far: how far the two CPUs were from each other. tun, calls free: its system call's entry and exit taken off; tun," +
		" host's calls: and what they cost outside of User-mode Linux added; with one CPU, of what the process receives, both of its CPU time alone."
	nativeLoaded = "*: others kept more than 0.15 of the CPUs busy meanwhile, so that only min says something: measure again on an idle machine."
)

func writeNativeTable(b *strings.Builder, lines []*nativeLine, format Format) {
	title := fmt.Sprintf("Kernel %s, %s, clock: native", lines[0].key.Kernel, plural(lines[0].key.CPUs, "CPU"))
	if format == Markdown {
		title = "### " + title + "\n"
	}
	t := table.NewWriter()
	t.SetStyle(style())
	t.SuppressTrailingSpaces()
	t.AppendHeader(table.Row{"", "", "min", "p10", "median", "B/A", "proc", "thread", "sender", "drop", "bells", "n"})
	var configs []table.ColumnConfig
	for i := range 10 {
		configs = append(configs, table.ColumnConfig{Number: i + 3, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	indent, calls := "", ""
	if format == Text {
		indent = "  "
	}
	for i, l := range lines {
		if call, ok := l.cells[result.MetricCall]; ok {
			calls += paragraph(fmt.Sprintf("A system call in it%s: %s ns (median).", before(", ", call.Distance), figure(call.Median)), format)
			continue
		}
		if name := l.name(); i == 0 || lines[i-1].name() != name {
			t.AppendRow(table.Row{emphasis(name, format)})
		}
		l.append(t, indent, lines)
	}
	rendered := t.Render()
	if format == Markdown {
		rendered = t.RenderMarkdown()
	}
	fmt.Fprintf(b, "%s\n%s\n%s\n", title, rendered, calls)
}

func before(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// append adds the line, and below it those of what the time would be with other system calls.
func (l *nativeLine) append(t table.Writer, indent string, all []*nativeLine) {
	main := l.cells[result.MetricTime]
	mark := ""
	if main.Loaded {
		mark = "*"
	}
	t.AppendRow(table.Row{
		indent + l.peer, l.key.Distance + mark, whole(main.Min), whole(main.P10), whole(main.Median), l.against(all), l.cell(result.MetricProcessCPU, 1),
		l.cell(result.MetricThreadCPU, 1), l.cell(result.MetricSenderCPU, 1), l.cell(result.MetricDropped, 1), l.cell(result.MetricDoorbells, 1000),
		main.Rounds,
	})
	for _, metric := range []string{result.MetricTimeFree, result.MetricTimeHost} {
		if row, ok := l.cells[metric]; ok {
			t.AppendRow(table.Row{indent + l.peer + ", " + metric, l.key.Distance + mark, whole(row.Min), whole(row.P10), whole(row.Median)})
		}
	}
}

// against is B's time divided by A's, on B's line.
func (l *nativeLine) against(all []*nativeLine) string {
	if l.peer != result.PeerMytunB {
		return ""
	}
	at := slices.IndexFunc(all, func(o *nativeLine) bool { return o.key == l.key && o.peer == result.PeerMytunA })
	if at < 0 {
		return missing
	}
	a, b := all[at].cells[result.MetricTime], l.cells[result.MetricTime]
	if a.Min <= 0 || a.Median <= 0 {
		return missing
	}
	return quotient(b.Min/a.Min) + " " + quotient(b.Median/a.Median)
}

func (l *nativeLine) cell(metric string, times float64) string {
	row, ok := l.cells[metric]
	if !ok {
		return ""
	}
	return whole(row.Median * times)
}

// whole prints what is measured in nanoseconds without fractions of them, unless it is small.
func whole(v float64) string {
	if v >= 100 || v <= -100 {
		return fmt.Sprintf("%.0f", v)
	}
	return digits(v)
}
