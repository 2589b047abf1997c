// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// readyVariable tells a process in the background which of its files to write to once the
// interface is there. Who started it waits for that.
const readyVariable = "MYTUN_WIREGUARD_READY_FD"

// errSaid is the error of a process whose child has told the user what is wrong.
var errSaid = errors.New("the process in the background has failed")

// itself is this program once more, for the same interface, with the same files.
func itself(o options, files inherited) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program's own file, to start it in the background: %w", err)
	}
	child := exec.Command(path, "--foreground", o.name)
	child.Args[0] = os.Args[0]
	handOn(child, tunVariable, files.tun)
	handOn(child, socketVariable, files.socket)
	return child, nil
}

// handOn has a child find an open file by its number in a variable. Without a file it does nothing.
func handOn(child *exec.Cmd, variable string, file *os.File) {
	if file == nil {
		return
	}
	number := 3 + len(child.ExtraFiles) // the first behind the three of each process
	child.ExtraFiles = append(child.ExtraFiles, file)
	child.Env = append(child.Environ(), fmt.Sprintf("%s=%d", variable, number))
}

// background starts child in a session of its own and returns once it is ready. What this process had opened of a
// device, its rings above all, would be of no use to child: so child opens it, and is told where to say so. Until
// then its output is the caller's.
func background(child *exec.Cmd) error {
	ready, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe from the background: %w", err)
	}
	defer ready.Close()
	handOn(child, readyVariable, tell)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Dir = "/"
	err = child.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		return child.Process.Release()
	}
	return lost(child.Wait())
}

// lost is the error for a child that has ended before it was ready.
func lost(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && exit.ExitCode() == 1 {
		return errSaid
	}
	return fmt.Errorf("the process in the background ended before it was ready (%w)", cause(err))
}

func cause(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// A waiter is who waits for this process to be ready: nobody, if it is nil.
type waiter struct{ pipe *os.File }

// findWaiter finds the one who started this process in the background.
func findWaiter() (*waiter, error) {
	value, there := os.LookupEnv(readyVariable)
	if !there {
		return nil, nil
	}
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil || fd <= 2 {
		return nil, fmt.Errorf("%s is %q, which mytun-wireguard sets for itself: unset it", readyVariable, value)
	}
	syscall.CloseOnExec(int(fd))
	return &waiter{os.NewFile(uintptr(fd), readyVariable)}, nil
}

// tell says that the interface is there. Afterwards the process writes to nobody's terminal, unless
// logs says that it shall. An error means that nobody waits any more.
func (w *waiter) tell(logs bool) error {
	if w == nil {
		return nil
	}
	if !logs {
		if err := discardOutput(); err != nil {
			return err
		}
	}
	_, err := w.pipe.Write([]byte{1})
	return errors.Join(err, w.pipe.Close())
}

// discardOutput puts /dev/null in the place of standard output and error.
func discardOutput() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, fd := range []int{unix.Stdout, unix.Stderr} {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("point file %d at %s: %w", fd, os.DevNull, err)
		}
	}
	return nil
}
