// SPDX-License-Identifier: MIT

package report

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// Marks are the lines between which a part of a document is that is generated. What is outside of them is people's.
type Marks struct{ begin, end string }

// The parts of docs/performance.md, by what writes them.
var (
	Measured = marksOf("make bench-doc")
	Native   = marksOf("make bench-native-doc")
)

func marksOf(writer string) Marks {
	return Marks{"<!-- begin of what " + writer + " writes -->", "<!-- end of what " + writer + " writes -->"}
}

// Document replaces the part of the Markdown file at name that is between the marks by the table of the rows and by the pictures, whose names
// are relative to pictures, a directory relative to the document's.
func Document(name string, marks Marks, rows []result.Row, pictures string, names []string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, after, err := marks.surroundings(old)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString("\n\n")
	if err := Table(&b, rows, Markdown); err != nil {
		return err
	}
	for _, picture := range names {
		fmt.Fprintf(&b, "\n![bar chart: %s](%s)\n", strings.TrimSuffix(picture, ".svg"), path.Join(pictures, picture))
	}
	b.WriteString("\n")
	b.Write(after)
	return result.WriteFile(name, b.Bytes())
}

// surroundings returns the document up to the end of the first mark, and from the second mark on.
func (m Marks) surroundings(document []byte) (before, after []byte, err error) {
	begin, end := bytes.Index(document, []byte(m.begin)), bytes.Index(document, []byte(m.end))
	if begin < 0 || end < begin || bytes.Count(document, []byte(m.begin)) != 1 || bytes.Count(document, []byte(m.end)) != 1 {
		return nil, nil, fmt.Errorf("it must have each of these lines once, in this order: %q and %q", m.begin, m.end)
	}
	return document[:begin+len(m.begin)], document[end:], nil
}
