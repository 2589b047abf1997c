// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := (plain{&b}).show(newReport(twoSamples())); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.String())
}

// TestNameThatActsOnATerminal: whoever may name a device does not clear somebody's screen.
func TestNameThatActsOnATerminal(t *testing.T) {
	const name = "a\x1b[2Jb"
	_, s := twoSamples()
	s.devices = []device{{mytunLink(8, name), []queue{busy(0, 1000)}}}
	r := newReport(s, s)
	r.Gone = []string{name}
	var b strings.Builder
	if err := (plain{&b}).show(r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "[2Jb") {
		t.Errorf("%q", b.String())
	}
}

func TestStates(t *testing.T) {
	up := deviceReport{Up: true, Carrier: true}
	for _, test := range []struct {
		device deviceReport
		queue  queueReport
		want   string
	}{
		{up, queueReport{}, "up"},
		{deviceReport{Carrier: true}, queueReport{}, "down"},
		{deviceReport{Up: true}, queueReport{}, "no carrier"},
		{up, queueReport{New: true}, "new"},
		{up, queueReport{New: true, Parked: true}, "parked"},
		{up, queueReport{Parked: true, Broken: []string{"rx", "tx"}}, "rx+tx broken"},
	} {
		if got := queueState(test.device, test.queue); got != test.want {
			t.Errorf("%+v: %q, want %q", test.queue, got, test.want)
		}
	}
}

func TestNothing(t *testing.T) {
	var b strings.Builder
	if err := (plain{&b}).show(newReport(sample{}, sample{})); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, "no mytun device") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}

// TestTimedLines: each begins with the time, and the heading comes once.
func TestTimedLines(t *testing.T) {
	var b strings.Builder
	lines := &timed{w: &b}
	before, after := twoSamples()
	for i := 0; i < 2; i++ {
		if err := lines.show(newReport(before, after)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(b.String(), "DEVICE"); n != 1 {
		t.Errorf("%d headings, want 1", n)
	}
	for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if !strings.HasPrefix(line, "2026-11-29 18:30:02  ") {
			t.Errorf("no time: %q", line)
		}
	}
}

// terminal is the little that a screen uses of one: it ends at a line that is too many.
type terminal struct {
	t             *testing.T
	lines         []string
	cursor        int
	width, height int
}

func (s *terminal) Write(p []byte) (int, error) {
	text := string(p)
	if strings.HasPrefix(text, "\x1b[") {
		up := 0
		for text = text[2:]; text[0] != 'A'; text = text[1:] {
			up = 10*up + int(text[0]-'0')
		}
		text = text[1:]
		if s.cursor -= up; s.cursor < 0 {
			s.t.Errorf("%d lines up from line %d", up, s.cursor+up)
			s.cursor = 0
		}
	}
	if !strings.HasSuffix(text, restGone) {
		s.t.Errorf("what was below stays: %q", text)
	}
	s.lines = s.lines[:s.cursor]
	for _, line := range strings.SplitAfter(strings.TrimSuffix(text, restGone), "\n") {
		if line == "" {
			continue
		}
		if !strings.HasSuffix(line, lineEnd) {
			s.t.Errorf("what was on the line stays: %q", line)
		}
		line = strings.TrimSuffix(line, lineEnd)
		if len([]rune(line)) > s.width {
			s.t.Errorf("wider than %d: %q", s.width, line)
		}
		s.lines = append(s.lines, line)
	}
	if s.cursor = len(s.lines); s.cursor >= s.height {
		s.t.Errorf("%d lines scroll a terminal of %d", s.cursor, s.height)
	}
	return len(p), nil
}

// TestScreen: each table is where the one before was, whichever of them is longer.
func TestScreen(t *testing.T) {
	before, after := twoSamples()
	for _, size := range []struct{ width, height int }{{200, 50}, {60, 6}, {20, 4}} {
		on := &terminal{t: t, width: size.width, height: size.height}
		s := &screen{w: on, size: func() (int, int) { return size.width, size.height }}
		for _, r := range []*report{newReport(before, after), newReport(sample{}, sample{}), newReport(after, before), newReport(before, after)} {
			if err := s.show(r); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(on.lines[0], r.Time.Format("15:04:05")) {
				t.Errorf("line 1 is %q", on.lines[0])
			}
		}
		if size.height == 50 && len(on.lines) != 1+len(newTable(newReport(before, after)).lines()) {
			t.Errorf("%d lines are shown:\n%s", len(on.lines), strings.Join(on.lines, "\n"))
		}
		if size.height < 50 && !strings.Contains(on.lines[len(on.lines)-1], "more: a larger"[:4]) {
			t.Errorf("the last line does not tell of more: %q", on.lines[len(on.lines)-1])
		}
	}
}

// TestFitUnknown: a terminal that does not know its size gets everything.
func TestFitUnknown(t *testing.T) {
	lines := []string{strings.Repeat("x", 300), "y"}
	if got := fit(lines, 0, 0); len(got) != 2 || got[0] != lines[0] {
		t.Errorf("got %q", got)
	}
}

func TestTerminalSize(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, _, ok := terminalSize(file); ok {
		t.Error("a file is taken for a terminal")
	}
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer ptmx.Close()
	if _, _, ok := terminalSize(ptmx); !ok {
		t.Error("a terminal is not taken for one")
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestWriteFails: who shows says so, and watch ends.
func TestWriteFails(t *testing.T) {
	s := fakeSystem(makeProc(t, 1), mytunLink(4, "a"))
	ticks := make(chan time.Time, 1)
	for name, to := range map[string]shower{
		"json": jsonLines{full{}}, "plain": plain{full{}}, "timed": &timed{w: full{}},
		"screen": &screen{w: full{}, size: func() (int, int) { return 80, 24 }},
	} {
		ticks <- start
		if err := watch(s, &options{live: true}, ticks, to); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
