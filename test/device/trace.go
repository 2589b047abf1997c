// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Trace is an instance of the kernel's tracing, until the end of the test.
type Trace struct{ dir string }

// TraceDrops records each packet of IPv4 that the kernel drops.
func TraceDrops(t testing.TB) *Trace {
	return newTrace(t, "skb/kfree_skb", "protocol == 0x0800")
}

// TraceGRO records each packet of a device that is given to GRO.
func TraceGRO(t testing.TB, name string) *Trace {
	return newTrace(t, "net/napi_gro_receive_entry", `name == "`+name+`"`)
}

// TraceReceived records each packet of a device that the stack receives: those that GRO
// has merged are one.
func TraceReceived(t testing.TB, name string) *Trace {
	return newTrace(t, "net/netif_receive_skb", `name == "`+name+`"`)
}

// TraceLargePages records each request for more than eight pages in a row by somebody
// who cannot wait until there are such.
func TraceLargePages(t testing.TB) *Trace {
	const high = "0x20" // __GFP_HIGH, which GFP_ATOMIC has
	return newTrace(t, "kmem/mm_page_alloc", "order > 3 && gfp_flags & "+high)
}

// TraceCopies records that the stack copies a packet's head to another place, where
// there is more room, on behalf of the calling thread: not of others, in an interrupt
// that came upon it.
func TraceCopies(t testing.TB) *Trace {
	const event, softirq = "mytun/expand", "0x10" // TRACE_FLAG_SOFTIRQ: serves one
	return newTrace(t, event, "common_pid == "+itoa(unix.Gettid())+" && !(common_flags & "+softirq+")", "p:"+event+" pskb_expand_head")
}

// newTrace records an event of the kernel, those that a filter lets pass. An event
// that is none yet is made of a probe.
func newTrace(t testing.TB, event, filter string, probe ...string) *Trace {
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
	for _, p := range probe {
		probes := filepath.Join(root, "kprobe_events")
		addLine(t, probes, p)
		t.Cleanup(func() { addLine(t, probes, "-:"+event) })
	}
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
	trace.set(t, "events/"+event+"/filter", filter)
	trace.set(t, "events/"+event+"/enable", "1")
	return trace
}

// addLine leaves what others wrote: to truncate a list of probes removes them all.
func addLine(t testing.TB, name, line string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		t.Errorf("%s: %q: %v", name, line, err)
	}
}

func (trace *Trace) set(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(trace.dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Drops is how many drops had that reason so far.
func (trace *Trace) Drops(t testing.TB, reason string) uint64 {
	return trace.count(t, func(line string) bool { return strings.HasSuffix(line, "reason: "+reason) })
}

// Events is how many there were so far.
func (trace *Trace) Events(t testing.TB) uint64 {
	return trace.count(t, func(line string) bool { return !strings.HasPrefix(line, "#") })
}

// Numbers is what a field of each event was so far.
func (trace *Trace) Numbers(t testing.TB, field string) (all []int) {
	t.Helper()
	number := regexp.MustCompile(`\b` + field + `=(-?\d+)\b`)
	trace.count(t, func(line string) bool {
		found := number.FindStringSubmatch(line)
		if found == nil {
			return false
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, n)
		return true
	})
	return all
}

// count counts lines that match.
func (trace *Trace) count(t testing.TB, match func(line string) bool) (n uint64) {
	t.Helper()
	file, err := os.Open(filepath.Join(trace.dir, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if match(lines.Text()) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
