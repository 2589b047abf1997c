// SPDX-License-Identifier: MIT

//go:build linux

// Package watch tells how long others had to wait while something was done to a
// device: for rtnl, for a processor, and for their turn on one.
//
// A process of its own looks, so that nothing that its starter does, and no
// garbage collector, is taken for the kernel's doing. It is the same program,
// which calls Serve if Asked. It runs in a network namespace of its own.
//
// What an emulator's host does to the machine is seen as well. So the bounds are
// far above what is usual, and a multiple of what the same machine showed while
// the kernel's own driver was given as much to do: see Bounds.
package watch

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// argument is what a process is started with that is to watch.
const argument = "watch-the-machine"

// Asked tells whether this process is to watch, and nothing else: Serve.
func Asked() bool { return len(os.Args) == 2 && os.Args[1] == argument }

// Waits are the longest that somebody had to wait.
type Waits struct {
	// RTNL is for a request that changes another device, in another namespace
	RTNL time.Duration
	// Processor is for a real-time task to go on when its time has come: for that
	// long a softirq ran, or something else that nothing interrupts
	Processor time.Duration
	// Task is the same for an ordinary task, which others have their turn before
	Task time.Duration
}

func (w Waits) String() string {
	return fmt.Sprintf("rtnl %v, a processor %v, an ordinary task %v",
		w.RTNL.Round(time.Millisecond), w.Processor.Round(time.Millisecond), w.Task.Round(time.Millisecond))
}

// Milliseconds are the waits by name, for programs.
func (w Waits) Milliseconds() map[string]int64 {
	return map[string]int64{
		"rtnl": w.RTNL.Milliseconds(), "processor": w.Processor.Milliseconds(), "task": w.Task.Milliseconds(),
	}
}

// Max is the longer of each.
func (w Waits) Max(v Waits) Waits {
	return Waits{max(w.RTNL, v.RTNL), max(w.Processor, v.Processor), max(w.Task, v.Task)}
}

// Longest waits that no program may bring about, where the kernel's own driver
// brings about none. A grace period takes some 30 ms, the deletion of a device
// three of them, and an emulator's processor may not run for 100 ms at a time.
const (
	rtnlMost      = 500 * time.Millisecond
	processorMost = 500 * time.Millisecond
	taskMost      = 2 * time.Second
)

// Bounds are the longest waits to be tolerated on a machine that has shown some
// with the kernel's own driver: so many times that, and a constant.
func Bounds(stock Waits, times int) Waits {
	n := time.Duration(times)
	return Waits{RTNL: rtnlMost + n*stock.RTNL, Processor: processorMost + n*stock.Processor, Task: taskMost + n*stock.Task}
}

// Beyond tells which wait is longer than its bound, if one is.
func (w Waits) Beyond(bounds Waits) error {
	for _, one := range []struct {
		what        string
		took, bound time.Duration
	}{
		{"rtnl", w.RTNL, bounds.RTNL},
		{"a processor", w.Processor, bounds.Processor},
		{"an ordinary task's turn", w.Task, bounds.Task},
	} {
		if one.took > one.bound {
			return fmt.Errorf("others waited %v for %s, at most %v are allowed", one.took, one.what, one.bound)
		}
	}
	return nil
}

// Watcher is the process that watches, as its starter sees it.
type Watcher struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// Start starts watching. Whoever starts it stops it.
func Start() (*Watcher, error) {
	w := &Watcher{cmd: exec.Command("/proc/self/exe", argument)}
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.lines = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start watching: %w", err)
	}
	_, err = w.Longest() // it has begun
	return w, err
}

// answer is a line of the process: nanoseconds.
const answer = "%d %d %d\n"

// Longest is the longest waits that ended since it was last asked.
func (w *Watcher) Longest() (waits Waits, err error) {
	if _, err := io.WriteString(w.in, "\n"); err != nil {
		return waits, fmt.Errorf("ask who watches: %w", err)
	}
	if !w.lines.Scan() {
		return waits, fmt.Errorf("who watches has ended: %w", w.cmd.Wait())
	}
	_, err = fmt.Sscanf(w.lines.Text()+"\n", answer, &waits.RTNL, &waits.Processor, &waits.Task)
	return waits, err
}

// Stop ends watching.
func (w *Watcher) Stop() {
	w.in.Close()
	w.cmd.Wait()
}
