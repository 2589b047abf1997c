// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Pause is a system call that waits for ever if all its arguments are 0: ppoll of no
// descriptors without a timeout. Not every architecture has pause.
const Pause = unix.SYS_PPOLL

// Fork makes a copy of the process that does nothing but hold on to what it inherited,
// descriptors and mappings, until it is killed. With a signal as end, the copy gets it
// when the thread that made it ends; with 0 it does not.
func Fork(end unix.Signal) (pid int, errno unix.Errno) {
	return ForkAnd(end, Pause, 0, 0, 0)
}

// ForkAnd is Fork of a copy that makes one system call again and again, until it fails.
// The copy has this one thread and none of the Go runtime's, so it makes system calls
// alone.
//
//go:nosplit
//go:norace
func ForkAnd(end unix.Signal, call, a, b, c uintptr) (pid int, errno unix.Errno) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || child != 0 {
		return int(child), errno
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(end), 0)
	for errno == 0 {
		_, _, errno = unix.RawSyscall(call, a, b, c)
	}
	for {
		unix.RawSyscall(Pause, 0, 0, 0)
	}
}

// KillAndWait kills a process, whosever child it is, and returns when it has ended: it
// holds nothing any more.
func KillAndWait(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	_, err = Restart(func() (int, error) { return unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) })
	return err
}
