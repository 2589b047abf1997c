// SPDX-License-Identifier: MIT

//go:build linux

package device

import "golang.org/x/sys/unix"

// Fork makes a copy of the process that does nothing but hold on to what it inherited,
// descriptors and mappings, until it is killed. With a signal as end, the copy gets it
// when the thread that made it ends; with 0 it does not. The copy has this one thread and
// none of the Go runtime's, so it makes system calls alone.
//
//go:nosplit
func Fork(end unix.Signal) (pid int, errno unix.Errno) {
	child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || child != 0 {
		return int(child), errno
	}
	unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(end), 0)
	for {
		unix.RawSyscall(unix.SYS_PAUSE, 0, 0, 0)
	}
}
