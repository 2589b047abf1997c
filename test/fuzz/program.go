// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of a program.
const (
	threadsMax    = 4
	operationsMax = 60
)

// Program is what a hostile process does, in order. Operations of different
// threads run at the same time, up to the next "sync", where all wait for all.
//
// Its text has a line for each operation: the number of the thread, the name,
// the arguments. Empty lines and what follows a # are for people.
type Program []Operation

// Operation is one step of one thread.
type Operation struct {
	Thread    uint8
	Spec      *Spec
	Arguments []uint64
}

// String is the operation's line, without its end.
func (o Operation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", o.Thread, o.Spec.Name)
	for i, k := range o.Spec.Kinds {
		b.WriteByte(' ')
		b.WriteString(k.format(o.Arguments[i]))
	}
	return b.String()
}

// String is the program's text.
func (p Program) String() string {
	var b strings.Builder
	for _, o := range p {
		b.WriteString(o.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Parse reads a program's text.
func Parse(from io.Reader) (Program, error) {
	var p Program
	lines := bufio.NewScanner(from)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		o, err := parseOperation(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		p = append(p, o)
	}
	return p, lines.Err()
}

func parseOperation(words []string) (Operation, error) {
	thread, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil || thread >= threadsMax {
		return Operation{}, fmt.Errorf("%q is no thread: they are 0 to %d", words[0], threadsMax-1)
	}
	if len(words) < 2 {
		return Operation{}, fmt.Errorf("thread %d does nothing", thread)
	}
	spec := specOf(words[1])
	if spec == nil {
		return Operation{}, fmt.Errorf("there is no operation %q", words[1])
	}
	o := Operation{Thread: uint8(thread), Spec: spec, Arguments: make([]uint64, len(spec.Kinds))}
	words = words[2:]
	if len(words) != len(spec.Kinds) {
		return o, fmt.Errorf("%s takes %d arguments, not %d", spec.Name, len(spec.Kinds), len(words))
	}
	for i, k := range spec.Kinds {
		if o.Arguments[i], err = k.parse(words[i]); err != nil {
			return o, fmt.Errorf("%s, argument %d: %w", spec.Name, i+1, err)
		}
	}
	return o, nil
}

// clone is a copy that shares nothing that changes.
func (p Program) clone() Program {
	c := make(Program, len(p))
	for i, o := range p {
		c[i] = o
		c[i].Arguments = append(make([]uint64, 0, len(o.Arguments)), o.Arguments...)
	}
	return c
}

// phases are the parts between the "sync" operations.
func (p Program) phases() (phases []Program) {
	start := 0
	for i, o := range p {
		if o.Spec.Name == syncName {
			phases = append(phases, p[start:i])
			start = i + 1
		}
	}
	return append(phases, p[start:])
}
