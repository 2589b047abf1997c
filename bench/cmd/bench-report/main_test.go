// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/report"
	"github.com/mytun/mytun/bench/result"
)

// rows writes a file of two rows, the second with that figure, and returns its path.
func rows(t *testing.T, figure float64) string {
	t.Helper()
	stock := result.Row{
		Kernel: "6.12.1", CPUs: 1, Clock: result.Icount, Workload: "rx", Size: 64, Peer: result.PeerTun, Metric: result.MetricInstructions,
		Unit: "instr/packet", Median: 100, Min: 100, Max: 100, Rounds: 1,
	}
	own := stock
	own.Peer, own.Median, own.Min, own.Max = result.PeerMytun, figure, figure, figure
	path := filepath.Join(t.TempDir(), "rows.json")
	if err := result.Save(path, []result.Row{stock, own}); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	var b bytes.Buffer
	if err := run(&b, args); err != nil {
		t.Fatalf("bench-report %q: %v", args, err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	file := rows(t, 50)
	if got := output(t, "table", file); !strings.Contains(got, "0.50") || strings.Contains(got, "|") {
		t.Errorf("the table is\n%s", got)
	}
	if got := output(t, "table", "-markdown", file); !strings.Contains(got, "0.50 |") {
		t.Errorf("the Markdown is\n%s", got)
	}
}

// TestVPNTable: what is in the file without being a VPN's is left out.
func TestVPNTable(t *testing.T) {
	file := rows(t, 50)
	if got := output(t, "vpn-table", file); !strings.Contains(got, "stock") || strings.Contains(got, "0.50") {
		t.Errorf("the table is\n%s", got)
	}
	if got := output(t, "vpn-table", "-markdown", file); !strings.Contains(got, "stock |") {
		t.Errorf("the Markdown is\n%s", got)
	}
}

func TestPlotAndDoc(t *testing.T) {
	dir := t.TempDir()
	pictures := filepath.Join(dir, "docs", "pictures")
	if got, want := output(t, "plot", rows(t, 50), pictures), filepath.Join(pictures, "rx.svg")+"\n"; got != want {
		t.Errorf("plot says %q, want %q", got, want)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(dir, "docs", "page.md")
	if err := os.WriteFile(document, page, 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "doc", rows(t, 50), document, pictures)
	written, err := os.ReadFile(document)
	if err != nil || !strings.Contains(string(written), "![bar chart: rx](pictures/rx.svg)") || !strings.Contains(string(written), "0.50 |") {
		t.Errorf("the document is, %v:\n%s", err, written)
	}
	output(t, "native-doc", rows(t, 70), document)
	again, err := os.ReadFile(document)
	if err != nil || !strings.Contains(string(again), "0.50 |") || !strings.Contains(string(again), "0.70 |") {
		t.Errorf("with both parts the document is, %v:\n%s", err, again)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"draw"}, {"table"}, {"table", "a", "b"}, {"plot", "a"}, {"doc", "a", "b"}, {"native-doc", "a"}, {"check", "-x", "a"}, {"baseline"}} {
		silence(t)
		if err := run(io.Discard, args); !errors.Is(err, errUsage) {
			t.Errorf("bench-report %q: %v, want %v", args, err, errUsage)
		}
	}
	if err := run(io.Discard, []string{"table", "-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

// silence sends what flag packages say of wrong arguments nowhere, until the test ends.
func silence(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	real := os.Stderr
	os.Stderr = null
	t.Cleanup(func() {
		os.Stderr = real
		null.Close()
	})
}

func TestMissingFile(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.json")
	for _, args := range [][]string{{"table", none}, {"plot", none, t.TempDir()}, {"doc", none, none, t.TempDir()}, {"native-doc", none, none}, {"baseline", none}} {
		if err := run(io.Discard, args); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), none) ||
			!strings.Contains(err.Error(), "make bench") {
			t.Errorf("bench-report %q: %v; it must name the file and who writes it", args, err)
		}
	}
}

// A check that fails has said why; anything else that goes wrong is another error.
func TestBaselineAndCheck(t *testing.T) {
	readEnvironment = func(program, module string) (report.Environment, error) {
		return report.Environment{Go: program, Compiler: module}, nil
	}
	t.Cleanup(func() { readEnvironment = report.ReadEnvironment })
	base := filepath.Join(t.TempDir(), "baseline.json")
	measured := []string{"-program", "p", "-module", "m"}
	output(t, append(append([]string{"baseline", "-o", base}, measured...), rows(t, 50))...)
	check := append([]string{"check", "-baseline", base}, measured...)
	if got := output(t, append(check, rows(t, 51))...); !strings.Contains(got, "2 as before") || !strings.Contains(got, "kernel 6.12.1, p, m") {
		t.Errorf("the check says\n%s", got)
	}
	var b bytes.Buffer
	if err := run(&b, append(check, rows(t, 55))); !errors.Is(err, errChecked) || !strings.Contains(b.String(), "+10.0 %") {
		t.Errorf("10 %% more instructions: %v\n%s", err, &b)
	}
}

// The measured program is this test; there is no module with a compiler's words in a unit test, so that both commands end there.
func TestBaselineAndCheckNeedWhatWasMeasured(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(t.TempDir(), "baseline.json")
	none := filepath.Join(t.TempDir(), "none.ko")
	if err := run(io.Discard, []string{"baseline", "-o", base, "-program", self, "-module", none, rows(t, 50)}); err == nil ||
		!strings.Contains(err.Error(), none) {
		t.Errorf("baseline without a module: %v", err)
	}
	if _, err := os.Stat(base); !os.IsNotExist(err) {
		t.Errorf("and yet there is a baseline: %v", err)
	}
	if err := run(io.Discard, []string{"check", "-baseline", base, "-program", self, "-module", none, rows(t, 50)}); err == nil ||
		!strings.Contains(err.Error(), base) {
		t.Errorf("check without a baseline: %v", err)
	}
	save(t, base, 50)
	if err := run(io.Discard, []string{"check", "-baseline", base, "-program", self, "-module", none, rows(t, 50)}); err == nil ||
		!strings.Contains(err.Error(), none) {
		t.Errorf("check without a module: %v", err)
	}
}

func save(t *testing.T, path string, figure float64) {
	t.Helper()
	loaded, err := result.Load(rows(t, figure))
	if err != nil {
		t.Fatal(err)
	}
	b, err := report.NewBaseline(loaded, report.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
}
