// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is shown into testdata/")

// golden compares what is shown with a file of testdata/.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant, as in %s,\n%s", got, file, want)
	}
}

func bytesOf(n uint64) *uint64 { return &n }

// start is when samples of tests begin.
var start = time.Date(2026, 11, 29, 18, 30, 0, 250e6, time.UTC)

// mytunLink is a device that is up.
func mytunLink(index int, name string) link {
	return link{index: index, name: name, kind: moduleName, mtu: 1500, up: true, carrier: true}
}

// busy is a queue that has carried traffic for some seconds.
func busy(number int, seconds uint64) queue {
	return queue{
		number: number, broken: []string{}, owners: []owner{{4711, "demo"}},
		rings: &rings{RxSize: 1 << 20, RxUsed: bytesOf(128 << 10), TxSize: 1 << 20, TxUsed: bytesOf(0)},
		counters: counters{
			"rx_frames": 152_300 * seconds, "rx_bytes": 98_100_000 * seconds, "rx_doorbells": 470 * seconds,
			"rx_doorbells_suppressed": 3, "rx_dropped": 12 * seconds,
			"tx_frames": 20 * seconds, "tx_bytes": 1_680 * seconds, "tx_doorbells": 20 * seconds,
			"tx_refused_length": 7, "tx_dropped_down": 0,
		},
	}
}

// twoSamples have a busy device, one with several queues in all states, one without a
// queue, one that goes and one that comes.
func twoSamples() (before, after sample) {
	quiet := mytunLink(9, "mytun1")
	quiet.mytun = tunAttributes{tap: true, persistent: true, parked: 1}
	empty := mytunLink(10, "vpn-reserved-15")
	empty.up, empty.carrier, empty.mytun.persistent = false, false, true
	queues := func(seconds uint64) []queue {
		parked, broken, foreign := busy(0, 3), busy(2, 3), busy(3, seconds)
		parked.parked, broken.broken = true, []string{"tx"}
		foreign.owners, foreign.rings, foreign.broken = nil, nil, nil
		return []queue{parked, busy(1, seconds), broken, foreign}
	}
	before = sample{at: start, namespace: 4026531840, devices: []device{
		{mytunLink(5, "going"), []queue{busy(0, 1)}},
		{mytunLink(8, "mytun0"), []queue{busy(0, 100)}},
		{quiet, queues(10)},
		{empty, nil},
	}}
	after = sample{at: start.Add(2 * time.Second), namespace: 4026531840, denied: true, devices: []device{
		{mytunLink(11, "come"), []queue{busy(0, 1)}},
		{mytunLink(8, "mytun0"), []queue{busy(0, 102)}},
		{quiet, queues(11)},
		{empty, nil},
	}}
	return before, after
}

// A process of a made-up /proc holds descriptors, by number, of files with these names
// and texts of fdinfo.
type process struct {
	pid         int
	command     string
	namespace   int
	descriptors map[int][2]string
}

// makeProc makes a /proc of processes, with what else is there.
func makeProc(t *testing.T, self int, all ...process) string {
	t.Helper()
	root := t.TempDir()
	must := func(err error) {
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(root, "meminfo"), nil, 0o600))
	for _, p := range all {
		dir := filepath.Join(root, strconv.Itoa(p.pid))
		for _, sub := range []string{"fd", "fdinfo", "ns"} {
			must(os.MkdirAll(filepath.Join(dir, sub), 0o700))
		}
		must(os.WriteFile(filepath.Join(dir, "comm"), []byte(p.command+"\n"), 0o600))
		must(os.Symlink("net:["+strconv.Itoa(p.namespace)+"]", filepath.Join(dir, "ns", "net")))
		for fd, file := range p.descriptors {
			must(os.Symlink(file[0], filepath.Join(dir, "fd", strconv.Itoa(fd))))
			must(os.WriteFile(filepath.Join(dir, "fdinfo", strconv.Itoa(fd)), []byte(file[1]), 0o600))
		}
	}
	must(os.Symlink(strconv.Itoa(self), filepath.Join(root, "self")))
	return root
}
