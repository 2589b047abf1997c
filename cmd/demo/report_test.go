// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/syscount"
	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
)

// exampleReport is a report in which every figure is another one.
func exampleReport() *report {
	var s snapshot
	for v := range s.tally.frames {
		s.tally.frames[v] = uint64(1000 + v)
	}
	s.tally.received, s.tally.replied = 123456, 234567
	s.stats = mytunev.Stats{Wakeups: 901, Doorbells: 11, SpaceWaits: 12}
	s.stats.KthreadSleeps, s.stats.RxDoorbells, s.stats.RxDropped, s.stats.TxDroppedDown = 13, 14, 15, 16
	open := descriptors{
		7: {"/dev/net/mytun", true}, 8: {"anon_inode:[eventfd]", true}, 9: {"anon_inode:[eventpoll]", true},
		4: {"anon_inode:[eventfd]", false}, 5: {"/sys/fs/cgroup/cpu.max", false},
	}
	s.calls = syscount.Counts{
		{Number: unix.SYS_WRITE, FD: 8}:                 21,
		{Number: unix.SYS_WRITE, FD: 2}:                 22,
		{Number: unix.SYS_READ, FD: 7}:                  23,
		{Number: unix.SYS_READ, FD: 99}:                 24,
		{Number: unix.SYS_WRITE, FD: 4}:                 25,
		{Number: unix.SYS_PREAD64, FD: 5}:               26,
		{Number: unix.SYS_EPOLL_PWAIT, FD: 9}:           902,
		{Number: unix.SYS_FUTEX, FD: syscount.NoFD}:     27,
		{Number: 1 << 20 /* none */, FD: syscount.NoFD}: 1,
	}
	return newReport(event{"summary", "mytun0", "TAP", 2}, s, 2*time.Second, open)
}

func TestSyscallClasses(t *testing.T) {
	s := exampleReport().Syscalls
	for name, pair := range map[string][2]uint64{
		"packet":     {s.Packet, 23 + 24},
		"eventfd":    {s.EventFD, 21},
		"other":      {s.Other, 25 + 26},
		"stdio":      {s.Stdio, 22},
		"read/write": {s.ReadWrite, 23 + 24 + 21 + 25 + 26},
		"all":        {s.Total, 21 + 22 + 23 + 24 + 25 + 26 + 902 + 27 + 1},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %d calls, want %d", name, pair[0], pair[1])
		}
	}
	if s.Calls[0].Name != "epoll_pwait" || s.Calls[0].On != "device's epoll set" {
		t.Errorf("most frequent call: %+v", s.Calls[0])
	}
}

func TestJSON(t *testing.T) {
	line, err := json.Marshal(exampleReport())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"event":"summary","device":"mytun0","mode":"TAP","queues":2,`, `"seconds":2,`, `"packets":9036,`,
		`"packets_per_second":4518,`, `"echo_replies":2001,`, `"kthread_sleeps":13,`, `"dropped":31,`,
		`"drops":{"rx_overflow":15,"tx_device_down":16}`, `"read_write_calls":119,`, `"packet_calls":47,`,
		`"name":"syscall 1048576"`,
	} {
		if !strings.Contains(string(line), want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := exampleReport().printText(&b); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"mytun0, TAP, 2 queues: 9,036 packets in 2.0 s, 4,518/s", "IPv4 echo requests 1,000", "ARP requests 1,002",
		"fragments, options, extensions 1,006", "received 123,456", "of this process 901 0.0997 a packet",
		"too many frames waited for the rx ring 15", "packets read 47 write 0", "doorbells read 0 write 21",
		"terminal read 0 write 22", "fd 5, /sys/fs/cgroup/cpu.max 26", "fd 99, a file closed since 24",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestSubtraction(t *testing.T) {
	call := syscount.Call{Number: 1, FD: 2}
	a := snapshot{calls: syscount.Counts{call: 5}, lost: 3}
	a.tally.frames[echo6], a.stats.Wakeups, a.stats.TxBytes = 10, 20, 30
	b := snapshot{calls: syscount.Counts{call: 7}, lost: 4}
	b.tally.frames[echo6], b.stats.Wakeups, b.stats.TxBytes = 11, 22, 33
	d := b.sub(a)
	if d.tally.frames[echo6] != 1 || d.stats.Wakeups != 2 || d.stats.TxBytes != 3 || d.calls[call] != 2 || d.lost != 1 {
		t.Errorf("got %+v", d)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q", n, got)
		}
	}
	if a, b := plural(1, "packet"), plural(2000, "packet"); a != "1 packet" || b != "2,000 packets" {
		t.Errorf("got %q, %q", a, b)
	}
}

func TestStatusLine(t *testing.T) {
	got := statusLine("mytun0", 12345, 1000, 10, 1, 2*time.Second)
	want := "mytun0  12,345 packets  500/s  10 wake-ups (0.010 a packet)  1 drop"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
