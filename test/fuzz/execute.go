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
	readyLine = "ready"
	runLine   = "run"
	doneWord  = "done"
)

// Outcome is how many operations of a program were run, how many of them the
// kernel did, and how many ended in a fault of the process.
type Outcome struct{ Operations, Succeeded, Faults int64 }

// thread is what an operation knows of who runs it.
type thread struct{ tb }

// execute is the process that does what programs say. It ends with its input,
// or by a program.
func execute(in io.Reader, out io.Writer) error {
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
		fmt.Fprintln(out, doneWord, outcome.Operations, outcome.Succeeded, outcome.Faults)
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
					switch err := w.step(t, o); {
					case err == nil:
						succeeded.Add(1)
					case errors.As(err, new(fault)):
						faults.Add(1)
					}
				}
			})
		}
		threads.Wait()
	}
	return Outcome{operations.Load(), succeeded.Load(), faults.Load()}
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
