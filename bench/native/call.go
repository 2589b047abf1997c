// SPDX-License-Identifier: MIT

//go:build linux

package native

import (
	"github.com/mytun/mytun/bench/result"
	"golang.org/x/sys/unix"
)

// CallMany makes so many system calls that do nothing, of which Go's scheduler is not told: what entering the kernel and leaving it costs.
func CallMany(n int) {
	for range n {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
}

func medianOf(values []float64) float64 {
	median, _, _ := result.Summarise(values)
	return median
}
