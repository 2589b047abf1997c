// SPDX-License-Identifier: MIT

package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("before\n"+Measured.begin+"\nold\n"+Measured.end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		if err := Document(path, Measured, madeUp(t), "pictures", []string{"rx.svg", "tx.svg"}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(data)
		} else if first != string(data) {
			t.Errorf("the second time gives\n%s\nthe first gave\n%s", data, first)
		}
	}
	table := render(t, madeUp(t), Markdown)
	want := "before\n" + Measured.begin + "\n\n" + table + "\n![bar chart: rx](pictures/rx.svg)\n\n![bar chart: tx](pictures/tx.svg)\n\n" + Measured.end + "\nafter\n"
	if first != want {
		t.Errorf("the document is\n%s\nwant\n%s", first, want)
	}
}

func TestDocumentNeedsItsMarks(t *testing.T) {
	for name, content := range map[string]string{
		"no marks":    "text",
		"no end":      Measured.begin,
		"no begin":    Measured.end,
		"wrong order": Measured.end + Measured.begin,
		"two begins":  Measured.begin + Measured.begin + Measured.end,
		"two ends":    Measured.begin + Measured.end + Measured.end,
	} {
		path := filepath.Join(t.TempDir(), "page.md")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Document(path, Measured, madeUp(t), "pictures", nil)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), Measured.begin) {
			t.Errorf("%s: the error is %v; it must name the file and the marks", name, err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != content {
			t.Errorf("%s: the document became %q, %v", name, data, err)
		}
	}
	if err := Document(filepath.Join(t.TempDir(), "none"), Measured, nil, "", nil); !os.IsNotExist(err) {
		t.Errorf("no document: %v", err)
	}
}

// The page that make bench-doc and make bench-native-doc write into has the marks of both.
func TestPerformancePageHasTheMarks(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, marks := range []Marks{Measured, Native} {
		if _, _, err := marks.surroundings(data); err != nil {
			t.Error(err)
		}
	}
}
