// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"slices"
	"testing"
)

func suspects(count int) (some []suspect) {
	for number := range uint64(count) {
		some = append(some, suspect{number: number + 100})
	}
	return some
}

func numbers(some []suspect) (found []uint64) {
	for _, s := range some {
		found = append(found, s.number)
	}
	return found
}

// TestTheGuiltyOneIsFound: wherever it is, and in few runs.
func TestTheGuiltyOneIsFound(t *testing.T) {
	const count = 37
	for guilty := range uint64(count) {
		runs := 0
		found := narrow(suspects(count), func(some []suspect) bool {
			runs++
			return slices.Contains(numbers(some), 100+guilty)
		})
		if got := numbers(found); !slices.Equal(got, []uint64{100 + guilty}) {
			t.Errorf("program %d did it, accused are %d", 100+guilty, got)
		}
		if runs > 12 {
			t.Errorf("program %d took %d runs to find", 100+guilty, runs)
		}
	}
}

// TestWhatTakesTwoIsNotBlamedOnOne: the search ends where both are left.
func TestWhatTakesTwoIsNotBlamedOnOne(t *testing.T) {
	found := narrow(suspects(32), func(some []suspect) bool {
		n := numbers(some)
		return slices.Contains(n, 103) && slices.Contains(n, 106)
	})
	if got := numbers(found); !slices.Equal(got, []uint64{100, 101, 102, 103, 104, 105, 106, 107}) {
		t.Errorf("accused are %d", got)
	}
}

// TestWhatDoesNotComeAgainIsNobodysAlone: all are left under suspicion.
func TestWhatDoesNotComeAgainIsNobodysAlone(t *testing.T) {
	if found := narrow(suspects(5), func([]suspect) bool { return false }); len(found) != 5 {
		t.Errorf("accused are %d", numbers(found))
	}
}
