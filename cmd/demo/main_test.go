// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/internal/syscount"
	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
)

// A fakeDevice counts what the demo's loop says it sent.
type fakeDevice struct {
	run    func(ctx context.Context) error
	stats  mytunev.Stats
	err    error // of Stats
	closed int
}

func (f *fakeDevice) Name() string                                     { return "mytun7" }
func (f *fakeDevice) Mode() mytunev.Mode                               { return mytunev.TAP }
func (f *fakeDevice) Run(ctx context.Context, _ mytunev.Handler) error { return f.run(ctx) }
func (f *fakeDevice) Stats() (mytunev.Stats, error)                    { return f.stats, f.err }
func (f *fakeDevice) Close() error                                     { f.closed++; return nil }

// newDemo is a demo that has answered two pings.
func newDemo(t *testing.T, device *fakeDevice, args ...string) *demo {
	t.Helper()
	o, err := parseFlags(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{options: o, device: device, loop: newLoop(newResponder(true), o.queues, o.count)}
	return d
}

// answerPings makes a loop answer so many.
func answerPings(t *testing.T, l *loop, n int) {
	t.Helper()
	var sum tally
	for range n {
		if err := l.one(&fakeRing{}, ethernet(responderMAC, 0x0800, ping4(other4, nil)), &sum); err != nil {
			t.Error(err)
		}
	}
	l.tallies[0].add(&sum)
}

// printed returns what f prints.
func printed(t *testing.T, f func()) (stdout, stderr string) {
	t.Helper()
	files := [2]**os.File{&os.Stdout, &os.Stderr}
	var texts [2]string
	var readers [2]*os.File
	for i, file := range files {
		r, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		readers[i] = r
		saved := *file
		*file = r
		defer func() { *file = saved }()
	}
	f()
	for i, r := range readers {
		text, err := os.ReadFile(r.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
		r.Close()
	}
	return texts[0], texts[1]
}

// events are the lines of JSON that f prints, by their "event".
func events(t *testing.T, stdout string) (names []string, last map[string]any) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		names = append(names, fmt.Sprintf("%v %v", last["event"], last["echo_replies"]))
	}
	return names, last
}

// TestRun: a run with a mark in its middle, which a signal ends.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	marks := make(chan os.Signal, 1)
	f := &fakeDevice{}
	d := newDemo(t, f, "-json", "-quiet", "-queues", "2")
	f.run = func(ctx context.Context) error {
		answerPings(t, d.loop, 3)
		if err := d.setMark(); err != nil {
			t.Error(err)
		}
		answerPings(t, d.loop, 2)
		f.stats.TxFrames = 5 // the kernel has taken all
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	stopped := 0
	var err error
	stdout, stderr := printed(t, func() { err = d.run(ctx, func() { stopped++ }, marks) })
	if err != nil || stopped != 1 {
		t.Errorf("%v, signals handed back %d times, want once", err, stopped)
	}
	names, summary := events(t, stdout)
	if got := strings.Join(names, ", "); got != "ready <nil>, mark 3, summary 5" {
		t.Errorf("events %s", got)
	}
	if summary["reason"] != "a signal" || summary["queues"] != 2.0 || summary["device"] != "mytun7" || summary["mode"] != "TAP" {
		t.Errorf("summary %v", summary)
	}
	if !strings.Contains(stderr, "mytun7, TAP, 2 queues: 5 packets") || !strings.Contains(stderr, "ended by a signal") {
		t.Errorf("for people:\n%s", stderr)
	}
	d.tearDown()
	if f.closed != 1 {
		t.Errorf("closed %d times", f.closed)
	}
}

// TestRunAsText: without -json the summary is on standard output, and the greeting says
// what to try.
func TestRunAsText(t *testing.T) {
	f := &fakeDevice{run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	d := newDemo(t, f, "-duration", "1ms")
	var err error
	stdout, stderr := printed(t, func() { err = d.run(t.Context(), func() {}, nil) })
	if err != nil || !strings.Contains(stdout, "ended by -duration") {
		t.Errorf("%v:\n%s", err, stdout)
	}
	if want := "mytun7 is up. Try: ping 10.77.0.2, or ping fd77::2 (Ctrl-C ends this)"; !strings.Contains(stderr, want) {
		t.Errorf("no %q in %q", want, stderr)
	}
}

// TestRunMarksOnSignal: what SIGUSR1 does, while the loop goes on.
func TestRunMarksOnSignal(t *testing.T) {
	marks := make(chan os.Signal)
	f := &fakeDevice{}
	d := newDemo(t, f, "-json", "-quiet")
	f.run = func(context.Context) error {
		marks <- syscall.SIGUSR1
		marks <- syscall.SIGUSR1 // is taken when the first one is done
		return errCount
	}
	var err error
	stdout, _ := printed(t, func() { err = d.run(t.Context(), func() {}, marks) })
	names, summary := events(t, stdout)
	if err != nil || len(names) != 4 || names[1] != "mark 0" || names[2] != "mark 0" || summary["reason"] != "-count" {
		t.Errorf("%v, events %v, %v", err, names, summary["reason"])
	}
}

// TestRunFails: when the figures cannot be had, or the device is gone, that is the exit status.
func TestRunFails(t *testing.T) {
	broken := errors.New("broken")
	f := &fakeDevice{err: broken}
	d := newDemo(t, f, "-quiet")
	if err := d.run(t.Context(), func() {}, nil); !errors.Is(err, broken) {
		t.Errorf("no statistics at the begin: %v", err)
	}
	f.err = nil
	f.run = func(context.Context) error { f.err = broken; return mytunev.ErrDetached }
	err := d.run(t.Context(), func() {}, nil)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "someone deleted mytun7 while it was in use") {
		t.Errorf("no statistics at the end: %v", err)
	}
	_, stderr := printed(t, func() {
		marks, done := make(chan os.Signal), make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		go func() { d.setMarks(ctx, marks); close(done) }()
		marks <- syscall.SIGUSR1
		marks <- syscall.SIGUSR1
		cancel()
		<-done
	})
	if !strings.Contains(stderr, "demo: cannot set a mark: read the device's statistics: broken") {
		t.Errorf("a mark without statistics: %q", stderr)
	}
}

func TestExplainEnd(t *testing.T) {
	d := newDemo(t, &fakeDevice{})
	broken := errors.New("broken")
	for _, c := range []struct {
		cause  error
		reason string
		want   string
	}{
		{errCount, "-count", ""},
		{context.DeadlineExceeded, "-duration", ""},
		{fmt.Errorf("wrapped: %w", context.Canceled), "a signal", ""},
		{mytunev.ErrDetached, "the deletion of the device", "someone deleted mytun7 while it was in use"},
		{broken, "an error", "broken"},
	} {
		reason, err := d.explainEnd(c.cause)
		if reason != c.reason || (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v: %q, %v, want %q, %q", c.cause, reason, err, c.reason, c.want)
		}
	}
}

// TestExplainOpen: every error says what to do.
func TestExplainOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"none0", unix.ENOENT, unix.ENOENT.Error()},
		{"none0", unix.EPERM, "sudo"}, {"none0", unix.EACCES, "CAP_NET_ADMIN"},
		{"none0", unix.EBUSY, "sudo ip link delete none0"}, {"none0", unix.EEXIST, "-name"}, {"lo", unix.EINVAL, "device lo already"},
		{"none0", unix.ENOMEM, "smaller -ring"}, {"none0", unix.E2BIG, "fewer -queues"}, {"none0", unix.EINVAL, "fewer -queues"},
		{"none0", unix.EIO, unix.EIO.Error()},
	} {
		err := explainOpen(c.name, fmt.Errorf("mytunev: open: %w", c.err))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %v: %v, want %q", c.name, c.err, err, c.want)
		}
	}
}

func TestExplainCounter(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "sudo"}, {unix.EACCES, "lockdown"}, {unix.ENOSYS, "Linux 5.8"}, {errors.New("first\nsecond"), "first"},
	} {
		err := explainCounter(fmt.Errorf("load: %w", c.err))
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "leave out -syscalls") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q", c.err, err, c.want)
		}
	}
}

// TestRunArguments: what goes wrong before there is a device.
func TestRunArguments(t *testing.T) {
	var usage *usageError
	if err := run([]string{"-nonsense"}); !errors.As(err, &usage) {
		t.Errorf("-nonsense: %v", err)
	}
	if err := run([]string{"-addr", "10.77.0.1/32"}); err == nil || !strings.Contains(err.Error(), "shorter prefix") {
		t.Errorf("-addr: %v", err)
	}
	if _, err := os.Stat("/dev/net/mytun"); err == nil {
		t.Skip("there is a /dev/net/mytun, so there is no error about none")
	}
	if err := run([]string{"-quiet"}); err == nil || !strings.Contains(err.Error(), "module") {
		t.Errorf("no module: %v", err)
	}
}

// TestDescriptors: files that are open before the device are told from the device's, and
// from those that come later.
func TestDescriptors(t *testing.T) {
	before := openDescriptors()
	event, err := unix.Eventfd(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	d := openDescriptors()
	d.markQueues(before)
	later, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	d.learn()
	for fd, want := range map[int]struct {
		role role
		text string
	}{
		0: {roleStdio, "standard input"}, 1: {roleStdio, "standard output"}, 2: {roleStdio, "standard error"},
		event: {roleEventFD, "device's eventfd"}, int(later.Fd()): {roleOther, os.DevNull}, 1 << 20: {rolePacket, "a file closed since"},
	} {
		if d.role(fd) != want.role || d.describe(fd) != want.text {
			t.Errorf("%d: role %d, %q, want %d, %q", fd, d.role(fd), d.describe(fd), want.role, want.text)
		}
	}
}

// TestSnapshotOfSystemCalls: with a counter, a report has the calls since the last mark.
func TestSnapshotOfSystemCalls(t *testing.T) {
	counter, err := syscount.Open()
	if err != nil {
		t.Skipf("system calls cannot be counted: %v", explainCounter(err))
	}
	f := &fakeDevice{}
	d := newDemo(t, f, "-json", "-quiet", "-syscalls")
	d.counter, d.open = counter, openDescriptors()
	defer d.tearDown()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const calls = 17
	f.run = func(context.Context) error {
		for range calls {
			if _, err := unix.Pwrite(int(file.Fd()), []byte{1}, 0); err != nil {
				t.Error(err)
			}
		}
		return errCount
	}
	var failure error
	stdout, _ := printed(t, func() { failure = d.run(t.Context(), func() {}, nil) })
	_, summary := events(t, stdout)
	if failure != nil || !bytes.Contains([]byte(stdout), []byte(`"name":"pwrite64"`)) {
		t.Errorf("%v, %v", failure, summary["syscalls"])
	}
	for _, call := range summary["syscalls"].(map[string]any)["calls"].([]any) {
		c := call.(map[string]any)
		if c["name"] == "pwrite64" && (c["count"] != float64(calls) || c["on"] != file.Name()) {
			t.Errorf("%v, want %d on %s", c, calls, file.Name())
		}
	}
}
