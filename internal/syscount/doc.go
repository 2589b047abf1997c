// SPDX-License-Identifier: MIT

// Package syscount counts the system calls of a process with an eBPF program on
// the raw_syscalls:sys_enter tracepoint: by number and, for calls that read,
// write, wait or control, by file descriptor as well. What enters the kernel is
// counted where it enters, so nothing that the Go runtime or a library does goes
// unseen. Calls that the vDSO serves, such as reading the clock, never get there.
//
// The program is assembled at run time: it needs neither a compiler nor type
// information nor a mounted tracefs. It needs Linux 5.8, and CAP_BPF and
// CAP_PERFMON or root.
package syscount
