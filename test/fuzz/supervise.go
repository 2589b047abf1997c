// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// patience is how long a program may take. The longest take some seconds in an
// emulator; what takes this long takes for ever.
const patience = 60 * time.Second

// executor is the process that executes programs. When a program was its end,
// the next is started at once, to be ready when it is needed.
type executor struct {
	geometry []byte // for the process, in JSON
	tell     bool   // what becomes of each operation
	ready    bool

	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // what it says; closed when it is gone
	stderr bytes.Buffer
}

// begin starts the first process.
func (e *executor) begin() error {
	geometry, err := askGeometry()
	if err != nil {
		return fmt.Errorf("make a device to begin with: %w", err)
	}
	if e.geometry, err = json.Marshal(geometry); err != nil {
		return err
	}
	return e.start()
}

// start starts the process in the network namespace of the calling thread.
func (e *executor) start() error {
	e.stderr.Reset()
	e.ready = false
	e.cmd = exec.Command("/proc/self/exe", "execute")
	e.cmd.Stderr = &e.stderr
	if e.tell {
		e.cmd.Args = append(e.cmd.Args, tellWord)
		e.cmd.Stderr = io.MultiWriter(&e.stderr, os.Stdout)
	}
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := e.cmd.Start(); err != nil {
		return fmt.Errorf("start the process that executes: %w", err)
	}
	e.lines = make(chan string)
	go func(lines chan string) {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}(e.lines)
	_, err = fmt.Fprintf(e.in, "%s\n", e.geometry)
	return err
}

// await waits until there is a process that can be given a program.
func (e *executor) await() error {
	if e.cmd == nil {
		if err := e.start(); err != nil {
			return err
		}
	}
	if e.ready {
		return nil
	}
	if line, err := e.listen(); err != nil || line != readyLine {
		return fmt.Errorf("the process that executes did not begin: %w", errors.Join(err, e.end()))
	}
	e.ready = true
	return nil
}

var (
	errHang = errors.New("hang")
	errGone = errors.New("the process is gone")
)

// listen waits for the next line.
func (e *executor) listen() (string, error) {
	select {
	case line, ok := <-e.lines:
		if !ok {
			return "", errGone
		}
		return line, nil
	case <-time.After(patience):
		return "", errHang
	}
}

// run executes a program. That the process died of it is an error, unless the
// program says so.
func (e *executor) run(p Program) (outcome Outcome, err error) {
	if err := e.await(); err != nil {
		return outcome, err
	}
	if _, err := io.WriteString(e.in, p.String()+runLine+"\n"); err != nil && !errors.Is(err, unix.EPIPE) {
		return outcome, err
	}
	line, err := e.listen()
	switch {
	case errors.Is(err, errHang):
		return outcome, fmt.Errorf("hang: the program has not ended after %v\n%s", patience, stacks(e.cmd.Process.Pid))
	case err != nil:
		err := e.end()
		if p.dies() {
			return outcome, e.start()
		}
		return outcome, err
	}
	_, err = fmt.Sscanf(line, doneFormat, &outcome.Operations, &outcome.Succeeded, &outcome.Faults, &outcome.Harm)
	return outcome, err
}

// dies tells whether the program kills its process.
func (p Program) dies() bool {
	for _, o := range p {
		if o.Spec.Name == dieName {
			return true
		}
	}
	return false
}

// end waits for a process that is on its end, makes sure that its children go
// with it, and says how it ended.
func (e *executor) end() error {
	pid := e.cmd.Process.Pid
	unix.Kill(-pid, unix.SIGKILL)
	ended := make(chan error, 1)
	go func(cmd *exec.Cmd) { ended <- cmd.Wait() }(e.cmd)
	e.cmd = nil
	select {
	case err := <-ended:
		return fmt.Errorf("the process that executes ended: %v\n%s", err, head(e.stderr.String(), 60))
	case <-time.After(patience):
		return fmt.Errorf("hang: a process that was killed is still there after %v\n%s", patience, stacks(pid))
	}
}

// stop ends the process because nobody needs it any more.
func (e *executor) stop() {
	if e.cmd != nil {
		e.in.Close()
		e.end()
	}
}

// stacks is where the threads of a process are in the kernel, and those of the
// module.
func stacks(pid int) string {
	var b strings.Builder
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	for _, pid := range slices.Sorted(maps.Keys(device.KthreadsByID(""))) {
		tasks = append(tasks, fmt.Sprintf("/proc/%d", pid))
	}
	for _, task := range tasks {
		comm, _ := os.ReadFile(task + "/comm")
		stack, _ := os.ReadFile(task + "/stack")
		fmt.Fprintf(&b, "%s %s%s", filepath.Base(task), comm, stack)
	}
	return b.String()
}

// head is the first lines of a text.
func head(text string, lines int) string {
	all := strings.SplitN(strings.TrimSpace(text), "\n", lines+1)
	return strings.Join(all[:min(lines, len(all))], "\n")
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
