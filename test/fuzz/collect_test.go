// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// collected gives a run's output to the collector.
func collected(t *testing.T, ktap bool, lines ...string) (dir, said string, well bool) {
	t.Helper()
	dir = t.TempDir()
	var out strings.Builder
	well, err := collect(dir, 7, ktap, strings.NewReader(strings.Join(lines, "\n")+"\n"), &out)
	if err != nil {
		t.Fatal(err)
	}
	return dir, out.String(), well
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var aProgram = []string{"@program 3", "0 open f0", "0 close f0", "@end"}

func with(more ...string) []string { return append(aProgram[:len(aProgram):len(aProgram)], more...) }

const anEnd = `@summary {"seed":7,"programs":4,"operations":8,"blocks_reached":60,"blocks":100}`

func TestGoodRunEndsWithItsSummary(t *testing.T) {
	dir, said, well := collected(t, true, with("@keep 3 12", "a line for people", anEnd)...)
	if !well || !strings.HasPrefix(said, "a line for people\nKTAP version 1\n1..3\nok 1") ||
		!strings.HasSuffix(said, "60 of 100 blocks reached (60 %), 0 findings\n") || strings.Contains(said, "not ok") {
		t.Errorf("well %v, said:\n%s", well, said)
	}
	if got := read(t, dir, "corpus", "7-3.txt"); got != "0 open f0\n0 close f0\n" {
		t.Errorf("kept %q", got)
	}
	var s Summary
	if err := json.Unmarshal([]byte(read(t, dir, "summary.json")), &s); err != nil || s.Reached != 60 || s.Programs != 4 {
		t.Errorf("summary.json: %+v, %v", s, err)
	}
}

func TestFindingIsKeptWithItsProgram(t *testing.T) {
	end := `@summary {"programs":4,"blocks_reached":60,"blocks":100,"findings":["it hangs"]}`
	dir, said, well := collected(t, true, with("@finding 3", "it hangs", "here", "@end", end)...)
	if well || !strings.Contains(said, "not ok 3 no program did harm") || !strings.HasSuffix(said, "1 finding\n") {
		t.Errorf("well %v, said:\n%s", well, said)
	}
	crash := filepath.Join(dir, "crash-7-3.txt")
	if got := read(t, crash); got != "# it hangs\n# here\n0 open f0\n0 close f0\n" {
		t.Errorf("kept %q", got)
	}
	if p, err := loadProgram(crash); err != nil || len(p) != 2 {
		t.Errorf("to be replayed: %v, %v", p, err)
	}
}

func TestMachineThatStopsLeavesItsLastProgram(t *testing.T) {
	for _, last := range []string{"run.sh: FAILED: kernel 6.12-kasan complained, see above", "and then nothing"} {
		dir, said, well := collected(t, false, with(last)...)
		if well || !strings.HasSuffix(said, "1 finding\n") {
			t.Errorf("%s: well %v, said:\n%s", last, well, said)
		}
		if got := read(t, dir, "crash-7-3.txt"); !strings.HasSuffix(got, "0 open f0\n0 close f0\n") {
			t.Errorf("kept %q", got)
		}
	}
}

func TestComplaintFoundOnTheHostIsAFinding(t *testing.T) {
	dir, _, well := collected(t, false, with(anEnd, "run.sh: FAILED: kernel 6.12-kasan complained, see above")...)
	if well {
		t.Error("the run counts as good")
	}
	read(t, dir, "crash-7-3.txt")
}

func TestRunWithoutAProgramFails(t *testing.T) {
	for _, lines := range [][]string{{"run.sh: FAILED: no boot"}, {"fuzz: error: no module"}, {}} {
		if _, said, well := collected(t, true, lines...); well || !strings.Contains(said, "not ok 1") {
			t.Errorf("%q: well %v, said:\n%s", lines, well, said)
		}
	}
}

func TestTooFewBlocksFailTheTest(t *testing.T) {
	end := `@summary {"programs":4,"blocks_reached":49,"blocks":100}`
	if _, said, _ := collected(t, true, with(end)...); !strings.Contains(said, "not ok 2") {
		t.Errorf("said:\n%s", said)
	}
}

func TestEndsOfATextAreLines(t *testing.T) {
	const text = "\none\ntwo\nthree\n"
	for lines, want := range map[int][2]string{1: {"one", "three"}, 2: {"one\ntwo", "two\nthree"}, 9: {"one\ntwo\nthree", "one\ntwo\nthree"}} {
		if got := [2]string{head(text, lines), tail(text, lines)}; got != want {
			t.Errorf("%d lines: %q, want %q", lines, got, want)
		}
	}
}
