// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// WithoutSignals runs f on a thread that gets no signal meanwhile. The Go runtime sends its own threads signals when it pleases, and there
// are system calls that a signal ends with a wrong result.
func WithoutSignals(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var everything, before unix.Sigset_t
	for i := range everything.Val {
		everything.Val[i] = ^everything.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &everything, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	defer func() { err = errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)) }()
	return f()
}
