// SPDX-License-Identifier: MIT

package mytunev

import "golang.org/x/sys/unix"

// pinThread binds the calling thread, which its goroutine keeps, to one CPU. undo
// gives it back those that it had.
func pinThread(cpu int) (undo func() error, err error) {
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return nil, err
	}
	return func() error { return unix.SchedSetaffinity(0, &before) }, nil
}
