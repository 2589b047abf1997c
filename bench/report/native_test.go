// SPDX-License-Identifier: MIT

package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

// timedNatively returns a row of the native clock.
func timedNatively(workload string, size int, peer, distance, metric string, median float64) result.Row {
	row := timed(workload, size, peer, metric, "ns/packet", median)
	row.Clock, row.Distance, row.P10, row.Min, row.Rounds = result.Native, distance, median*0.95, median*0.9, 40
	return row
}

// nativeRows are what two builds and stock tun reached, in the order in which they might come.
func nativeRows() []result.Row {
	rows := []result.Row{timedNatively("call", 0, "generator", result.Near, result.MetricCall, 8000)}
	for _, distance := range []string{result.Far, result.Near} {
		for _, peer := range []string{result.PeerMytunA, result.PeerTun, result.PeerMytunB} {
			median := map[string]float64{result.PeerMytunA: 400, result.PeerMytunB: 300, result.PeerTun: 9000}[peer]
			rows = append(rows, timedNatively("rx", 64, peer, distance, result.MetricTime, median))
			if peer == result.PeerTun {
				rows = append(rows, timedNatively("rx", 64, peer, distance, result.MetricTimeFree, 1000))
			}
			dropped := timedNatively("rx", 64, peer, distance, result.MetricDropped, 12.5)
			dropped.Unit = "%"
			rows = append(rows, dropped)
		}
	}
	return rows
}

func TestNativeTable(t *testing.T) {
	got := render(t, nativeRows(), Text)
	var lines []string
	for line := range strings.Lines(got) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		"Kernel 6.12.1-cloud-amd64, 2 CPUs, clock: native",
		"min p10 median B/A proc thread sender drop bells n",
		"", // the rule
		"rx, 64 B",
		"mytun A near 360 380 400 12.5 40",
		"mytun B near 270 285 300 0.75 0.75 12.5 40",
		"tun near 8100 8550 9000 12.5 40",
		"tun, calls free near 900 950 1000",
		"mytun A far 360 380 400 12.5 40",
	} {
		if want != "" && (i >= len(lines) || lines[i] != want) {
			t.Fatalf("line %d is not %q in\n%s", i, want, got)
		}
	}
	if !strings.Contains(got, "A system call in it, near: 8000 ns") {
		t.Errorf("what a system call costs is not said in\n%s", got)
	}
	if strings.Contains(got, "Targets:") || strings.Contains(got, "*:") {
		t.Errorf("targets of other clocks, or a load that was not, in\n%s", got)
	}
}

// Whoever has a line keeps to those of the same distance, in the contestants' order.
func TestNativeTableOrder(t *testing.T) {
	var rows []result.Row
	for _, peer := range []string{result.PeerVhost, result.PeerMytun, result.PeerTun} {
		for _, distance := range []string{result.Far, result.Near, ""} {
			rows = append(rows, timedNatively("rx", 64, peer, distance, result.MetricTime, 400))
		}
	}
	rows = append(rows, timedNatively("tx", 64, result.PeerVhost, "", result.MetricTime, 400))
	var got []string
	for _, l := range nativeLines(rows) {
		got = append(got, strings.TrimSpace(l.key.Workload+" "+l.peer+" "+l.key.Distance))
	}
	want := []string{
		"rx mytun", "rx tun", "rx vhost-net", "rx mytun near", "rx tun near", "rx vhost-net near", "rx mytun far", "rx tun far", "rx vhost-net far",
		"tx vhost-net",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the lines are\n%q, want\n%q", got, want)
	}
}

func TestNativeTableFitsTheTerminal(t *testing.T) {
	rows := nativeRows()
	for i := range rows {
		rows[i].Loaded = true
	}
	got := render(t, rows, Text)
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > lineWidth || strings.HasSuffix(line, " ") {
			t.Errorf("this line has %d columns, or ends with a blank:\n%q", len(line), line)
		}
	}
	if !strings.Contains(got, "near*") || !strings.Contains(got, "*: others kept") {
		t.Errorf("a loaded host is not marked in\n%s", got)
	}
}

func TestNativeTableMarkdown(t *testing.T) {
	got := render(t, nativeRows(), Markdown)
	if !strings.HasPrefix(got, "### Kernel") || !strings.Contains(got, "| **rx, 64 B** ") {
		t.Errorf("this is no Markdown:\n%s", got)
	}
}

// Rows of other clocks keep their tables, and what is said below them.
func TestNativeTableBesideOthers(t *testing.T) {
	others := madeUp(t)
	got := render(t, append(nativeRows(), others...), Text)
	if !strings.HasSuffix(got, render(t, others, Text)) {
		t.Error("rows of the native clock change the tables of others")
	}
}

// A number of CPUs has its own table.
func TestNativeTableOfOneCPU(t *testing.T) {
	one := timedNatively("rx", 64, result.PeerMytun, "", result.MetricTime, 500)
	one.CPUs = 1
	got := render(t, append(nativeRows(), one), Text)
	if _, after, found := strings.Cut(got, "1 CPU, clock: native"); !found || !strings.Contains(after, "500") {
		t.Errorf("there is no table of one CPU in\n%s", got)
	}
}

func TestAgainst(t *testing.T) {
	a := timedNatively("rx", 64, result.PeerMytunA, result.Near, result.MetricTime, 400)
	b := timedNatively("rx", 64, result.PeerMytunB, result.Near, result.MetricTime, 500)
	b.Min = 180
	lines := nativeLines([]result.Row{a, b})
	if got := lines[1].against(lines); got != "0.50 1.25" {
		t.Errorf("B against A is %q, want that of min and that of median", got)
	}
	if got := lines[0].against(lines); got != "" {
		t.Errorf("A against itself is %q", got)
	}
	b.Distance = result.Far
	lines = nativeLines([]result.Row{a, b})
	if got := lines[1].against(lines); got != missing {
		t.Errorf("far B against near A is %q", got)
	}
}

func TestChartsLeaveNativeRowsOut(t *testing.T) {
	if got := charts(nativeRows()); len(got) != 0 {
		t.Errorf("%d charts of rows of the native clock", len(got))
	}
}

func TestWhole(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12.34: "12.3", 99.94: "99.9", 100.4: "100", 12345.6: "12346", -250.2: "-250"} {
		if got := whole(v); got != want && got != digits(v) {
			t.Errorf("whole(%v) = %q, want %q", v, got, want)
		}
	}
}
