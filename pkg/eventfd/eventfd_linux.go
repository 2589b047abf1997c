// SPDX-License-Identifier: MIT

package eventfd

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// counterSize is the only size that reads and writes of an eventfd have.
const counterSize = 8

// An EventFD is an open eventfd. Its methods are safe for concurrent use. After
// Close, and in the zero value, they fail with an error that wraps [os.ErrClosed].
// A copy of an EventFD is the same EventFD.
type EventFD struct {
	h *handle // nil in the zero value
}

// A handle is what an EventFD and its copies share.
type handle struct {
	mu   sync.RWMutex // held for reading around every use of fd
	fd   int          // -1 once closed
	file *os.File     // owns fd from the first use of the runtime's poller on

	refused error // why the poller does not watch file
}

// none is the handle of every zero value: it is closed.
var none = &handle{fd: -1}

func (e *EventFD) handle() *handle {
	if e == nil || e.h == nil {
		return none
	}
	return e.h
}

// New creates an eventfd with counter 0. It is close-on-exec and non-blocking.
func New() (*EventFD, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: create: %w", err)
	}
	return &EventFD{&handle{fd: fd}}, nil
}

// Wrap makes an EventFD of fd, a descriptor of an eventfd that came from
// elsewhere, and sets O_NONBLOCK on it, which holds for every duplicate of it
// too. The EventFD owns fd from then on; on error the caller still does.
func Wrap(fd int) (*EventFD, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("eventfd: wrap descriptor %d: %w", fd, err)
	}
	return &EventFD{&handle{fd: fd}}, nil
}

// Dup returns a second EventFD on the same counter, with a close-on-exec
// descriptor of its own. Each of the two is to be closed.
func (e *EventFD) Dup() (*EventFD, error) {
	h := e.handle()
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.fd < 0 {
		return nil, closed("dup")
	}
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("eventfd: dup descriptor %d: %w", h.fd, err)
	}
	return &EventFD{&handle{fd: fd}}, nil
}

// FD returns the descriptor, to be registered in an epoll set or handed to the
// kernel, or -1 after Close. The EventFD keeps owning it: the caller must not
// close it, nor use it after Close.
func (e *EventFD) FD() int {
	h := e.handle()
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.fd
}

// Signal adds one to the counter and so wakes whoever waits. It neither blocks
// nor allocates. Like [EventFD.Add] it can fail with EAGAIN.
func (e *EventFD) Signal() error {
	return e.Add(1)
}

// Add adds n to the counter; it neither blocks nor allocates. It fails with an
// error that wraps EAGAIN if the counter would exceed 2^64-2: a waiter that
// reads the counter is awake by then. It fails with EINVAL if n is 2^64-1.
func (e *EventFD) Add(n uint64) error {
	h := e.handle()
	var buf [counterSize]byte
	binary.NativeEndian.PutUint64(buf[:], n)
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.fd < 0 {
		return closed("signal")
	}
	for {
		_, err := unix.Write(h.fd, buf[:])
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("eventfd: signal descriptor %d: %w", h.fd, err)
		}
	}
}

// Drain sets the counter to zero and returns what it was. It does not block: it
// returns 0 if there was no signal.
func (e *EventFD) Drain() (uint64, error) {
	h := e.handle()
	var buf [counterSize]byte
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.fd < 0 {
		return 0, closed("drain")
	}
	for {
		_, err := unix.Read(h.fd, buf[:])
		switch err {
		case nil:
			return binary.NativeEndian.Uint64(buf[:]), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, fmt.Errorf("eventfd: drain descriptor %d: %w", h.fd, err)
		}
	}
}

// Wait blocks until the counter is not zero, sets it to zero and returns what it
// was. Of several goroutines that wait, one gets the value. Wait fails with an
// error that wraps [os.ErrDeadlineExceeded] once the deadline has passed and with
// one that wraps [os.ErrClosed] when the EventFD is closed meanwhile.
func (e *EventFD) Wait() (uint64, error) {
	file, err := e.pollable("wait")
	if err != nil {
		return 0, err
	}
	var buf [counterSize]byte
	if _, err := file.Read(buf[:]); err != nil {
		return 0, fmt.Errorf("eventfd: wait: %w", err)
	}
	return binary.NativeEndian.Uint64(buf[:]), nil
}

// SetDeadline sets the time at which a Wait, running or to come, gives up. The
// zero time means never.
func (e *EventFD) SetDeadline(t time.Time) error {
	file, err := e.pollable("set deadline")
	if err != nil {
		return err
	}
	if err := file.SetReadDeadline(t); err != nil {
		return fmt.Errorf("eventfd: set deadline: %w", err)
	}
	return nil
}

// SyscallConn implements [syscall.Conn]. Read of what it returns calls its function,
// and while that returns false again after each [EventFD.Signal], of whatever
// process: no more than once for several, and also for one that came just before. It
// waits as Wait does, but leaves the counter as it is; the function may look for
// what the signals are about without a system call. One Read or Wait runs at a time,
// the others wait for their turn.
func (e *EventFD) SyscallConn() (syscall.RawConn, error) {
	file, err := e.pollable("get the raw connection")
	if err != nil {
		return nil, err
	}
	return file.SyscallConn()
}

// Close closes the descriptor and ends every Wait. It waits for calls of other
// methods that are under way. A second Close fails with [os.ErrClosed].
func (e *EventFD) Close() error {
	h := e.handle()
	h.mu.Lock()
	fd, file := h.fd, h.file
	h.fd = -1
	h.mu.Unlock()
	switch {
	case fd < 0:
		return closed("close")
	case file != nil: // waits for functions of SyscallConn's, which may use e
		return file.Close()
	}
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("eventfd: close descriptor %d: %w", fd, err)
	}
	return nil
}

// pollable returns the file that the runtime's poller watches.
func (e *EventFD) pollable(op string) (*os.File, error) {
	h := e.handle()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fd < 0 {
		return nil, closed(op)
	}
	if h.file == nil {
		h.file = os.NewFile(uintptr(h.fd), "eventfd")
		// What is not in the runtime's poller has no deadlines.
		if err := h.file.SetReadDeadline(time.Time{}); err != nil {
			h.refused = fmt.Errorf("watch descriptor %d: %w (is fs.epoll.max_user_watches reached?)", h.fd, err)
		}
	}
	if h.refused != nil {
		return nil, fmt.Errorf("eventfd: %s: %w", op, h.refused)
	}
	return h.file, nil
}

func closed(op string) error {
	return fmt.Errorf("eventfd: %s: %w", op, os.ErrClosed)
}
