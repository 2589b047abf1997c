// SPDX-License-Identifier: MIT

//go:build mytun_device

package faults

import (
	"os"
	"path/filepath"
	"testing"
)

// debugfs is where the knobs of fault injection are.
const debugfs = "/sys/kernel/debug"

// A shortage makes allocations of several kinds fail.
type shortage []*failer

func (s shortage) begin() {
	for _, f := range s {
		f.begin()
	}
}

func (s shortage) end() {
	for _, f := range s {
		f.end()
	}
}

// A failer makes allocations of one kind fail at random, whoever makes them, but only
// such as may not sleep: those of the data path are, and hardly any of a process.
type failer struct {
	t      *testing.T
	kind   string   // failslab or fail_page_alloc
	caches []string // of failslab: only these
}

// percent is how many of the allocations fail.
const percent = "10"

// newFailer prepares one that lets all succeed until begin, and at the end of the test.
func newFailer(t *testing.T, kind string, caches ...string) *failer {
	t.Helper()
	if _, err := os.Stat(filepath.Join(debugfs, kind)); err != nil {
		t.Skip("this kernel has no fault injection; that of make test-kasan has")
	}
	f := &failer{t, kind, caches}
	for name, value := range map[string]string{
		"ignore-gfp-wait": "Y", "task-filter": "N", "interval": "1", "times": "-1", "space": "0", "verbose": "0",
	} {
		f.set(name, value)
	}
	t.Cleanup(f.end)
	if kind == "failslab" {
		f.set("cache-filter", "Y")
		// a sweep wants to see all caches
		t.Cleanup(func() { f.set("cache-filter", "N") })
	} else {
		f.set("min-order", "0")
	}
	return f
}

func (f *failer) begin() {
	f.mark("1")
	f.set("probability", percent)
}

func (f *failer) end() {
	f.set("probability", "0")
	f.mark("0")
}

// mark says whether the caches' allocations may fail at all.
func (f *failer) mark(value string) {
	for _, cache := range f.caches {
		f.write(filepath.Join("/sys/kernel/slab", cache, "failslab"), value)
	}
}

func (f *failer) set(name, value string) {
	f.write(filepath.Join(debugfs, f.kind, name), value)
}

func (f *failer) write(path, value string) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		f.t.Fatal(err)
	}
}
