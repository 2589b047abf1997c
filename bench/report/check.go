// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mytun/mytun/bench/result"
)

// Tolerance is the relative change that counts, if every round is worse than any of the baseline's.
const Tolerance = 0.03

// grain is the least change that is shown among events in a packet, such as doorbells: one in a hundred packets. Below it, 3 % is a matter of
// how the last batch ended.
const grain = 0.01

// decisive is the metric of the rows that can fail the check.
const decisive = result.MetricInstructions

// The verdicts on a row, worst first.
const (
	missingRow  = "MISSING"
	worseRow    = "WORSE"
	shownRow    = "shown"
	improvedRow = "better"
	sameRow     = ""
)

// A comparison is one row of the baseline beside today's.
type comparison struct {
	before, after result.Row
	worse         float64 // relative change, positive if it is one for the worse
	verdict       string
}

// Check compares what now has with the baseline, writes what changed, and returns false if a row is missing or got worse: by more than
// Tolerance, and with every round worse than any of the baseline's.
//
// The figures depend on more than the project: on the kernel's release, on the Go release, and on the module's compiler. If these are the same
// as the baseline's, every row of mytun's with all instructions of a packet counts. Other rows fail only by missing, and are shown if they
// changed: this project cannot make other peers worse (stock tun's rx was seen to differ by 4 % between two runs, with how often its reader
// falls asleep), and parts of the whole depend on how the two sides happen to meet. Between two runs of the same thing the process's share of
// rx differed by up to 10 %, system calls in the forwarder by 13 %, all instructions by 2 % in rx and tx, and by 4 % in the
// forwarder.
//
// If they differ, as on a machine that got Debian's next kernel, a change may have come from there. Then stock tun is the control: a row
// of mytun's fails if it got worse by more than Tolerance, both as it is and relative to stock tun's row in the same metric of the same
// workload. That lets through what moved together with the kernel, and still finds most of what a commit breaks. A new compiler, which
// builds the module and not stock tun, is not found out that way, so its effect counts as worse. The output says that the environment
// differs, and how to be certain: by a baseline of the parent commit that was measured on this very machine.
func Check(w io.Writer, base, now *Baseline) (bool, error) {
	comparisons, added, err := compare(base, now)
	if err != nil {
		return false, err
	}
	var b strings.Builder
	writeEnvironment(&b, base.Environment, now.Environment)
	writeChanges(&b, comparisons)
	ok := writeSummary(&b, comparisons, added)
	_, err = io.WriteString(w, b.String())
	return ok, err
}

// index finds a row by what it stands for: the kernel's series, rather than its release.
func index(rows []result.Row) (map[result.Row]result.Row, error) {
	found := make(map[result.Row]result.Row, len(rows))
	for _, row := range rows {
		key := keyOf(row)
		if other, ok := found[key]; ok {
			return nil, fmt.Errorf("row %v is there for two releases of one kernel series, %s and %s", key, other.Kernel, row.Kernel)
		}
		found[key] = row
	}
	return found, nil
}

func keyOf(row result.Row) result.Row {
	key := row.Key()
	key.Unit = row.Unit
	key.Kernel = series(row.Kernel)
	return key
}

// series returns "6.12" for "6.12.43+deb12-cloud-amd64".
func series(release string) string {
	parts := strings.SplitN(release, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// compare returns the baseline's rows with today's, and how many of today's the baseline does not have.
func compare(base, now *Baseline) (comparisons []comparison, added int, err error) {
	before, err := index(base.Rows)
	if err != nil {
		return nil, 0, err
	}
	after, err := index(now.Rows)
	if err != nil {
		return nil, 0, err
	}
	same := base.Environment == now.Environment
	for _, row := range base.Rows {
		found, ok := after[keyOf(row)]
		c := comparison{before: row, after: found, verdict: missingRow}
		if ok {
			c.worse = worsening(row, found)
			c.verdict = c.judge(same, control(row, before, after))
		}
		comparisons = append(comparisons, c)
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			added++
		}
	}
	return comparisons, added, nil
}

// worsening returns the relative rise of the cost, positive if it is one for the worse: of the figure itself, or of its inverse if higher is
// better. From 0 every rise is infinite.
func worsening(before, after result.Row) float64 {
	change := after.Median - before.Median
	switch {
	case change == 0 || strings.HasPrefix(before.Unit, "1/") && math.Abs(change) < grain:
		return 0
	case result.HigherIsBetter(before.Unit):
		return -change / math.Abs(after.Median)
	}
	return change / math.Abs(before.Median)
}

// control returns by what stock tun got worse in the same metric of the same workload; 0 if that is not known.
func control(row result.Row, before, after map[result.Row]result.Row) float64 {
	key := keyOf(row)
	key.Peer = result.PeerTun
	first, known := before[key]
	second, measured := after[key]
	if !known || !measured || first.Median == 0 {
		return 0
	}
	return worsening(first, second)
}

// judge needs to know whether the environment is the same, and what stock tun did.
func (c comparison) judge(same bool, control float64) string {
	switch {
	case c.worse < -Tolerance:
		return improvedRow
	case c.worse <= Tolerance || c.overlap():
		return sameRow
	case c.before.Peer != result.PeerMytun || c.before.Metric != decisive:
		return shownRow
	case same:
		return worseRow
	case (1+c.worse)/(1+control)-1 <= Tolerance:
		return shownRow
	}
	return worseRow
}

// overlap tells whether a round of today's was as good as one of the baseline's. Counts hardly differ between rounds, but how often a side
// falls asleep does: what two rounds of one run differ by is no change.
func (c comparison) overlap() bool {
	if result.HigherIsBetter(c.before.Unit) {
		return c.after.Max >= c.before.Min
	}
	return c.after.Min <= c.before.Max
}

// writeEnvironment names what differs, in a way that cannot be overlooked.
func writeEnvironment(b *strings.Builder, base, now Environment) {
	if base == now {
		fmt.Fprintf(b, "Environment as in the baseline: kernel %s, %s, %s\n", now.Kernel, now.Go, now.Compiler)
		return
	}
	b.WriteString("THE ENVIRONMENT DIFFERS FROM THE BASELINE'S:\n")
	for _, part := range []struct{ name, before, after string }{
		{"kernel", base.Kernel, now.Kernel}, {"Go", base.Go, now.Go}, {"compiler", base.Compiler, now.Compiler},
	} {
		if part.before != part.after {
			fmt.Fprintf(b, "  %-9s %s, was %s\n", part.name, part.after, part.before)
		}
	}
	b.WriteString(wrap("Changes may come from there. Rows of mytun's fail if they got worse relative to stock tun as well; the others" +
		" are shown only. To be certain, measure the parent commit on this machine (make bench-quick bench-baseline there, in a" +
		" work tree of its own), and check against the baseline that this leaves."))
}

// writeChanges writes one table of all rows on which something is to be said, the worst first.
func writeChanges(b *strings.Builder, comparisons []comparison) {
	t := table.NewWriter()
	t.SetStyle(style())
	t.SuppressTrailingSpaces()
	t.AppendHeader(table.Row{"", "peer", "baseline", "now", "change", "verdict"})
	right := text.AlignRight
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, Align: right}, {Number: 4, Align: right}, {Number: 5, Align: right}})
	for _, verdict := range []string{missingRow, worseRow, shownRow, improvedRow} {
		for _, c := range comparisons {
			if c.verdict == verdict {
				t.AppendRow(c.row())
			}
		}
	}
	if t.Length() > 0 {
		fmt.Fprintf(b, "\n%s\n", t.Render())
	}
}

func (c comparison) row() table.Row {
	name := subject(c.before.Workload, c.before.Size) + ", " + measure(c.before.Metric, c.before.Unit)
	if c.verdict == missingRow {
		return table.Row{name, c.before.Peer, figure(c.before.Median), missing, missing, c.verdict}
	}
	return table.Row{name, c.before.Peer, figure(c.before.Median), figure(c.after.Median), c.change(), c.verdict}
}

// change prints the relative change as it is, whichever way is better.
func (c comparison) change() string {
	if c.before.Median == 0 {
		return "from 0"
	}
	return fmt.Sprintf("%+.1f %%", (c.after.Median-c.before.Median)/math.Abs(c.before.Median)*100)
}

// writeSummary says in one line what the verdict is, and what to do next.
func writeSummary(b *strings.Builder, comparisons []comparison, added int) bool {
	counts := make(map[string]int)
	for _, c := range comparisons {
		counts[c.verdict]++
	}
	sum := fmt.Sprintf("%s in the baseline: %d worse by more than %g %%, %d missing, %d better, %d shown, %d as before.",
		plural(len(comparisons), "row"), counts[worseRow], Tolerance*100, counts[missingRow], counts[improvedRow], counts[shownRow],
		counts[sameRow])
	if added > 0 {
		sum += fmt.Sprintf(" %d measured now are not in it.", added)
	}
	b.WriteString("\n" + wrap(sum))
	if counts[worseRow] > 0 || counts[missingRow] > 0 {
		b.WriteString(wrap("FAILED. If the change is worth its price, say so in the commit that renews the baseline (make bench-baseline)."))
		return false
	}
	if counts[improvedRow] > 0 {
		b.WriteString("The baseline can be renewed, so that the gain is kept: make bench-baseline.\n")
	}
	return true
}
