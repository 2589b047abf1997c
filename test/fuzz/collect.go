// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// collector is the host's side of a run: it keeps what came out of the machine
// in a directory, and lets the rest pass.
type collector struct {
	dir  string
	seed uint64
	out  io.Writer // what is for people

	number  string // of the program that came last
	program string // its text
	judged  string // number of the program that a crash was kept for
	failure string // the runner's last word, if the run failed
	summary Summary
	ended   bool // the guest said its summary
}

// collect reads a run's output to its end and tells whether nothing was found.
func collect(dir string, seed uint64, ktap bool, in io.Reader, out io.Writer) (well bool, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "corpus"), 0o755); err != nil {
		return false, err
	}
	c := &collector{dir: dir, seed: seed, out: out, summary: Summary{Seed: seed}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := c.line(lines); err != nil {
			return false, err
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	return c.end(ktap)
}

func (c *collector) line(lines *bufio.Scanner) error {
	word, rest, _ := strings.Cut(lines.Text(), " ")
	switch word {
	case programWord:
		c.number, c.program = rest, part(lines)
	case findingWord:
		return c.crash(rest, part(lines))
	case keepWord:
		number, _, _ := strings.Cut(rest, " ")
		return c.write(fmt.Sprintf("corpus/%d-%s.txt", c.seed, number), c.program)
	case summaryWord:
		c.ended = true
		return json.Unmarshal([]byte(rest), &c.summary)
	default:
		if said, failed := strings.CutPrefix(lines.Text(), "run.sh: FAILED: "); failed {
			c.failure = said
		}
		fmt.Fprintln(c.out, lines.Text())
	}
	return nil
}

// part is the lines up to the end word.
func part(lines *bufio.Scanner) string {
	var b strings.Builder
	for lines.Scan() && lines.Text() != endWord {
		b.WriteString(lines.Text())
		b.WriteByte('\n')
	}
	return b.String()
}

// crash keeps the last program and what it did.
func (c *collector) crash(number, what string) error {
	name := fmt.Sprintf("crash-%d-%s.txt", c.seed, number)
	fmt.Fprintf(c.out, "fuzz: FOUND by program %s: %s\n", number, what)
	fmt.Fprintf(c.out, "fuzz: again: FUZZ_REPLAY=%s make fuzz\n", filepath.Join(c.dir, name))
	c.judged = number
	return c.write(name, "# "+strings.ReplaceAll(strings.TrimSpace(what), "\n", "\n# ")+"\n"+c.program)
}

func (c *collector) write(name, text string) error {
	return os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644)
}

// end judges the run and writes its summary, in both forms.
func (c *collector) end(ktap bool) (well bool, err error) {
	if err := c.lastWord(); err != nil {
		return false, err
	}
	text, err := json.MarshalIndent(c.summary, "", "  ")
	if err != nil {
		return false, err
	}
	if err := c.write("summary.json", string(text)+"\n"); err != nil {
		return false, err
	}
	if ktap {
		c.ktap()
	}
	fmt.Fprintln(c.out, c.summary)
	return len(c.summary.Findings) == 0, nil
}

// lastWord finds what the guest could not say itself: that it ended too early,
// or that its log holds a complaint that it had not noticed.
func (c *collector) lastWord() error {
	if c.ended && (c.failure == "" || len(c.summary.Findings) != 0) {
		return nil
	}
	why := c.failure
	if why == "" {
		why = "the run ended too early"
	}
	if c.number == "" {
		why = "no program was run: " + why
	}
	c.summary.Findings = append(c.summary.Findings, why)
	if c.number == "" || c.judged == c.number {
		return nil
	}
	return c.crash(c.number, why)
}

// floor is the part of the module's blocks, in percent, that even a short run
// reaches; otherwise the fuzzer is broken.
const floor = 50

// ktap prints the run as tests.
func (c *collector) ktap() {
	s := &c.summary
	fmt.Fprintf(c.out, "KTAP version 1\n1..3\n")
	c.test(1, s.Programs > 0, fmt.Sprintf("%d programs were run", s.Programs))
	c.test(2, 100*s.Reached >= floor*s.Blocks && s.Blocks > 0, fmt.Sprintf("more than %d %% of the blocks were reached", floor))
	c.test(3, len(s.Findings) == 0, "no program did harm")
}

func (c *collector) test(number int, passed bool, name string) {
	verdict := "ok"
	if !passed {
		verdict = "not ok"
	}
	fmt.Fprintf(c.out, "%s %d %s\n", verdict, number, name)
}
