// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/bench/workload"
)

func TestParse(t *testing.T) {
	p, err := parse([]string{"-clock", "icount", "-workloads", "tx:64,rx", "-peers", "mytun,tun"})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.workloads) != 2 || p.workloads[0].Name != "tx" || len(p.workloads[0].Sizes) != 1 || len(p.workloads[1].Sizes) != 2 {
		t.Errorf("workloads %+v", p.workloads)
	}
	if len(p.peers) != 2 || p.peers[0].Name != "mytun" {
		t.Errorf("peers %+v", p.peers)
	}
	for _, wrong := range []string{"-clock sun", "-workloads walk", "-workloads rx:65", "-workloads rx:", "-peers nobody"} {
		if _, err := parse(strings.Fields(wrong)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func TestTable(t *testing.T) {
	table := newTable(workload.Env{Clock: result.Wall, CPUs: 2})
	w := workload.Workload{Name: "rx"}
	for _, value := range []float64{5, 1, 3} {
		table.add(w, 64, []workload.Sample{{Peer: "mytun", Metric: "packets", Unit: "packets/s", Value: value}})
	}
	rows := table.rows()
	if len(rows) != 1 || rows[0].Median != 3 || rows[0].Min != 1 || rows[0].Max != 5 || rows[0].Rounds != 3 || rows[0].Unit != "packets/s" {
		t.Errorf("rows %+v", rows)
	}
}

const printed = `noise
row: {"kernel":"6.12","cpus":1,"clock":"icount","workload":"rx","size":64,"peer":"tun","metric":"m","unit":"u","median":1,"min":1,"max":1,"rounds":1}
rows: 1
`

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	log, out := filepath.Join(dir, "log"), filepath.Join(dir, "rows.json")
	if err := os.WriteFile(log, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := collect(out, []string{log}); err != nil {
		t.Fatal(err)
	}
	if rows, err := result.Load(out); err != nil || len(rows) != 1 || rows[0].Peer != "tun" {
		t.Errorf("%+v, %v, want the row", rows, err)
	}
	if err := collect(out, []string{log, log}); err == nil {
		t.Error("the same rows are taken twice")
	}
	if err := collect(out, []string{filepath.Join(dir, "none")}); err == nil {
		t.Error("a log that is not there is taken")
	}
}

func TestParseRowsIncomplete(t *testing.T) {
	for name, text := range map[string]string{
		"no end": strings.ReplaceAll(printed, "rows: 1", ""), "a row lost": strings.ReplaceAll(printed, "rows: 1", "rows: 2"),
		"a broken row": strings.ReplaceAll(printed, `"size":64`, `"size":6`+"\x00"), "nothing": "",
	} {
		if rows, err := parseRows(text); err == nil {
			t.Errorf("%s: %+v", name, rows)
		}
	}
}
