// SPDX-License-Identifier: MIT

package result

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// good returns a row that nothing is wrong with.
func good() Row {
	return Row{
		Kernel: "6.12.1-cloud-amd64", CPUs: 1, Clock: Icount, Workload: WorkloadRx, Size: 64, Peer: PeerMytun,
		Metric: MetricInstructions, Unit: "instr/packet", Median: 2, Min: 1, Max: 3.5, Rounds: 3,
	}
}

func TestSaveLoad(t *testing.T) {
	other := good()
	other.Peer, other.Clock, other.CPUs = PeerTun, Wall, 2
	for name, rows := range map[string][]Row{"none": {}, "one": {good()}, "two": {good(), other}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rows.json")
			if err := Save(path, rows); err != nil {
				t.Fatal(err)
			}
			loaded, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(loaded, rows) {
				t.Errorf("loaded %v, saved %v", loaded, rows)
			}
		})
	}
}

// The names are read by other programs than this one.
func TestSaveNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.json")
	if err := Save(path, []Row{good()}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[
	{
		"kernel": "6.12.1-cloud-amd64",
		"cpus": 1,
		"clock": "icount",
		"workload": "rx",
		"size": 64,
		"peer": "mytun",
		"metric": "instructions",
		"unit": "instr/packet",
		"median": 2,
		"min": 1,
		"max": 3.5,
		"rounds": 3
	}
]
`
	if string(data) != want {
		t.Errorf("the file holds\n%s\nwant\n%s", data, want)
	}
}

func TestSaveNilIsAnEmptyList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.json")
	if err := Save(path, nil); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "[]\n" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

// broken are changes to a good row, by what the error has to say of it.
var broken = map[string]func(*Row){
	"its median is NaN":        func(r *Row) { r.Median = math.NaN() },
	"its min is NaN":           func(r *Row) { r.Min = math.NaN() },
	"its max is +Inf":          func(r *Row) { r.Max = math.Inf(1) },
	"its min is -Inf":          func(r *Row) { r.Min = math.Inf(-1) },
	"out of order":             func(r *Row) { r.Min = 3 },
	"median 4 and max 3.5 are": func(r *Row) { r.Median = 4 },
	"its kernel is empty":      func(r *Row) { r.Kernel = "" },
	"its workload is empty":    func(r *Row) { r.Workload = "" },
	"its peer is empty":        func(r *Row) { r.Peer = "" },
	"its metric is empty":      func(r *Row) { r.Metric = "" },
	"its unit is empty":        func(r *Row) { r.Unit = "" },
	`its clock is "sundial"`:   func(r *Row) { r.Clock = "sundial" },
	"0 CPUs":                   func(r *Row) { r.CPUs = 0 },
	"-1 bytes":                 func(r *Row) { r.Size = -1 },
	"0 rounds":                 func(r *Row) { r.Rounds = 0 },
}

// native returns a row of the native clock that nothing is wrong with.
func native() Row {
	row := good()
	row.Clock, row.Distance, row.P10, row.Load, row.Loaded = Native, Near, 1.5, 0.25, true
	return row
}

func TestNativeRow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.json")
	far := native()
	far.Distance = Far
	rows := []Row{native(), far}
	if err := Save(path, rows); err != nil {
		t.Fatalf("near and far are two things: %v", err)
	}
	if loaded, err := Load(path); err != nil || !reflect.DeepEqual(loaded, rows) {
		t.Errorf("loaded %v, %v; saved %v", loaded, err, rows)
	}
	twin := native()
	twin.P10, twin.Load, twin.Loaded = 1, 0, false
	if err := CheckAll([]Row{native(), twin}); err == nil {
		t.Error("two rows that differ in their figures alone are taken for two things")
	}
	if name := far.String(); !strings.Contains(name, "2 CPUs far") && !strings.Contains(name, "1 CPUs far") {
		t.Errorf("the name %q does not say how far the CPUs were", name)
	}
}

func TestNativeRowRefused(t *testing.T) {
	for want, spoil := range map[string]func(*Row){
		"its distance is \"there\"": func(r *Row) { r.Distance = "there" },
		"its p10 0 is not between":  func(r *Row) { r.P10 = 0 },
		"its p10 2.5 is not":        func(r *Row) { r.P10 = 2.5 },
		"its p10 NaN is not":        func(r *Row) { r.P10 = math.NaN() },
		"its load is -1":            func(r *Row) { r.Load = -1 },
		"its load is NaN":           func(r *Row) { r.Load = math.NaN() },
		"belong to the clock":       func(r *Row) { r.Clock = Wall },
	} {
		row := native()
		spoil(&row)
		if err := row.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v; it must say %q", err, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		values  []float64
		percent int
		want    float64
	}{
		{[]float64{7}, 10, 7},
		{[]float64{3, 1, 2}, 0, 1},
		{[]float64{3, 1, 2}, 50, 2},
		{[]float64{3, 1, 2}, 100, 3},
		{[]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 10, 1},
		{[]float64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 10, 0},
	} {
		if got := Percentile(c.values, c.percent); got != c.want {
			t.Errorf("Percentile(%v, %d) = %v, want %v", c.values, c.percent, got, c.want)
		}
	}
	if got := Percentile(nil, 10); !math.IsNaN(got) {
		t.Errorf("Percentile of nothing is %v, want NaN", got)
	}
	if got := Percentile([]float64{1, math.NaN()}, 10); !math.IsNaN(got) {
		t.Errorf("Percentile with a NaN is %v, want NaN", got)
	}
}

func TestSaveRefuses(t *testing.T) {
	for want, spoil := range broken {
		t.Run(want, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rows.json")
			if err := Save(path, []Row{good()}); err != nil {
				t.Fatal(err)
			}
			bad := good()
			bad.Size = 1400
			spoil(&bad)
			err := Save(path, []Row{good(), bad})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), bad.String()) {
				t.Errorf("the error is %v; it must name the row, %v, and say %q", err, bad, want)
			}
			if rows, err := Load(path); err != nil || len(rows) != 1 {
				t.Errorf("afterwards the file holds %v, %v; want what was there before", rows, err)
			}
		})
	}
}

func TestSaveRefusesTwins(t *testing.T) {
	twin := good()
	twin.Median, twin.Unit = 3, "other"
	err := Save(filepath.Join(t.TempDir(), "rows.json"), []Row{good(), twin})
	if err == nil || !strings.Contains(err.Error(), "is there twice") {
		t.Errorf("two rows for the same thing: %v", err)
	}
}

func TestSaveKeepsPermissionsAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, []Row{good()}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory holds %v, %v; want one file", files, err)
	}
}

// The target is a directory that is not empty: everything succeeds but the last step.
func TestSaveFailsCleanly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows.json")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, []Row{good()}); err == nil {
		t.Error("a directory was replaced")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory holds %v, %v; want nothing new", files, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const row = `{"kernel": "6.1", "cpus": 1, "clock": "wall", "workload": "rx", "size": 1, "peer": "tun", "metric": "m", "unit": "u",
		"median": 1, "min": 1, "max": 1, "rounds": 1}`
	for want, content := range map[string]string{
		"unknown field":  `[{"colour": "red"}]`,
		"unexpected EOF": `[` + row,
		"more after":     `[` + row + `] []`,
		"is there twice": `[` + row + `,` + row + `]`,
		"is empty":       `[{}]`,
	} {
		path := filepath.Join(t.TempDir(), "rows.json")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error is %v; it must name the file and say %q", content, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestSummarise(t *testing.T) {
	for _, c := range []struct {
		values                  []float64
		median, lowest, highest float64
	}{
		{[]float64{7}, 7, 7, 7},
		{[]float64{3, 1}, 2, 1, 3},
		{[]float64{9, 1, 5}, 5, 1, 9},
		{[]float64{4, 1, 3, 2}, 2.5, 1, 4},
		{[]float64{-1, -3, 0}, -1, -3, 0},
	} {
		order := append([]float64(nil), c.values...)
		median, lowest, highest := Summarise(c.values)
		if median != c.median || lowest != c.lowest || highest != c.highest {
			t.Errorf("Summarise(%v) = %v, %v, %v, want %v, %v, %v", order, median, lowest, highest, c.median, c.lowest, c.highest)
		}
		if !reflect.DeepEqual(c.values, order) {
			t.Errorf("Summarise changed the order of %v to %v", order, c.values)
		}
	}
}

// What is no value must not become a figure on its way.
func TestSummariseNothing(t *testing.T) {
	for _, values := range [][]float64{nil, {1, math.NaN(), 2}} {
		row := good()
		row.Median, row.Min, row.Max = Summarise(values)
		if err := row.Check(); err == nil {
			t.Errorf("Summarise(%v) gives %v, which a row can have", values, row.Median)
		}
	}
}

func TestHigherIsBetter(t *testing.T) {
	for unit, want := range map[string]bool{"packets/s": true, "Gb/s": true, "instr/packet": false, "ns/packet": false, "us": false, "packets": false} {
		if HigherIsBetter(unit) != want {
			t.Errorf("HigherIsBetter(%q) is not %v", unit, want)
		}
	}
}
