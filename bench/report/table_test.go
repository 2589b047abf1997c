// SPDX-License-Identifier: MIT

package report

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

func render(t *testing.T, rows []result.Row, format Format) string {
	t.Helper()
	var b strings.Builder
	if err := Table(&b, rows, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	golden(t, "table.txt", render(t, madeUp(t), Text))
	golden(t, "table.md", render(t, madeUp(t), Markdown))
}

func TestTableFitsTheTerminal(t *testing.T) {
	for line := range strings.Lines(render(t, madeUp(t), Text)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > lineWidth {
			t.Errorf("this line has %d columns:\n%s", len(line), line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("this line ends with a blank: %q", line)
		}
	}
}

func TestTableOfNothing(t *testing.T) {
	if got := render(t, nil, Text); got != "There are no rows.\n" {
		t.Errorf("no rows give %q", got)
	}
}

type fullDisk struct{}

var errFull = errors.New("disk full")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestTableReportsTheWriter(t *testing.T) {
	if err := Table(fullDisk{}, madeUp(t), Text); !errors.Is(err, errFull) {
		t.Errorf("the error is %v, want %v", err, errFull)
	}
}

// The order of rows in the file depends on how the runs were interleaved; the table's must not.
func TestSectionsGather(t *testing.T) {
	rows := []result.Row{
		timed("tx", 64, "tun", result.MetricPackets, "packets/s", 1),
		counted("rx", 64, "tun", result.MetricInstructions, 1),
		counted("tx", 64, "tun", result.MetricInstructions, 1),
		counted("rx", 1400, "tun", result.MetricInstructions, 1),
		counted("rx", 64, "mytun", result.MetricNetInstructions, 1),
		counted("rx", 64, "mytun", result.MetricInstructions, 1),
	}
	all := sections(rows)
	if len(all) != 2 || all[0].clock != result.Icount || all[1].clock != result.Wall {
		t.Fatalf("%d sections, want the counted and then the timed one", len(all))
	}
	var got []string
	for _, l := range all[0].lines {
		got = append(got, subject(l.workload, l.size)+" "+l.metric)
	}
	want := []string{"rx, 64 B instructions", "rx, 64 B net instructions", "tx, 64 B instructions", "rx, 1400 B instructions"}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
	if cells := all[0].lines[0].cells; len(cells) != 2 {
		t.Errorf("%d peers beside each other, want 2", len(cells))
	}
}

// Figures of different conditions must never stand in one line.
func TestSectionsSeparate(t *testing.T) {
	base := counted("rx", 64, "tun", result.MetricInstructions, 1)
	for name, change := range map[string]func(*result.Row){
		"kernel": func(r *result.Row) { r.Kernel = "6.1.0" },
		"cpus":   func(r *result.Row) { r.CPUs = 2 },
		"clock":  func(r *result.Row) { r.Clock = result.Wall },
	} {
		other := base
		change(&other)
		if n := len(sections([]result.Row{base, other})); n != 2 {
			t.Errorf("another %s: %d sections, want 2", name, n)
		}
	}
	if all := sections([]result.Row{base, inUnit(base, "ns/packet")}); len(all[0].lines) != 2 {
		t.Errorf("two units share a line")
	}
}

func TestRatio(t *testing.T) {
	const cost, rate = "instr/packet", "packets/s"
	for _, c := range []struct {
		name  string
		unit  string
		cells map[string]float64
		want  string
		lost  bool
	}{
		{"costs, against the lowest", cost, map[string]float64{"tun": 400, "wireguard": 200, "mytun": 100}, "0.50", false},
		{"rates, against the highest", rate, map[string]float64{"tun": 100, "wireguard": 200, "mytun": 300}, "1.50", false},
		{"a dearer mytun", cost, map[string]float64{"tun": 100, "mytun": 150}, "1.50", true},
		{"a slower mytun", rate, map[string]float64{"tun": 100, "mytun": 50}, "0.50", true},
		{"dearer by too little to be seen", cost, map[string]float64{"tun": 1000, "mytun": 1004}, "1.00", false},
		{"a draw", rate, map[string]float64{"tun": 100, "mytun": 100}, "1.00", false},
		{"the generator is no peer", cost, map[string]float64{"generator": 10, "tun": 200, "mytun": 100}, "0.50", false},
		{"no peer", cost, map[string]float64{"generator": 10, "mytun": 100}, missing, false},
		{"no mytun", cost, map[string]float64{"tun": 100, "wireguard": 90}, missing, false},
		{"a peer at nothing", cost, map[string]float64{"tun": 0, "mytun": 1}, missing, true},
		{"both at nothing", cost, map[string]float64{"tun": 0, "mytun": 0}, missing, false},
	} {
		l := lineOf(c.unit, c.cells)
		if got := l.ratioText(); got != c.want {
			t.Errorf("%s: ratio %s, want %s", c.name, got, c.want)
		}
		if l.lost() != c.lost {
			t.Errorf("%s: lost is %v", c.name, l.lost())
		}
	}
}

func lineOf(unit string, cells map[string]float64) *line {
	l := &line{unit: unit, cells: make(map[string]result.Row)}
	for peer, median := range cells {
		l.cells[peer] = result.Row{Peer: peer, Median: median}
	}
	return l
}

// Whoever reads only the end of the table must not miss where mytun loses.
func TestTableNamesLosses(t *testing.T) {
	rows := []result.Row{
		timed(result.WorkloadPing, 64, "tun", result.MetricRTTP50, "us", 100),
		timed(result.WorkloadPing, 64, "mytun", result.MetricRTTP50, "us", 130),
	}
	for _, format := range []Format{Text, Markdown} {
		got := render(t, rows, format)
		_, end, found := strings.Cut(got, "Where mytun is worse than the best peer:")
		if !found || !strings.Contains(end, "ping, 64 B, RTT p50 us (wall, 2 CPUs, 6.12.1-cloud-amd64): 1.30") {
			t.Errorf("the loss is not named at the end of\n%s", got)
		}
	}
	rows[1].Median = 90
	if got := render(t, rows, Text); strings.Contains(got, "worse") {
		t.Errorf("a loss is named where there is none:\n%s", got)
	}
}

func TestSpread(t *testing.T) {
	wide := timed("rx", 64, "tun", result.MetricPackets, "packets/s", 100)
	wide.Min = 40
	s := sections([]result.Row{timed("rx", 64, "mytun", result.MetricPackets, "packets/s", 100), wide})[0]
	if row, distance := s.spread(); row.Peer != "tun" || distance != 0.6 {
		t.Errorf("spread %v of %v, want 0.6 of tun", distance, row)
	}
	s = sections([]result.Row{counted("rx", 64, "tun", result.MetricInstructions, 1)})[0]
	if row, _ := s.spread(); row.Peer != "" {
		t.Errorf("one round has a spread: %v", row)
	}
}
