// SPDX-License-Identifier: MIT

package syscount

import "golang.org/x/sys/unix"

// waitCalls are the calls by file descriptor that only some architectures have.
var waitCalls = []int{unix.SYS_EPOLL_WAIT}

// archNames are the names of calls that only some architectures have.
var archNames = map[int]string{
	unix.SYS_ARCH_PRCTL: "arch_prctl",
	unix.SYS_EPOLL_WAIT: "epoll_wait",
	unix.SYS_FSTAT:      "fstat",
	unix.SYS_GETDENTS64: "getdents64",
	unix.SYS_LSEEK:      "lseek",
	unix.SYS_MMAP:       "mmap",
	unix.SYS_NEWFSTATAT: "newfstatat",
	unix.SYS_POLL:       "poll",
	unix.SYS_READLINK:   "readlink",
	unix.SYS_SELECT:     "select",
}
