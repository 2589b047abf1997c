// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Trace is an instance of the kernel's tracing, until the end of the test.
type Trace struct{ dir string }

// TraceDrops records each packet of IPv4 that the kernel drops.
func TraceDrops(t testing.TB) *Trace {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("tracefs", root, "tracefs", 0, ""); err != nil {
		t.Fatalf("mount tracefs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Errorf("unmount tracefs: %v", err)
		}
	})
	trace := &Trace{filepath.Join(root, "instances", "mytun-test-"+itoa(os.Getpid()))}
	if err := os.Mkdir(trace.dir, 0o700); err != nil {
		t.Fatalf("trace instance: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(trace.dir); err != nil {
			t.Errorf("trace instance: %v", err)
		}
	})
	trace.set(t, "buffer_size_kb", "4096")
	trace.set(t, "events/skb/kfree_skb/filter", "protocol == 0x0800")
	trace.set(t, "events/skb/kfree_skb/enable", "1")
	return trace
}

func (trace *Trace) set(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(trace.dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Count is how many drops had that reason so far.
func (trace *Trace) Count(t testing.TB, reason string) (n uint64) {
	t.Helper()
	file, err := os.Open(filepath.Join(trace.dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), "reason: "+reason) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
