// SPDX-License-Identifier: MIT

package mytunev

import "syscall"

// SyscallConn gives access to the file of the queue, for ioctls that this
// package has no method for. Its Control works; the function that it calls must
// not call Close. Its Read and Write, which would have to wait for a file that is
// neither read nor written, return ErrNotSupported.
func (q *Queue) SyscallConn() (syscall.RawConn, error) {
	if !q.open.Load() {
		return nil, ErrClosed
	}
	return rawConn{q.port.file}, nil
}

type rawConn struct{ file kernelFile }

func (c rawConn) Control(f func(fd uintptr)) error { return c.file.control(f) }

func (c rawConn) Read(func(fd uintptr) bool) error { return ErrNotSupported }

func (c rawConn) Write(func(fd uintptr) bool) error { return ErrNotSupported }
