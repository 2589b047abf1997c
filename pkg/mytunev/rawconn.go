// SPDX-License-Identifier: MIT

package mytunev

import "syscall"

// SyscallConn gives access to the file of the queue, for ioctls that this
// package has no method for. Its Control works. Close does not wait for the function
// that Control calls: the file stays open until that has returned, and the device
// with it. Its Read and Write, which would have to wait for a file that is
// neither read nor written, return ErrNotSupported.
func (q *Queue) SyscallConn() (syscall.RawConn, error) {
	if !q.open.Load() {
		return nil, ErrClosed
	}
	return rawConn{q}, nil
}

// A rawConn has the queue, and so the device, which is not to be freed before.
type rawConn struct{ q *Queue }

func (c rawConn) Control(f func(fd uintptr)) error {
	if f == nil {
		return errNoFunction
	}
	return c.q.port.file.control(f)
}

func (c rawConn) Read(func(fd uintptr) bool) error { return ErrNotSupported }

func (c rawConn) Write(func(fd uintptr) bool) error { return ErrNotSupported }
