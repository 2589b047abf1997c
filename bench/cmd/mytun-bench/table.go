// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/bench/workload"
	"golang.org/x/sys/unix"
)

// What begins the lines on standard output that hold a row each, and the line after them that holds their number.
const (
	rowPrefix = "row: "
	endPrefix = "rows: "
)

// A table collects the rounds' figures, in the order in which each kind of figure came first.
type table struct {
	env    workload.Env
	keys   []result.Row
	units  map[result.Row]string
	values map[result.Row][]float64
}

func newTable(e workload.Env) *table {
	return &table{env: e, units: make(map[result.Row]string), values: make(map[result.Row][]float64)}
}

func (t *table) add(w workload.Workload, size int, samples []workload.Sample) {
	for _, s := range samples {
		key := result.Row{Kernel: release(), CPUs: t.env.CPUs, Clock: t.env.Clock, Workload: w.Name, Size: size, Peer: s.Peer, Metric: s.Metric}
		if _, found := t.values[key]; !found {
			t.keys = append(t.keys, key)
		}
		t.units[key] = s.Unit
		t.values[key] = append(t.values[key], s.Value)
	}
}

func (t *table) rows() []result.Row {
	rows := make([]result.Row, len(t.keys))
	for i, row := range t.keys {
		values := t.values[row]
		row.Unit, row.Rounds = t.units[t.keys[i]], len(values)
		row.Median, row.Min, row.Max = result.Summarise(values)
		rows[i] = row
	}
	return rows
}

// write saves the rows to a file or prints them.
func (t *table) write(path string) error {
	rows := t.rows()
	if path != "" {
		return result.Save(path, rows)
	}
	if err := result.CheckAll(rows); err != nil {
		return err
	}
	for _, row := range rows {
		text, err := json.Marshal(row)
		if err != nil {
			return err
		}
		fmt.Printf("%s%s\n", rowPrefix, text)
	}
	fmt.Printf("%s%d\n", endPrefix, len(rows))
	return nil
}

// collect puts the rows that were printed into files into one file of rows. Each must be complete.
func collect(path string, logs []string) error {
	var rows []result.Row
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		more, err := parseRows(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", log, err)
		}
		rows = append(rows, more...)
	}
	return result.Save(path, rows)
}

func parseRows(text string) (rows []result.Row, err error) {
	for line := range strings.Lines(text) {
		if count, found := strings.CutPrefix(line, endPrefix); found {
			if strings.TrimSpace(count) != strconv.Itoa(len(rows)) {
				return nil, fmt.Errorf("there are %d rows of %s", len(rows), strings.TrimSpace(count))
			}
			return rows, nil
		}
		if text, found := strings.CutPrefix(line, rowPrefix); found {
			var row result.Row
			if err := json.Unmarshal([]byte(text), &row); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			rows = append(rows, row)
		}
	}
	return nil, errors.New("the rows have no end: the benchmark was interrupted")
}

// release is what uname -r prints.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		fmt.Fprintln(os.Stderr, "mytun-bench: the kernel does not tell its release")
	}
	return unix.ByteSliceToString(u.Release[:])
}
