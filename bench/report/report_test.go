// SPDX-License-Identifier: MIT

package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares what was written with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if that is meant, go test -update ./report. Got:\n%s\nwant:\n%s", name, got, want)
	}
}

// madeUp returns rows with figures that nobody has measured: all peers and workloads, some of them missing.
func madeUp(t *testing.T) []result.Row {
	t.Helper()
	rows, err := result.Load(filepath.Join("testdata", "rows.json"))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// counted returns a row measured in instructions.
func counted(workload string, size int, peer, metric string, median float64) result.Row {
	return result.Row{
		Kernel: "6.12.1-cloud-amd64", CPUs: 1, Clock: result.Icount, Workload: workload, Size: size, Peer: peer, Metric: metric,
		Unit: "instr/packet", Median: median, Min: median, Max: median, Rounds: 1,
	}
}

// timed returns a row measured with a real clock, in five rounds.
func timed(workload string, size int, peer, metric, unit string, median float64) result.Row {
	row := counted(workload, size, peer, metric, median)
	row.CPUs, row.Clock, row.Unit, row.Rounds = 2, result.Wall, unit, 5
	row.Min, row.Max = median*0.9, median*1.2
	return row
}

// inUnit changes a row's unit.
func inUnit(row result.Row, unit string) result.Row {
	row.Unit = unit
	return row
}
