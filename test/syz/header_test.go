// SPDX-License-Identifier: MIT

//go:build linux

package syz

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// field is a member of a structure, with its size in bytes.
type field struct {
	Name string
	Size int
}

// header is what a C header defines: as much of it as the ABI's has.
type header struct {
	values  map[string]uint64
	structs map[string][]field
}

var (
	remarks   = regexp.MustCompile(`/\*(?s:.*?)\*/`)
	defines   = regexp.MustCompile(`(?m)^#define\s+(MYTUN_\w+)[ \t]+(.+?)\s*$`)
	suffixes  = regexp.MustCompile(`\b(0x[0-9a-fA-F]+|[0-9]+)U?L*\b`)
	commands  = regexp.MustCompile(`^_IO([RW])\((\w+), (\w+), (?:struct )?(\w+)\)$`)
	bare      = regexp.MustCompile(`^_IO\((\w+), (\w+)\)$`)
	structs   = regexp.MustCompile(`(?m)^struct (\w+) \{((?s:.*?))^\};`)
	members   = regexp.MustCompile(`(?m)^\s+(?:struct )?(\w+) (\w+)(?:\[(\d+)\])?;`)
	baseSizes = map[string]int{"__le16": 2, "__u16": 2, "__u32": 4, "__s32": 4, "__u64": 8, "virtio_net_hdr_v1": 12}
)

// readHeader reads the module's ABI.
func readHeader(t *testing.T) *header {
	t.Helper()
	text := remarks.ReplaceAllString(read(t, "../../kmod/uapi/linux/mytun.h"), "")
	h := &header{values: map[string]uint64{}, structs: map[string][]field{}}
	for _, m := range structs.FindAllStringSubmatch(text, -1) {
		for _, f := range members.FindAllStringSubmatch(m[2], -1) {
			h.structs[m[1]] = append(h.structs[m[1]], field{f[2], h.sizeOf(t, f[1]) * count(t, f[3])})
		}
	}
	for _, m := range defines.FindAllStringSubmatch(text, -1) {
		h.values[m[1]] = h.value(t, m[2])
	}
	return h
}

func (h *header) sizeOf(t *testing.T, name string) (size int) {
	t.Helper()
	if size, ok := baseSizes[name]; ok {
		return size
	}
	if h.structs[name] == nil {
		t.Fatalf("the header uses %q before it says what it is", name)
	}
	for _, f := range h.structs[name] {
		size += f.Size
	}
	return size
}

// value is that of an expression: a number, or of an ioctl.
func (h *header) value(t *testing.T, expression string) uint64 {
	t.Helper()
	if m := commands.FindStringSubmatch(expression); m != nil {
		direction := map[string]uint64{"W": 1, "R": 2}[m[1]]
		return direction<<30 | uint64(h.sizeOf(t, m[4]))<<16 | h.values[m[2]]<<8 | evaluate(t, m[3])
	}
	if m := bare.FindStringSubmatch(expression); m != nil {
		return h.values[m[1]]<<8 | evaluate(t, m[2])
	}
	return evaluate(t, suffixes.ReplaceAllString(expression, "$1"))
}

// evaluate computes what C and Go write alike.
func evaluate(t *testing.T, expression string) uint64 {
	t.Helper()
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expression)
	if err != nil {
		t.Fatalf("%q: %v", expression, err)
	}
	value, exact := constant.Uint64Val(v.Value)
	if !exact {
		t.Fatalf("%q is %v", expression, v.Value)
	}
	return value
}

// count is the length of an array; what is none has none.
func count(t *testing.T, length string) int {
	t.Helper()
	if length == "" {
		return 1
	}
	n, err := strconv.Atoi(length)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// areas are the offsets for mmap(), and the words in the two pages, which the
// header leaves to MYTUN_IOC_GET_INFO to tell.
func areas(t *testing.T) map[string]uint64 {
	t.Helper()
	text := read(t, "../../kmod/mytun_memory.c")
	found := map[string]uint64{}
	for _, m := range defines.FindAllStringSubmatch(text, -1) {
		if regexp.MustCompile(`^MYTUN_(OFFSET|WORD)_`).MatchString(m[1]) {
			found[m[1]] = evaluate(t, suffixes.ReplaceAllString(m[2], "$1"))
		}
	}
	word := regexp.MustCompile(`(?m)^\tu32 (\w+) __aligned\(MYTUN_WORD_ALIGN\);`)
	for _, page := range structs.FindAllStringSubmatch(text, -1) {
		for i, m := range word.FindAllStringSubmatch(page[2], -1) {
			found[wordName(m[1])] = uint64(i) * found["MYTUN_WORD_ALIGN"]
		}
	}
	delete(found, "MYTUN_WORD_ALIGN")
	return found
}

func (f field) String() string { return fmt.Sprintf("%s (%d bytes)", f.Name, f.Size) }
