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

// The lines between which a document's generated part is. What is outside of them is people's.
const (
	beginMark = "<!-- begin of what make bench-doc writes -->"
	endMark   = "<!-- end of what make bench-doc writes -->"
)

// Document replaces the generated part of the Markdown file at name by the table of the rows and by the pictures, whose names are relative to
// pictures, a directory relative to the document's.
func Document(name string, rows []result.Row, pictures string, names []string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, after, err := surroundings(old)
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
func surroundings(document []byte) (before, after []byte, err error) {
	begin, end := bytes.Index(document, []byte(beginMark)), bytes.Index(document, []byte(endMark))
	if begin < 0 || end < begin || bytes.Count(document, []byte(beginMark)) != 1 || bytes.Count(document, []byte(endMark)) != 1 {
		return nil, nil, fmt.Errorf("it must have each of these lines once, in this order: %q and %q", beginMark, endMark)
	}
	return document[:begin+len(beginMark)], document[end:], nil
}
