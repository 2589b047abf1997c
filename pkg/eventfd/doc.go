// SPDX-License-Identifier: MIT

// Package eventfd wraps the Linux eventfd: a 64-bit counter behind a file
// descriptor that any thread, process or kernel module can add to and that
// becomes readable while it is not zero.
//
// An [EventFD] serves two kinds of waiting:
//
//   - a goroutine that calls [EventFD.Wait] parks in the runtime's network
//     poller, holds no thread, and obeys [EventFD.SetDeadline];
//   - a program with an epoll set of its own registers [EventFD.FD] there.
//     With EPOLLET every signal raises an event even if nobody ever reads the
//     counter, so a wake-up costs no system call beyond epoll_wait.
//
// The file joins the network poller at the first Wait, SetDeadline or SyscallConn, not
// before: a descriptor that is only watched by a private epoll set does not
// wake the runtime as well.
//
// On systems other than Linux the package builds, and [New] and [Wrap] fail
// with an error that wraps [errors.ErrUnsupported].
package eventfd
