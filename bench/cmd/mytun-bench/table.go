// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/bench/workload"
	"golang.org/x/sys/unix"
)

// rowPrefix begins the lines on standard output that hold a row each.
const rowPrefix = "row: "

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
	return nil
}

// release is what uname -r prints.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		fmt.Fprintln(os.Stderr, "mytun-bench: the kernel does not tell its release")
	}
	return unix.ByteSliceToString(u.Release[:])
}
