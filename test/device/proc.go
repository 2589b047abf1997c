// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Kthreads are the names of the module's kernel threads of a device, or of all
// devices if name is empty.
func Kthreads(name string) (found []string) {
	prefix := "mytun/"
	if name != "" {
		prefix += name + "/"
	}
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range files {
		comm, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(comm), prefix) {
			found = append(found, strings.TrimSpace(string(comm)))
		}
	}
	return found
}

// Descriptors is how many files this process has open.
func Descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// ModuleAreas is how many areas of vmalloc space the module holds: three for
// each queue with rings and its pages.
func ModuleAreas(t testing.TB) (n int) {
	t.Helper()
	file, err := os.Open("/proc/vmallocinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.Contains(lines.Text(), "mytun_area_alloc") {
			n++
		}
	}
	return n
}

// WaitGone waits until nothing of a device is left: neither link nor threads.
func WaitGone(t testing.TB, name string) {
	t.Helper()
	WaitFor(t, name+" to go", func() bool {
		return !LinkExists(name) && len(Kthreads(name)) == 0
	})
}

// MemoryAvailable is how many bytes the machine can still give.
func MemoryAvailable(t testing.TB) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] == "MemAvailable:" {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no MemAvailable in /proc/meminfo")
	return 0
}
