// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A shower shows reports, one after the other.
type shower interface {
	show(*report) error
}

// jsonLines shows each as a JSON document on a line.
type jsonLines struct{ w io.Writer }

func (j jsonLines) show(r *report) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = j.w.Write(append(line, '\n'))
	return err
}

// plain shows a table, once.
type plain struct{ w io.Writer }

func (p plain) show(r *report) error {
	_, err := fmt.Fprintln(p.w, strings.Join(newTable(r).lines(), "\n"))
	return err
}

// timed shows lines that begin with the time, for a log. The heading comes when it
// is another than before.
type timed struct {
	w       io.Writer
	heading string
}

func (p *timed) show(r *report) error {
	t := newTable(r)
	if t.heading == p.heading {
		t.heading = ""
	} else {
		p.heading = t.heading
	}
	var b strings.Builder
	now := r.Time.Format("2006-01-02 15:04:05")
	for _, line := range t.lines() {
		b.WriteString(now + "  " + line + "\n")
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// screen shows each table where the one before stood, which stays if the program ends.
type screen struct {
	w     io.Writer
	size  func() (width, height int) // of the terminal; 0: not known
	shown int                        // lines above the cursor that are the last table's
}

const (
	lineUp   = "\x1b[%dA"
	lineEnd  = "\x1b[K\n"
	restGone = "\x1b[J"
)

func (s *screen) show(r *report) error {
	width, height := s.size()
	title := fmt.Sprintf("%s, over %.1f s", r.Time.Format("15:04:05"), r.Seconds)
	lines := fit(append([]string{title}, newTable(r).lines()...), width, height)
	var b strings.Builder
	if s.shown > 0 {
		fmt.Fprintf(&b, lineUp, s.shown)
	}
	for _, line := range lines {
		b.WriteString(line + lineEnd)
	}
	b.WriteString(restGone)
	s.shown = len(lines)
	_, err := io.WriteString(s.w, b.String())
	return err
}

// fit cuts lines to a terminal's size, less the line that the cursor is on: one that
// is too long, or one too many, would move what is above.
func fit(lines []string, width, height int) []string {
	if height > 2 && len(lines) > height-1 {
		left := len(lines) - (height - 2)
		lines = append(lines[:height-2:height-2], fmt.Sprintf("... %s more: a larger window, or name devices", plural(left, "line")))
	}
	if width <= 0 {
		return lines
	}
	cut := make([]string, len(lines))
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		cut[i] = line
	}
	return cut
}
