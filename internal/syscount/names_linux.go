// SPDX-License-Identifier: MIT

package syscount

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// readCalls and writeCalls are the system calls that move data through a file
// descriptor, which is their first argument.
var (
	readCalls = []int{
		unix.SYS_READ, unix.SYS_READV, unix.SYS_PREAD64, unix.SYS_PREADV, unix.SYS_PREADV2,
		unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_RECVMMSG,
	}
	writeCalls = []int{
		unix.SYS_WRITE, unix.SYS_WRITEV, unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_PWRITEV2,
		unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
	}
)

// callsByFD are the calls that are told apart by file descriptor.
var callsByFD = slices.Concat(readCalls, writeCalls, waitCalls, []int{
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_IOCTL,
})

// IsRead reports whether c moves data from a file descriptor: read and its kin.
func (c Call) IsRead() bool { return slices.Contains(readCalls, c.Number) }

// IsWrite reports whether c moves data to a file descriptor: write and its kin.
func (c Call) IsWrite() bool { return slices.Contains(writeCalls, c.Number) }

// Name returns the name of the system call, or its number if it is an unusual
// one.
func (c Call) Name() string {
	if name, ok := names[c.Number]; ok {
		return name
	}
	return fmt.Sprintf("syscall %d", c.Number)
}

// names are the calls that a Go program is likely to make.
var names = map[int]string{
	unix.SYS_BPF:               "bpf",
	unix.SYS_BRK:               "brk",
	unix.SYS_CLOCK_GETTIME:     "clock_gettime",
	unix.SYS_CLOCK_NANOSLEEP:   "clock_nanosleep",
	unix.SYS_CLONE:             "clone",
	unix.SYS_CLOSE:             "close",
	unix.SYS_CONNECT:           "connect",
	unix.SYS_DUP:               "dup",
	unix.SYS_DUP3:              "dup3",
	unix.SYS_EPOLL_CREATE1:     "epoll_create1",
	unix.SYS_EPOLL_CTL:         "epoll_ctl",
	unix.SYS_EPOLL_PWAIT:       "epoll_pwait",
	unix.SYS_EVENTFD2:          "eventfd2",
	unix.SYS_EXIT:              "exit",
	unix.SYS_EXIT_GROUP:        "exit_group",
	unix.SYS_FUTEX:             "futex",
	unix.SYS_GETPID:            "getpid",
	unix.SYS_GETTID:            "gettid",
	unix.SYS_GETTIMEOFDAY:      "gettimeofday",
	unix.SYS_IOCTL:             "ioctl",
	unix.SYS_IO_URING_ENTER:    "io_uring_enter",
	unix.SYS_KILL:              "kill",
	unix.SYS_MADVISE:           "madvise",
	unix.SYS_MPROTECT:          "mprotect",
	unix.SYS_MUNMAP:            "munmap",
	unix.SYS_NANOSLEEP:         "nanosleep",
	unix.SYS_OPENAT:            "openat",
	unix.SYS_PPOLL:             "ppoll",
	unix.SYS_PREAD64:           "pread64",
	unix.SYS_PREADV:            "preadv",
	unix.SYS_PREADV2:           "preadv2",
	unix.SYS_PRCTL:             "prctl",
	unix.SYS_PWRITE64:          "pwrite64",
	unix.SYS_PWRITEV:           "pwritev",
	unix.SYS_PWRITEV2:          "pwritev2",
	unix.SYS_READ:              "read",
	unix.SYS_READLINKAT:        "readlinkat",
	unix.SYS_READV:             "readv",
	unix.SYS_RECVFROM:          "recvfrom",
	unix.SYS_RECVMMSG:          "recvmmsg",
	unix.SYS_RECVMSG:           "recvmsg",
	unix.SYS_RESTART_SYSCALL:   "restart_syscall",
	unix.SYS_RT_SIGACTION:      "rt_sigaction",
	unix.SYS_RT_SIGPROCMASK:    "rt_sigprocmask",
	unix.SYS_RT_SIGRETURN:      "rt_sigreturn",
	unix.SYS_SCHED_GETAFFINITY: "sched_getaffinity",
	unix.SYS_SCHED_YIELD:       "sched_yield",
	unix.SYS_SENDMMSG:          "sendmmsg",
	unix.SYS_SENDMSG:           "sendmsg",
	unix.SYS_SENDTO:            "sendto",
	unix.SYS_SETITIMER:         "setitimer",
	unix.SYS_SIGALTSTACK:       "sigaltstack",
	unix.SYS_SOCKET:            "socket",
	unix.SYS_TGKILL:            "tgkill",
	unix.SYS_TIMER_CREATE:      "timer_create",
	unix.SYS_TIMER_SETTIME:     "timer_settime",
	unix.SYS_WRITE:             "write",
	unix.SYS_WRITEV:            "writev",
}

func init() {
	for number, name := range archNames {
		names[number] = name
	}
}
