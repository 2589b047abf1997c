// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"testing"
)

func seedsOf(t *testing.T) []Program {
	t.Helper()
	corpus, err := loadCorpus("corpus")
	if err != nil {
		t.Fatal(err)
	}
	return corpus
}

func TestProgramsComeFromSeedAndNumberAlone(t *testing.T) {
	corpus := seedsOf(t)
	different := 0
	for number := range uint64(300) {
		one, again := newMaker(7, number).program(corpus), newMaker(7, number).program(corpus)
		if !reflect.DeepEqual(one, again) {
			t.Fatalf("program %d is\n%s, and then\n%s", number, one, again)
		}
		if !reflect.DeepEqual(one, newMaker(8, number).program(corpus)) {
			different++
		}
	}
	if different < 250 {
		t.Errorf("only %d of 300 programs depend on the seed", different)
	}
}

func TestMutationLeavesTheCorpusAlone(t *testing.T) {
	corpus, before := seedsOf(t), seedsOf(t)
	for number := range uint64(2000) {
		newMaker(1, number).program(corpus)
	}
	if !reflect.DeepEqual(corpus, before) {
		t.Error("a program of the corpus has changed")
	}
}

func TestMutantsAreBoundedAndCanBeWritten(t *testing.T) {
	corpus := seedsOf(t)
	for number := range uint64(2000) {
		p := newMaker(2, number).program(corpus)
		if len(p) > operationsMax {
			t.Fatalf("program %d has %d operations", number, len(p))
		}
		if got := parse(t, p.String()); len(p) > 0 && !reflect.DeepEqual(got, p) {
			t.Fatalf("program %d became\n%s, was\n%s", number, got, p)
		}
		corpus = append(corpus[:len(corpus):len(corpus)], p)[:len(corpus)]
	}
}

func TestNumbersStayBelowTheirLimit(t *testing.T) {
	m := newMaker(3, 0)
	for i := range specs {
		for _, k := range specs[i].Kinds {
			n, ok := k.(number)
			if !ok || n.limit == 0 {
				continue
			}
			for range 1000 {
				if got := n.random(m.random); got > n.limit {
					t.Fatalf("%s: %d is more than %d", specs[i].Name, got, n.limit)
				}
			}
		}
	}
}
