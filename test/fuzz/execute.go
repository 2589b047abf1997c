// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mytun/mytun/test/device"
)

// Lines of the protocol with the process that executes: it gets the geometry of
// all queues, says ready, gets a program's text and run, says done with what
// came of the operations, and so on.
const (
	readyLine  = "ready"
	runLine    = "run"
	doneFormat = "done %d %d %d %q"

	// an argument of the process: what became of each operation goes to stderr
	tellWord = "tell"
)

// Outcome is how many operations of a program were run, how many of them the
// kernel did, and how many ended in a fault of the process. Harm is what one of
// them found wrong, if any.
type Outcome struct {
	Operations, Succeeded, Faults int64
	Harm                          string
}

// thread is what an operation knows of who runs it.
type thread struct{ tb }

// execute is the process that does what programs say. It ends with its input,
// or by a program.
func execute(in io.Reader, out io.Writer, tell bool) error {
	runtime.GOMAXPROCS(threadsMax)
	os.ReadFile("/proc/self/comm") // the runtime opens what it needs for files while it can
	lines := bufio.NewScanner(in)
	var geometry device.Info
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &geometry) != nil {
		return errors.New("the first line is no geometry")
	}
	w, err := newWorld(geometry)
	if err != nil {
		return err
	}
	w.tell = tell
	expedite(true) // whoever executed before may have died in a storm
	fmt.Fprintln(out, readyLine)
	for {
		text, ok := readProgram(lines)
		if !ok {
			return lines.Err()
		}
		p, err := Parse(strings.NewReader(text))
		if err != nil {
			return fmt.Errorf("program to execute: %w", err)
		}
		outcome := w.perform(p)
		if err := w.reset(); err != nil {
			return fmt.Errorf("reserve the arena again: %w", err)
		}
		fmt.Fprintf(out, doneFormat+"\n", outcome.Operations, outcome.Succeeded, outcome.Faults, outcome.Harm)
	}
}

func readProgram(lines *bufio.Scanner) (text string, ok bool) {
	var b strings.Builder
	for lines.Scan() {
		if lines.Text() == runLine {
			return b.String(), true
		}
		b.WriteString(lines.Text())
		b.WriteByte('\n')
	}
	return "", false
}

// perform runs a program: phase after phase, the threads of each at once.
func (w *world) perform(p Program) Outcome {
	var operations, succeeded, faults atomic.Int64
	var found atomic.Pointer[harm]
	for _, phase := range p.phases() {
		var threads sync.WaitGroup
		for number := range uint8(threadsMax) {
			threads.Go(func() {
				debug.SetPanicOnFault(true)
				t := &thread{}
				for _, o := range phase {
					if o.Thread != number {
						continue
					}
					operations.Add(1)
					err := w.step(t, o)
					if w.tell {
						fmt.Fprintf(os.Stderr, "fuzz: %v: %v\n", o, err)
					}
					switch {
					case err == nil:
						succeeded.Add(1)
					case errors.As(err, new(fault)):
						faults.Add(1)
					default:
						if h := new(harm); errors.As(err, h) {
							found.Store(h)
						}
					}
				}
			})
		}
		threads.Wait()
	}
	outcome := Outcome{Operations: operations.Load(), Succeeded: succeeded.Load(), Faults: faults.Load()}
	if h := found.Load(); h != nil {
		outcome.Harm = h.what
	}
	return outcome
}

// fault is an access to memory that is not there, or not for that.
type fault struct{ said runtime.Error }

func (f fault) Error() string { return f.said.Error() }

// step runs one operation, which may fault, or fail in a helper.
func (w *world) step(t *thread, o Operation) (err error) {
	defer func() {
		switch said := recover().(type) {
		case nil:
		case runtime.Error:
			err = fault{said}
		case failure:
			err = errors.New(string(said))
		default:
			panic(said)
		}
	}()
	defer t.finish()
	return o.Spec.run(w, t, o.Arguments)
}
