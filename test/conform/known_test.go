// SPDX-License-Identifier: MIT

//go:build linux && !mytun_device

package conform

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestKnownDifferencesAreDocumented: the table has a row for each, and no more.
func TestKnownDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	table, found := section(string(text), "## Known differences")
	if !found {
		t.Fatal("docs/compatibility.md has no section of known differences")
	}
	var rows, known []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows = append(rows, row[1])
	}
	for _, d := range Known {
		known = append(known, d.ID)
	}
	slices.Sort(rows)
	slices.Sort(known)
	if !slices.Equal(rows, known) {
		t.Errorf("docs/compatibility.md has the rows\n%q,\nknown are\n%q", rows, known)
	}
}

// section is the text below a heading, up to the next one.
func section(text, heading string) (below string, found bool) {
	place := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(heading) + "$").FindStringIndex(text)
	if place == nil {
		return "", false
	}
	below = text[place[1]:]
	if next := regexp.MustCompile("(?m)^## ").FindStringIndex(below); next != nil {
		below = below[:next[0]]
	}
	return below, true
}
