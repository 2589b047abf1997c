// SPDX-License-Identifier: MIT

// Package layers tests that no file of the module calls upwards: docs/way-of-a-frame.md says what that means.
package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	page    = "../../docs/way-of-a-frame.md"
	sources = "../../kmod/mytun_*.c"
)

// others are built for tests alone, and are below or above nothing.
var others = []string{"mytun_cover.c", "mytun_planted.c"}

// layersOf are the rows of a page's table, from top to bottom.
func layersOf(text string) (rows [][]string) {
	file := regexp.MustCompile("`(mytun_\\w+\\.c)`")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| `mytun_") {
			continue
		}
		var row []string
		for _, m := range file.FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			row = append(row, m[1])
		}
		rows = append(rows, row)
	}
	return rows
}

var (
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/`)
	definition = regexp.MustCompile(`(?m)^(\w[\w \t*]*?[ *])(mytun_\w+)\([^;{}]*\)\n\{`)
)

// functionsOf are those that a C source defines for others.
func functionsOf(source string) (names []string) {
	for _, m := range definition.FindAllStringSubmatch(source, -1) {
		if !strings.Contains(m[1], "static") {
			names = append(names, m[2])
		}
	}
	return names
}

// upwards are the calls of a source to functions that are not below it.
func upwards(sources map[string]string, rows [][]string) (calls []string) {
	place := map[string]int{}
	for i, row := range rows {
		for _, file := range row {
			place[file] = i
		}
	}
	for callee, source := range sources {
		for _, name := range functionsOf(source) {
			use := regexp.MustCompile(`\b` + name + `\(`)
			for caller, text := range sources {
				if caller != callee && place[caller] >= place[callee] && use.MatchString(text) {
					calls = append(calls, caller+" calls "+name+" of "+callee)
				}
			}
		}
	}
	slices.Sort(calls)
	return calls
}

func TestNoFileCallsUpwards(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rows := layersOf(string(text))
	paths, _ := filepath.Glob(sources)
	files := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); !slices.Contains(others, name) {
			files[name] = comment.ReplaceAllString(string(b), "")
		}
	}
	listed := slices.Concat(rows...)
	for name := range files {
		if !slices.Contains(listed, name) {
			t.Errorf("%s does not tell where %s stands", page, name)
		}
	}
	for _, name := range listed {
		if files[name] == "" {
			t.Errorf("%s tells of %s, which is not there", page, name)
		}
	}
	for _, call := range upwards(files, rows) {
		t.Errorf("%s, which is not further down in %s", call, page)
	}
}

// TestUpwardsIsFound: or the test above would prove nothing.
func TestUpwardsIsFound(t *testing.T) {
	rows := layersOf("| files | state |\n|---|---|\n| `mytun_a.c` | `mytun_b.c` |\n| `mytun_b.c` `mytun_c.c` | |\n")
	if want := [][]string{{"mytun_a.c"}, {"mytun_b.c", "mytun_c.c"}}; !slices.EqualFunc(rows, want, slices.Equal) {
		t.Fatalf("rows %q, want %q", rows, want)
	}
	files := map[string]string{
		"mytun_a.c": "int mytun_a(struct mytun_queue *queue,\n\tint b)\n{\n\treturn mytun_b(b);\n}\n",
		"mytun_b.c": "static bool mytun_own(void)\n{\n\treturn mytun_c();\n}\n\nint mytun_b(int b)\n{\n\treturn mytun_a(NULL, b);\n}\n",
		"mytun_c.c": "struct sk_buff *mytun_c(void)\n{\n\treturn NULL;\n}\n\nstatic int mytun_own(void)\n{\n}\n",
	}
	want := []string{"mytun_b.c calls mytun_a of mytun_a.c", "mytun_b.c calls mytun_c of mytun_c.c"}
	if got := upwards(files, rows); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
