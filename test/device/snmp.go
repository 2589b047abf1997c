// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SNMP is the protocols' counters of the thread's namespace, as "Udp.InErrors"
// or "Udp6.InErrors".
func SNMP(t testing.TB) map[string]uint64 {
	t.Helper()
	counters := map[string]uint64{}
	addPairs(readNet(t, "snmp"), counters)
	for line := range strings.Lines(readNet(t, "snmp6")) {
		fields := strings.Fields(line)
		if protocol, name, ok := strings.Cut(fields[0], "6"); ok && len(fields) == 2 {
			counters[protocol+"6."+name], _ = strconv.ParseUint(fields[1], 10, 64)
		}
	}
	return counters
}

// NetStat is the same of the counters that are Linux's own, as
// "TcpExt.TCPOFOQueue".
func NetStat(t testing.TB) map[string]uint64 {
	t.Helper()
	counters := map[string]uint64{}
	addPairs(readNet(t, "netstat"), counters)
	return counters
}

// addPairs reads pairs of lines: names, and values.
func addPairs(text string, counters map[string]uint64) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		protocol := strings.TrimSuffix(names[0], ":")
		for at, name := range names[1:] {
			// a few are signed, and of no interest here
			counters[protocol+"."+name], _ = strconv.ParseUint(values[1+at], 10, 64)
		}
	}
}

func readNet(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Sockets is how many sockets the thread's namespace has. An open file of a tun device is
// one, and stays one after it was closed for as long as a frame is charged to it.
func Sockets(t testing.TB) (n int) {
	t.Helper()
	for line := range strings.Lines(readNet(t, "sockstat")) {
		if used, found := strings.CutPrefix(line, "sockets: used "); found {
			n, err := strconv.Atoi(strings.TrimSpace(used))
			if err != nil {
				t.Fatalf("sockstat: %q", line)
			}
			return n
		}
	}
	t.Fatal("sockstat does not tell how many sockets there are")
	return 0
}

// Realtime tells whether this is a kernel with PREEMPT_RT.
func Realtime() bool {
	_, err := os.Stat("/sys/kernel/realtime")
	return err == nil
}

// KernelAtLeast tells whether the running kernel is of that version or newer.
func KernelAtLeast(t testing.TB, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	if len(parts) < 2 {
		t.Fatalf("kernel release %q", parts)
	}
	haveMajor, err1 := strconv.Atoi(parts[0])
	haveMinor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		t.Fatalf("kernel release %q", parts)
	}
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}
