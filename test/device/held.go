// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// CountAreas is how many areas of vmalloc space the module holds: three for
// each queue with rings and its pages.
func CountAreas() (int, error) {
	text, err := os.ReadFile("/proc/vmallocinfo")
	return bytes.Count(text, []byte("mytun_area_alloc")), err
}

// CountPackets is how many objects of the slab caches for packets are in use, as
// the kernel counts them: a few may wait to be freed, or to be used again.
func CountPackets() (n int, err error) {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "skbuff") {
			continue
		}
		var name string
		var active int
		if _, err := fmt.Sscan(line, &name, &active); err != nil {
			return 0, fmt.Errorf("/proc/slabinfo: %q: %w", line, err)
		}
		n += active
	}
	return n, nil
}

// ModuleAreas is CountAreas for a test.
func ModuleAreas(t testing.TB) int {
	t.Helper()
	return must(t, CountAreas)
}

// Packets is CountPackets for a test.
func Packets(t testing.TB) int {
	t.Helper()
	return must(t, CountPackets)
}

func must(t testing.TB, count func() (int, error)) int {
	t.Helper()
	n, err := count()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// CountReferences is how many files, mappings and devices hold the module.
func CountReferences() (int, error) {
	text, err := os.ReadFile("/sys/module/mytun/refcnt")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(text)))
}

// ModuleReferences is CountReferences for a test.
func ModuleReferences(t testing.TB) int {
	t.Helper()
	return must(t, CountReferences)
}
