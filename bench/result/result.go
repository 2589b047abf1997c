// SPDX-License-Identifier: MIT

// Package result holds the rows that a benchmark run produces, and the file they are kept in: a JSON array of objects, one a row.
package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// The clocks that a row can have been measured with.
const (
	// Icount is the emulator's instruction count: one nanosecond of guest time is one instruction. A run repeats within 2 % in rx and tx, and
	// 4 % in the forwarder.
	Icount = "icount"
	// Wall is real time, with all of its noise.
	Wall = "wall"
	// Native is real time in a kernel that runs as a process of the machine, in windows of tens of milliseconds.
	Native = "native"
)

// How far the two CPUs were from each other while a row of the native clock was measured: a virtual machine's may move. Rows of one CPU have
// no distance.
const (
	Near = "near" // a cache line goes there and back within one core complex
	Far  = "far"
)

// A Row is one figure: what one peer reached in one metric of one workload.
type Row struct {
	Kernel   string  `json:"kernel"`   // the release under test, as uname -r prints it
	CPUs     int     `json:"cpus"`     // CPUs of the machine under test
	Clock    string  `json:"clock"`    // Icount, Wall or Native
	Workload string  `json:"workload"` // what was done, such as "rx"
	Size     int     `json:"size"`     // bytes of a packet; 0 where a workload has no size
	Peer     string  `json:"peer"`     // who did it
	Metric   string  `json:"metric"`   // what was measured
	Unit     string  `json:"unit"`     // what Median, Min and Max are in
	Median   float64 `json:"median"`   // of all rounds
	Min      float64 `json:"min"`      // of all rounds
	Max      float64 `json:"max"`      // of all rounds
	Rounds   int     `json:"rounds"`   // how many values the three stand for

	// What rows of the native clock have beside it.
	Distance string  `json:"distance,omitempty"` // Near or Far
	P10      float64 `json:"p10,omitempty"`      // the 10th percentile
	Load     float64 `json:"load,omitempty"`     // CPUs that others kept busy meanwhile
	Loaded   bool    `json:"loaded,omitempty"`   // these were too many: only Min says something
}

// String names the row, without its figures.
func (r Row) String() string {
	distance := ""
	if r.Distance != "" {
		distance = " " + r.Distance
	}
	return fmt.Sprintf("%s %d B, %s, %s (%s, %d CPUs%s, kernel %s)", r.Workload, r.Size, r.Metric, r.Peer, r.Clock, r.CPUs, distance, r.Kernel)
}

// Check returns an error that names the row if it cannot be a measurement: a part of its name is missing, or a figure is no number.
func (r Row) Check() error {
	for _, part := range []struct{ name, value string }{
		{"kernel", r.Kernel}, {"workload", r.Workload}, {"peer", r.Peer}, {"metric", r.Metric}, {"unit", r.Unit},
	} {
		if part.value == "" {
			return fmt.Errorf("row %v: its %s is empty", r, part.name)
		}
	}
	if r.Clock != Icount && r.Clock != Wall && r.Clock != Native {
		return fmt.Errorf("row %v: its clock is %q, not %q, %q or %q", r, r.Clock, Icount, Wall, Native)
	}
	if r.CPUs < 1 || r.Size < 0 || r.Rounds < 1 {
		return fmt.Errorf("row %v: %d CPUs, %d bytes and %d rounds cannot have been measured", r, r.CPUs, r.Size, r.Rounds)
	}
	return errors.Join(r.checkNative(), r.checkFigures())
}

// checkNative looks at the fields that rows of the native clock have.
func (r Row) checkNative() error {
	switch {
	case r.Clock != Native && (r.Distance != "" || r.P10 != 0 || r.Load != 0 || r.Loaded):
		return fmt.Errorf("row %v: distance, p10 and load belong to the clock %q", r, Native)
	case r.Distance != "" && r.Distance != Near && r.Distance != Far:
		return fmt.Errorf("row %v: its distance is %q, not %q or %q", r, r.Distance, Near, Far)
	case r.Clock == Native && !(r.Min <= r.P10 && r.P10 <= r.Median):
		return fmt.Errorf("row %v: its p10 %v is not between min %v and median %v", r, r.P10, r.Min, r.Median)
	case math.IsNaN(r.Load) || math.IsInf(r.Load, 0) || r.Load < 0:
		return fmt.Errorf("row %v: its load is %v, which is no measurement", r, r.Load)
	}
	return nil
}

func (r Row) checkFigures() error {
	for _, figure := range []struct {
		name  string
		value float64
	}{{"median", r.Median}, {"min", r.Min}, {"max", r.Max}} {
		if math.IsNaN(figure.value) || math.IsInf(figure.value, 0) {
			return fmt.Errorf("row %v: its %s is %v, which is no measurement", r, figure.name, figure.value)
		}
	}
	if r.Min > r.Median || r.Median > r.Max {
		return fmt.Errorf("row %v: min %v, median %v and max %v are out of order", r, r.Min, r.Median, r.Max)
	}
	return nil
}

// CheckAll returns what is wrong with the rows: those that are no measurement, and two that stand for the same thing.
func CheckAll(rows []Row) error {
	var errs []error
	seen := make(map[Row]bool, len(rows))
	for _, row := range rows {
		errs = append(errs, row.Check())
		key := row.Key()
		if seen[key] {
			errs = append(errs, fmt.Errorf("row %v is there twice", row))
		}
		seen[key] = true
	}
	return errors.Join(errs...)
}

// Key returns the row without its figures: two rows of one key are measurements of the same thing.
func (r Row) Key() Row {
	r.Unit, r.Median, r.Min, r.Max, r.Rounds = "", 0, 0, 0, 0
	r.P10, r.Load, r.Loaded = 0, 0, false
	return r
}

// Load reads the rows that Save wrote. Unknown fields, rows that are no measurement and rows that are there twice are errors.
func Load(path string) ([]Row, error) {
	var rows []Row
	if err := LoadJSON(path, &rows); err != nil {
		return nil, err
	}
	if err := CheckAll(rows); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// Save writes the rows to path, which has either its old content or all of the new one at any time, whatever happens. Rows that are no
// measurement (NaN, an infinity, a part of the name missing) and rows that are there twice are refused, and path is left as it was.
func Save(path string, rows []Row) error {
	if err := CheckAll(rows); err != nil {
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	if rows == nil {
		rows = []Row{}
	}
	return SaveJSON(path, rows)
}

// LoadJSON reads one JSON value from path into v. Fields that v does not have, and anything after the value, are errors.
func LoadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if decoder.More() {
		return fmt.Errorf("%s: there is more after the JSON value's end", path)
	}
	return nil
}

// SaveJSON writes v to path as indented JSON, in the way that Save does.
func SaveJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	return WriteFile(path, append(data, '\n'))
}

// WriteFile replaces path by a file of that content in one step: a reader finds the old one or the new one, and a failure leaves the old one.
// An existing file keeps its permission bits; a new one has 0644.
func WriteFile(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Summarise returns the median and the extremes of the rounds' values, which it leaves in their order. Without values, or with a NaN
// among them, all three are NaN, which Save refuses.
func Summarise(values []float64) (median, lowest, highest float64) {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN(), math.NaN(), math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median = sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return median, sorted[0], sorted[len(sorted)-1]
}

// Percentile returns the value below or at which so much of the values lie, of 100: one of them, without a guess at what lies between two. Without
// values, or with a NaN among them, it is NaN.
func Percentile(values []float64, percent int) float64 {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN()
	}
	return slices.Sorted(slices.Values(values))[(len(values)-1)*percent/100]
}
