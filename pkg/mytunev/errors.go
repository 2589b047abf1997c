// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"os"
)

// Errors that callers tell apart with [errors.Is]. The errors of [Open] wrap a
// syscall.Errno besides, and waits that run out of time wrap
// [os.ErrDeadlineExceeded].
var (
	// ErrClosed is returned after Close; it wraps [os.ErrClosed].
	ErrClosed = sentinel("mytunev: queue closed", os.ErrClosed)

	// ErrDetached is returned once the network device is gone: deleted by
	// hand or together with its network namespace. All that is left to do is
	// Close.
	ErrDetached = sentinel("mytunev: the network device was deleted", nil)

	// ErrRingBroken is returned once one side found indices or lengths in the
	// shared memory that make no sense. The queue carries nothing any more.
	// Either this process wrote into ring memory that it did not own (a slice
	// kept beyond its time), or the module and this package disagree.
	ErrRingBroken = sentinel("mytunev: ring broken", nil)

	// ErrFull is returned by Reserve when the tx ring has no room; it wraps
	// EAGAIN.
	ErrFull = sentinel("mytunev: tx ring full", errAgain)

	// ErrTooLong is returned for a frame that no ring of this queue can carry;
	// it wraps EMSGSIZE.
	ErrTooLong = sentinel("mytunev: frame too long", errMsgSize)

	// ErrNotSupported is returned for what this system or this device cannot
	// do; it wraps [errors.ErrUnsupported].
	ErrNotSupported = sentinel("mytunev: not supported", errors.ErrUnsupported)

	// ErrNoModule is returned by Open when this system, or this container, has no
	// mytun: the device node is not there, or has no module behind it. It wraps
	// ErrNotSupported; the error of Open also wraps the syscall.Errno that the node
	// gave, ENOENT, ENODEV or ENXIO, and says what to do.
	ErrNoModule = sentinel("mytunev: no module", ErrNotSupported)
)

// Mistakes of the caller that no program tells apart.
var (
	errEmpty         = errors.New("mytunev: empty frame")
	errNoReservation = errors.New("mytunev: Commit without Reserve")
	errShortReserve  = errors.New("mytunev: Commit of more bytes than were reserved")
	errReserved      = errors.New("mytunev: this would wait for others, who may wait for an open reservation (Commit it first, or a Commit of 0 to drop it)")
	errNested        = errors.New("mytunev: this would wait for a Handler from within another function that a queue called (call it from a goroutine of its own)")
	errNoFunction    = errors.New("mytunev: the function is nil")
	errGoexit        = errors.New("mytunev: a Handler ended the goroutine that it was called on (runtime.Goexit)")
	errNoFile        = errors.New("mytunev: OpenFile without a file")
	errNoContext     = errors.New("mytunev: the context is nil")
	errSegmentation  = sentinel("mytunev: the kernel's tun driver does not take such a super-packet (cut it up: package gso)", errors.ErrUnsupported)
	errExpired       = errors.New("mytunev: Batch or Tx used after its function returned")
)

// A sentinelError is an error value that belongs to a wider class.
type sentinelError struct {
	text  string
	class error
}

func sentinel(text string, class error) error { return &sentinelError{text, class} }

func (e *sentinelError) Error() string { return e.text }

func (e *sentinelError) Unwrap() error { return e.class }

// A classedError is err, with its text, and one of the sentinels besides.
type classedError struct {
	error
	class error
}

func (e *classedError) Unwrap() []error { return []error{e.error, e.class} }

// opError says what failed on what, why, and what to do about it.
func opError(op, object string, err error, hint string) error {
	if hint == "" {
		return fmt.Errorf("mytunev: %s %s: %w", op, object, err)
	}
	return fmt.Errorf("mytunev: %s %s: %w (%s)", op, object, err, hint)
}
