// SPDX-License-Identifier: MIT

package report

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

var built = Environment{Go: "go1.25.3", Compiler: "GCC: (Debian 12.2.0) 12.2.0"}

func baseline(t *testing.T, environment Environment, rows ...result.Row) *Baseline {
	t.Helper()
	b, err := NewBaseline(rows, environment)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rxRows returns what a quick run measures, stock tun and mytun at these figures.
func rxRows(kernel string, tun, mytun float64) []result.Row {
	rows := []result.Row{
		counted("rx", 64, result.PeerTun, result.MetricInstructions, tun),
		counted("rx", 64, result.PeerMytun, result.MetricInstructions, mytun),
	}
	for i := range rows {
		rows[i].Kernel = kernel
	}
	return rows
}

func check(t *testing.T, base, now *Baseline) (string, bool) {
	t.Helper()
	var b strings.Builder
	ok, err := Check(&b, base, now)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), ok
}

const oldKernel, newKernel = "6.12.1-cloud-amd64", "6.12.2-cloud-amd64"

func TestCheckVerdict(t *testing.T) {
	newGo := Environment{Go: "go1.26.0", Compiler: built.Compiler}
	for _, c := range []struct {
		name        string
		kernel      string
		environment Environment
		tun, mytun  float64 // 1000 and 400 in the baseline
		ok          bool
		says        string
	}{
		{"the same", oldKernel, built, 1000, 400, true, "2 as before"},
		{"3 % worse", oldKernel, built, 1000, 412, true, "2 as before"},
		{"over 3 % worse", oldKernel, built, 1000, 412.5, false, "1 worse"},
		{"over 3 % better", oldKernel, built, 1000, 387, true, "1 better"},
		{"both over 3 % worse", oldKernel, built, 1050, 420, false, "1 worse"},
		{"stock tun alone worse", oldKernel, built, 1050, 400, true, "1 shown"},
		{"new kernel, both worse alike", newKernel, built, 1050, 420, true, "2 shown"},
		{"new kernel, mytun worse by more", newKernel, built, 1050, 440, false, "1 worse"},
		{"new kernel, mytun alone worse", newKernel, built, 1000, 420, false, "1 worse"},
		{"new kernel, stock tun alone better", newKernel, built, 900, 400, true, "1 better"},
		{"new kernel, stock tun alone worse", newKernel, built, 1100, 400, true, "1 shown"},
		{"new Go, both worse alike", oldKernel, newGo, 1050, 420, true, "2 shown"},
		{"new Go, mytun alone worse", oldKernel, newGo, 1000, 420, false, "1 worse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := baseline(t, built, rxRows(oldKernel, 1000, 400)...)
			said, ok := check(t, base, baseline(t, c.environment, rxRows(c.kernel, c.tun, c.mytun)...))
			if ok != c.ok || !strings.Contains(said, c.says) {
				t.Errorf("passed is %v, want %v, with %q, in\n%s", ok, c.ok, c.says, said)
			}
			if strings.Contains(said, "FAILED") == ok {
				t.Errorf("passed is %v, but the text is\n%s", ok, said)
			}
			differs := c.kernel != oldKernel || c.environment != built
			if strings.Contains(said, "THE ENVIRONMENT DIFFERS") != differs {
				t.Errorf("the environment differs: %v, but the text is\n%s", differs, said)
			}
		})
	}
}

// Without stock tun there is no control, and what got worse is worse.
func TestCheckWithoutControl(t *testing.T) {
	base := baseline(t, built, rxRows(oldKernel, 1000, 400)[1])
	if said, ok := check(t, base, baseline(t, built, rxRows(newKernel, 1000, 420)[1])); ok {
		t.Errorf("passed:\n%s", said)
	}
}

// checkOne checks one row whose figure changes.
func checkOne(t *testing.T, row result.Row, from, to float64) (string, bool) {
	t.Helper()
	before, after := row, row
	before.Median, before.Min, before.Max = from, from, from
	after.Median, after.Min, after.Max = to, to, to
	return check(t, baseline(t, built, before), baseline(t, built, after))
}

// A part of the instructions is shown if it got worse, and fails nothing.
func TestCheckShowsParts(t *testing.T) {
	for _, metric := range []string{result.MetricProcessCPU, result.MetricNetInstructions} {
		if said, ok := checkOne(t, counted("rx", 64, result.PeerMytun, metric, 1000), 1000, 1100); !ok || !strings.Contains(said, "1 shown") {
			t.Errorf("%s got worse: passed is %v, want it shown\n%s", metric, ok, said)
		}
	}
}

// A rate and events are shown if they got worse, and fail nothing.
func TestCheckShowsRates(t *testing.T) {
	rate := inUnit(counted("tx", 64, result.PeerMytun, result.MetricPackets, 1000), "packets/s")
	for after, shown := range map[float64]string{1100: "0 shown", 1000: "0 shown", 975: "0 shown", 960: "1 shown", 0: "1 shown"} {
		if said, ok := checkOne(t, rate, 1000, after); !ok || !strings.Contains(said, shown) {
			t.Errorf("from 1000 to %v packets/s: passed is %v, want it with %q\n%s", after, ok, shown, said)
		}
	}
}

// Events that are none, or next to none, have no 3 %.
func TestCheckShowsEvents(t *testing.T) {
	calls := inUnit(counted("tx", 64, result.PeerMytun, result.MetricDoorbells, 0), "1/packet")
	for _, c := range []struct {
		before, after float64
		shown         string
	}{
		{0, 0, "0 shown"}, {0, 0.009, "0 shown"}, {0, 0.02, "1 shown"}, {0.002, 0.004, "0 shown"}, {1, 1.009, "0 shown"},
		{1, 1.05, "1 shown"}, {0.5, 0, "0 shown"},
	} {
		if said, ok := checkOne(t, calls, c.before, c.after); !ok || !strings.Contains(said, c.shown) {
			t.Errorf("from %v to %v a packet: passed is %v, want it with %q\n%s", c.before, c.after, ok, c.shown, said)
		}
	}
}

// What the rounds of one run differ by is no change for the worse.
func TestCheckRounds(t *testing.T) {
	before := counted("rx", 64, result.PeerMytun, result.MetricInstructions, 100)
	before.Min, before.Max = 90, 110
	for _, c := range []struct {
		median, distance float64
		want             bool
	}{{105, 0, true}, {95, 0, true}, {150, 10, false}, {150, 45, true}, {60, 10, true}} {
		after := before
		after.Median, after.Min, after.Max = c.median, c.median-c.distance, c.median+c.distance
		if said, ok := check(t, baseline(t, built, before), baseline(t, built, after)); ok != c.want {
			t.Errorf("from 90..110 to %v+-%v: passed is %v\n%s", c.median, c.distance, ok, said)
		}
	}
}

func TestCheckMissing(t *testing.T) {
	base := baseline(t, built, rxRows(oldKernel, 1000, 400)...)
	said, ok := check(t, base, baseline(t, built, rxRows(oldKernel, 1000, 400)[0]))
	if ok || !strings.Contains(said, "1 missing") {
		t.Errorf("a row is missing, and passed is %v:\n%s", ok, said)
	}
	other := rxRows("6.1.0-cloud-amd64", 1000, 400)
	if said, ok := check(t, base, baseline(t, built, other...)); ok || !strings.Contains(said, "2 missing") {
		t.Errorf("another kernel series was measured, and passed is %v:\n%s", ok, said)
	}
	renamed := rxRows(oldKernel, 1000, 400)
	renamed[1].Unit = "ns/packet"
	if said, ok := check(t, base, baseline(t, built, renamed...)); ok {
		t.Errorf("another unit was compared:\n%s", said)
	}
}

// unwrapped is a text on one line, wherever its lines ended.
func unwrapped(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func TestCheckNewRows(t *testing.T) {
	now := append(rxRows(oldKernel, 1000, 400), counted("tx", 64, result.PeerTun, result.MetricInstructions, 1))
	said, ok := check(t, baseline(t, built, rxRows(oldKernel, 1000, 400)...), baseline(t, built, now...))
	if !ok || !strings.Contains(unwrapped(said), "1 measured now are not in it") {
		t.Errorf("a row is new, and passed is %v:\n%s", ok, said)
	}
}

func TestCheckText(t *testing.T) {
	before := append(rxRows(oldKernel, 1000, 400), counted("tx", 64, "mytun", "instructions", 2000),
		counted("tx", 1400, "mytun", "instructions", 2000), counted("tx", 1400, "tun", "instructions", 4000))
	after := append(rxRows(newKernel, 1100, 350), counted("tx", 64, "mytun", "instructions", 2345.6),
		counted("rx", 1400, "mytun", "instructions", 1), counted("tx", 1400, "tun", "instructions", 4001))
	said, _ := check(t, baseline(t, built, before...), baseline(t, Environment{Go: "go1.26.0", Compiler: built.Compiler}, after...))
	golden(t, "check-other-environment.txt", said)
	said, _ = check(t, baseline(t, built, rxRows(oldKernel, 1000, 400)...), baseline(t, built, rxRows(oldKernel, 1010, 350)...))
	golden(t, "check-better.txt", said)
}

func TestCheckReportsTheWriter(t *testing.T) {
	base := baseline(t, built, rxRows(oldKernel, 1000, 400)...)
	if _, err := Check(fullDisk{}, base, base); !errors.Is(err, errFull) {
		t.Errorf("the error is %v, want %v", err, errFull)
	}
}

func TestNewBaseline(t *testing.T) {
	wall := timed("rx", 64, "tun", result.MetricPackets, "packets/s", 1)
	if _, err := NewBaseline([]result.Row{wall}, built); err == nil {
		t.Error("a baseline of noise")
	}
	b := baseline(t, built, append(rxRows(oldKernel, 1, 2), wall)...)
	if len(b.Rows) != 2 || b.Environment.Kernel != oldKernel {
		t.Errorf("the baseline is %+v, want two rows of %s", b, oldKernel)
	}
	_, err := NewBaseline(append(rxRows(oldKernel, 1, 2), rxRows(newKernel, 1, 2)...), built)
	if err == nil || !strings.Contains(err.Error(), newKernel) {
		t.Errorf("two releases of one series: %v", err)
	}
	if b := baseline(t, built, append(rxRows(oldKernel, 1, 2), rxRows("6.1.9", 1, 2)...)...); b.Environment.Kernel != "6.1.9, "+oldKernel {
		t.Errorf("two series are %q", b.Environment.Kernel)
	}
}

func TestBaselineSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	saved := baseline(t, built, rxRows(oldKernel, 1000, 400)...)
	if err := saved.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadBaseline(path)
	if err != nil || !reflect.DeepEqual(loaded, saved) {
		t.Errorf("loaded %+v, %v; saved %+v", loaded, err, saved)
	}
}

func TestLoadBaselineRefuses(t *testing.T) {
	for want, content := range map[string]string{
		"no row":        `{"environment": {}, "rows": []}`,
		"is empty":      `{"rows": [{}]}`,
		"unknown field": `{"lines": []}`,
		"cannot":        `[]`,
	} {
		path := filepath.Join(t.TempDir(), "baseline.json")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBaseline(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error is %v; it must name the file and say %q", content, err, want)
		}
	}
}

// The test's own binary is a Go program, and no module.
func TestReadEnvironment(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadEnvironment(filepath.Join(t.TempDir(), "none"), self); err == nil || !strings.Contains(err.Error(), "-program") {
		t.Errorf("no program: %v, must name the flag", err)
	}
	if _, err := ReadEnvironment(self, filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "-module") {
		t.Errorf("no module: %v, must name the flag", err)
	}
}

func TestSeries(t *testing.T) {
	for release, want := range map[string]string{"6.12.43+deb12-cloud-amd64": "6.12", "6.1.0-41-cloud-amd64": "6.1", "7.0": "7.0", "next": "next"} {
		if got := series(release); got != want {
			t.Errorf("series(%q) = %q, want %q", release, got, want)
		}
	}
}
