// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) Program {
	t.Helper()
	p, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return p
}

func TestTextOfRandomProgramsComesBack(t *testing.T) {
	seen := map[string]bool{}
	for number := range uint64(2000) {
		p := newMaker(1, number).fresh()
		if got := parse(t, p.String()); !reflect.DeepEqual(got, p) {
			t.Fatalf("program %d became\n%s, was\n%s", number, got, p)
		}
		for _, o := range p {
			seen[o.Spec.Name] = true
		}
	}
	for i := range specs {
		if !seen[specs[i].Name] {
			t.Errorf("no program has %s", specs[i].Name)
		}
	}
}

func TestCommentsAndEmptyLinesAreForPeople(t *testing.T) {
	p := parse(t, "# what it is for\n\n  0 open f1 # one\n1 sync\n")
	if got := p.String(); got != "0 open f1\n1 sync\n" {
		t.Errorf("got %q", got)
	}
}

func TestUnparsableProgramsTellWhere(t *testing.T) {
	for text, want := range map[string]string{
		"0 open f0\n0 unheard_of":      `line 2: there is no operation "unheard_of"`,
		"4 open f0":                    `"4" is no thread`,
		"0":                            "thread 0 does nothing",
		"0 open":                       "open takes 1 arguments, not 0",
		"0 open f4":                    "f4 is not one of f0 to f3",
		"0 open e0":                    `"e0" is not one of f0 to f3`,
		"0 map f0 nowhere read shared": `"nowhere" is none of kernel user rx tx`,
		"0 setiff f0 fz0 tun|blue":     `"blue" is no flag`,
		"0 flip f0 words 1 70000":      "70000 is more than 5000",
		"0 setpoll f0 many":            "argument 2",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestFlagsWithoutNamesAreKept(t *testing.T) {
	p := parse(t, "0 setiff f0 fz0 0x4|tun\n0 setiff f0 fz0 0x0\n")
	if got := p.String(); got != "0 setiff f0 fz0 tun|0x4\n0 setiff f0 fz0 0x0\n" {
		t.Errorf("got %q", got)
	}
}

func TestPhasesEndAtSync(t *testing.T) {
	p := parse(t, "0 open f0\n1 sync\n0 open f1\n2 open f2\n0 sync\n")
	var lengths []int
	for _, phase := range p.phases() {
		lengths = append(lengths, len(phase))
	}
	if !reflect.DeepEqual(lengths, []int{1, 2, 0}) {
		t.Errorf("phases of %v operations", lengths)
	}
}

func TestSeedsArePrograms(t *testing.T) {
	corpus, err := loadCorpus("corpus")
	if err != nil {
		t.Fatal(err)
	}
	if len(corpus) < 10 {
		t.Errorf("%d seeds", len(corpus))
	}
	for _, p := range corpus {
		if got := parse(t, p.String()); !reflect.DeepEqual(got, p) {
			t.Errorf("seed became\n%s", got)
		}
	}
}

func TestCorpusWithoutADirectoryIsEmpty(t *testing.T) {
	if corpus, err := loadCorpus(t.TempDir(), "/nowhere"); err != nil || len(corpus) != 0 {
		t.Errorf("%d programs, %v", len(corpus), err)
	}
}
