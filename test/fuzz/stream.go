// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// What the guest prints for the host begins with one of these words, and with a
// finding or a program, goes on until the end word. All else is for people.
const (
	programWord = "@program"
	findingWord = "@finding"
	endWord     = "@end"
	keepWord    = "@keep"
	summaryWord = "@summary"
)

// Summary is what a run did, for programs; String is for people.
type Summary struct {
	Seed       uint64         `json:"seed"`
	Seconds    float64        `json:"seconds"`
	Programs   uint64         `json:"programs"`
	Operations int64          `json:"operations"`
	Succeeded  int64          `json:"operations_succeeded"`
	Faults     int64          `json:"operations_faulted"`
	Deaths     uint64         `json:"processes_died"`
	Kept       int            `json:"programs_kept"`
	Reached    int            `json:"blocks_reached"`
	Blocks     int            `json:"blocks"`
	Findings   []string       `json:"findings"`
	Missing    map[string]int `json:"blocks_missing,omitempty"`

	// the longest, in milliseconds, beside programs and beside stock tun
	Waited      map[string]int64 `json:"waited_ms,omitempty"`
	WaitedStock map[string]int64 `json:"waited_stock_ms,omitempty"`

	Spent map[string]float64 `json:"seconds_spent,omitempty"` // by what is done about each program
}

func (s Summary) String() string {
	return fmt.Sprintf("fuzz: %d programs with %d operations in %.0f s (seed %d), %s, %s", s.Programs, s.Operations,
		s.Seconds, s.Seed, s.blocks(), plural(len(s.Findings), "finding"))
}

func (s Summary) blocks() string {
	return fmt.Sprintf("%d of %d blocks reached (%d %%)", s.Reached, s.Blocks, 100*s.Reached/max(s.Blocks, 1))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}

// stream is the guest's side of what goes to the host.
type stream struct{ out *os.File }

// program is printed before it is run, and has arrived when this returns: if the
// machine dies of it, the host knows of what.
func (s stream) program(number uint64, p Program) {
	s.part(fmt.Sprint(programWord, " ", number), p.String())
	// waits until a terminal has sent everything; other files need no wait
	unix.IoctlSetInt(int(s.out.Fd()), unix.TCSBRK, 1)
}

func (s stream) finding(number uint64, what string) {
	s.part(fmt.Sprint(findingWord, " ", number), what)
}

func (s stream) part(first, text string) {
	io.WriteString(s.out, first+"\n"+strings.TrimSuffix(text, "\n")+"\n"+endWord+"\n")
}

func (s stream) keep(number uint64, news int) {
	fmt.Fprintln(s.out, keepWord, number, news)
}

func (s stream) summary(summary Summary) error {
	text, err := json.Marshal(summary)
	if err == nil {
		_, err = fmt.Fprintln(s.out, summaryWord, string(text))
	}
	return err
}
