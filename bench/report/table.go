// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mytun/mytun/bench/result"
)

// A Format is how a table is written.
type Format int

// The formats. Text fits a terminal of 100 columns.
const (
	Text Format = iota
	Markdown
)

// Table writes the rows as one table for each kernel, number of CPUs and clock: a line for each metric of a workload, a column for each
// peer, and behind them the ratio of mytun to the best peer and the target. What was not reached, and where mytun loses, is said below in
// words.
//
// Rows of the native clock have tables of their own, before the others: see writeNative.
func Table(w io.Writer, rows []result.Row, format Format) error {
	native, rows := split(rows)
	var b strings.Builder
	writeNative(&b, native, format)
	if len(native) > 0 && len(rows) == 0 {
		_, err := io.WriteString(w, b.String())
		return err
	}
	all := sections(rows)
	for _, s := range all {
		fmt.Fprintf(&b, "%s\n%s\n", s.title(format), s.render(format))
		b.WriteString(s.footer(format))
		b.WriteString("\n")
	}
	writeVerdict(&b, all, format)
	_, err := io.WriteString(w, b.String())
	return err
}

// title says under which conditions the figures were measured.
func (s *section) title(format Format) string {
	method := "clock: wall"
	if s.clock == result.Icount {
		method = "clock: the emulator's count of instructions"
	}
	title := fmt.Sprintf("Kernel %s, %s, %s", s.kernel, plural(s.cpus, "CPU"), method)
	if format == Markdown {
		return "### " + title + "\n"
	}
	return wrap(title)
}

func (s *section) render(format Format) string {
	t := table.NewWriter()
	t.SetStyle(style())
	t.SetColumnConfigs(columns())
	t.SuppressTrailingSpaces()
	t.AppendHeader(header())
	subjectSoFar := ""
	for _, l := range s.lines {
		if !l.contested() {
			continue
		}
		if name := subject(l.workload, l.size); name != subjectSoFar {
			subjectSoFar = name
			t.AppendRow(table.Row{emphasis(name, format)})
		}
		t.AppendRow(s.row(l, format))
	}
	if format == Markdown {
		return t.RenderMarkdown()
	}
	return t.Render()
}

// style is plain: no frame, two blanks between columns, a rule below the header.
func style() table.Style {
	s := table.StyleDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", ""
	s.Box.MiddleVertical = "  "
	s.Box.MiddleSeparator = "--"
	s.Format.Header = text.FormatDefault
	s.Options = table.Options{SeparateColumns: true, SeparateHeader: true}
	s.Markdown.PadContent = true
	return s
}

func columns() []table.ColumnConfig {
	configs := []table.ColumnConfig{{Number: 1, Align: text.AlignLeft, AlignHeader: text.AlignLeft}}
	for i := range len(result.Peers()) + 1 {
		configs = append(configs, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

func header() table.Row {
	row := table.Row{""}
	for _, peer := range result.Peers() {
		row = append(row, heading(peer))
	}
	return append(row, "ratio", "target", "reached")
}

// heading is the peer's name, as short as it can be understood beside its neighbours.
func heading(peer string) string {
	if peer == result.PeerNAPI {
		return "napi"
	}
	return peer
}

func (s *section) row(l *line, format Format) table.Row {
	indent := "  "
	if format == Markdown {
		indent = ""
	}
	row := table.Row{indent + measure(l.metric, l.unit)}
	for _, peer := range result.Peers() {
		cell := missing
		if measured, ok := l.cells[peer]; ok {
			cell = figure(measured.Median)
		}
		row = append(row, cell)
	}
	return append(row, l.ratioText(), s.targetText(l), s.reachedText(l))
}

func (l *line) ratioText() string {
	ratio, ok := l.ratio()
	if !ok {
		return missing
	}
	return quotient(ratio)
}

func (s *section) targetText(l *line) string {
	t := targetFor(s, l)
	if t == nil {
		return ""
	}
	return t.text(l.unit)
}

func (s *section) reachedText(l *line) string {
	t := targetFor(s, l)
	if t == nil {
		return ""
	}
	switch reached, measured := t.reached(l); {
	case !measured:
		return missing
	case reached:
		return "yes"
	}
	return "no"
}

// footer says how far the medians can be trusted, and what others than peers were measured at.
func (s *section) footer(format Format) string {
	var notes string
	if widest, distance := s.spread(); widest.Peer != "" {
		notes = paragraph(fmt.Sprintf("Medians. The widest of the spreads between rounds is %s of the median (%s, %s, %s, %s).",
			percent(distance), subject(widest.Workload, widest.Size), widest.Metric, widest.Peer, plural(widest.Rounds, "round")), format)
	}
	var alone []string
	for _, l := range s.lines {
		for _, row := range l.others() {
			alone = append(alone, fmt.Sprintf("%s, %s: %s %s", row.Peer, subject(l.workload, l.size), figure(row.Median), measure(l.metric, l.unit)))
		}
	}
	if len(alone) > 0 {
		notes += paragraph("Without a peer: "+strings.Join(alone, "; ")+".", format)
	}
	return notes
}

// writeVerdict sums up: targets reached, missed and not measured, and all lines on which a peer is better.
func writeVerdict(b *strings.Builder, all []*section, format Format) {
	if len(all) == 0 {
		b.WriteString("There are no rows.\n")
		return
	}
	b.WriteString(paragraph(legend, format))
	verdict := judge(all)
	fmt.Fprintf(b, "\nTargets: %d reached, %d missed, %d not measured.\n", verdict.reached, len(verdict.missed), len(verdict.open))
	writeList(b, "Missed", verdict.missed)
	writeList(b, "Not measured", verdict.open)
	writeList(b, "Where mytun is worse than the best peer", verdict.lost)
}

const legend = "ratio: mytun divided by the best peer. target: of mytun against the named peer (tun+vh: stock tun and vhost-net," +
	" wg: wireguard), or for mytun alone where none is named. " + missing + ": not measured, or not possible for that peer."

// A verdict is about all sections.
type verdict struct {
	reached            int
	missed, open, lost []string
}

func judge(all []*section) verdict {
	var v verdict
	decided := make(map[*target]bool)
	for _, s := range all {
		for _, l := range s.lines {
			v.judgeLine(s, l, decided)
		}
	}
	for i := range targets {
		if !decided[&targets[i]] {
			v.open = append(v.open, targets[i].String())
		}
	}
	return v
}

func (v *verdict) judgeLine(s *section, l *line, decided map[*target]bool) {
	where := fmt.Sprintf("%s, %s (%s, %s, %s)",
		subject(l.workload, l.size), measure(l.metric, l.unit), s.clock, plural(s.cpus, "CPU"), s.kernel)
	if ratio, ok := l.ratio(); ok && l.lost() {
		v.lost = append(v.lost, where+": "+quotient(ratio)+" times the best peer's")
	} else if l.lost() {
		v.lost = append(v.lost, where+": "+figure(l.cells[result.PeerMytun].Median)+" against 0")
	}
	t := targetFor(s, l)
	if t == nil {
		return
	}
	reached, measured := t.reached(l)
	if !measured {
		return
	}
	decided[t] = true
	if reached {
		v.reached++
	} else {
		v.missed = append(v.missed, where+": "+t.actual(l)+", aimed at "+t.text(l.unit))
	}
}

// writeList writes a Markdown list, which is as good in plain text. Nothing is written about nothing.
func writeList(b *strings.Builder, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n", title)
	for _, item := range items {
		b.WriteString(wrap("- " + item))
	}
}

// lineWidth is the terminal that the text is for.
const lineWidth = 100

// paragraph is set off from the table above it in Markdown, and wrapped for a terminal.
func paragraph(s string, format Format) string {
	if format == Markdown {
		return "\n" + s + "\n"
	}
	return wrap(s)
}

// wrap breaks a paragraph into lines; the library fills them up with blanks, which are taken off.
func wrap(s string) string {
	var b strings.Builder
	for line := range strings.Lines(text.WrapSoft(s, lineWidth) + "\n") {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

func emphasis(s string, format Format) string {
	if format == Markdown {
		return "**" + s + "**"
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
