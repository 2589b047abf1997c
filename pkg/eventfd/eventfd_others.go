// SPDX-License-Identifier: MIT

//go:build !linux

package eventfd

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

var errUnsupported = fmt.Errorf("eventfd: %w on %s", errors.ErrUnsupported, runtime.GOOS)

// An EventFD cannot exist on this system: it is Linux's.
type EventFD struct{ _ [0]func() }

// New fails: eventfds are Linux's.
func New() (*EventFD, error) { return nil, errUnsupported }

// Wrap fails: eventfds are Linux's.
func Wrap(fd int) (*EventFD, error) { return nil, errUnsupported }

// Dup fails: eventfds are Linux's.
func (e *EventFD) Dup() (*EventFD, error) { return nil, errUnsupported }

// FD returns -1.
func (e *EventFD) FD() int { return -1 }

// Signal fails: eventfds are Linux's.
func (e *EventFD) Signal() error { return errUnsupported }

// Add fails: eventfds are Linux's.
func (e *EventFD) Add(n uint64) error { return errUnsupported }

// Drain fails: eventfds are Linux's.
func (e *EventFD) Drain() (uint64, error) { return 0, errUnsupported }

// Wait fails: eventfds are Linux's.
func (e *EventFD) Wait() (uint64, error) { return 0, errUnsupported }

// SetDeadline fails: eventfds are Linux's.
func (e *EventFD) SetDeadline(t time.Time) error { return errUnsupported }

// SyscallConn fails: eventfds are Linux's.
func (e *EventFD) SyscallConn() (syscall.RawConn, error) { return nil, errUnsupported }

// Close fails: eventfds are Linux's.
func (e *EventFD) Close() error { return errUnsupported }
