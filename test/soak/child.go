// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
)

const workerArgument = "worker"

// A child is a worker, as the host sees it.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File
	lines *bufio.Scanner
	said  string        // its last answer
	ended chan struct{} // closed when it has ended, with err
	err   error
}

func startChild(ledger *os.File) (*child, error) {
	c := &child{cmd: exec.Command("/proc/self/exe", workerArgument), ended: make(chan struct{})}
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = []*os.File{ledger}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	c.cmd.Stdout = write
	c.in, c.out, c.lines = in, read, bufio.NewScanner(read)
	c.lines.Buffer(nil, 1<<20)
	if err := c.cmd.Start(); err != nil {
		read.Close()
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// order gives the worker a command.
func (c *child) order(words ...string) error {
	if _, err := fmt.Fprintln(c.in, strings.Join(words, " ")); err != nil {
		return fmt.Errorf("%q to the worker: %w", words, err)
	}
	return nil
}

// tell gives the worker a command and waits for its answer.
func (c *child) tell(words ...string) error {
	if err := c.order(words...); err != nil {
		return err
	}
	if err := c.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if !c.lines.Scan() {
		return fmt.Errorf("the worker gave no answer to %q: %v", words, c.lines.Err())
	}
	answer, ok := strings.CutPrefix(c.lines.Text(), "ok")
	if !ok {
		return fmt.Errorf("the worker said %q to %q", c.lines.Text(), words)
	}
	c.said = strings.TrimSpace(answer)
	return nil
}

// opening is a command to open the device in a certain way.
func opening(command string, config mytunev.Config) ([]string, error) {
	text, err := json.Marshal(config)
	return []string{command, string(text)}, err
}

// configure is tell for a command that opens the device.
func (c *child) configure(command string, config mytunev.Config) error {
	words, err := opening(command, config)
	if err != nil {
		return err
	}
	return c.tell(words...)
}

func (c *child) signal(s unix.Signal) error { return c.cmd.Process.Signal(s) }

// complaint is that the worker ended by itself: it said why on standard error.
func (c *child) complaint() error {
	select {
	case <-c.ended:
		return fmt.Errorf("the worker has ended: %w", c.err)
	default:
		return nil
	}
}

// awaitKilled waits for the end of a worker that was sent SIGKILL. When it returns its
// files are closed.
func (c *child) awaitKilled() error {
	<-c.ended
	c.out.Close()
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the worker was to be killed and ended before: %w", c.err)
	}
	return nil
}

// end lets it end as a program does that has nothing more to do.
func (c *child) end() error {
	if err := c.in.Close(); err != nil {
		return err
	}
	<-c.ended
	c.out.Close()
	return c.err
}
