// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"fmt"

	"github.com/mytun/mytun/bench/native"
	"golang.org/x/sys/unix"
)

// workers are the threads of this process that the kernel has made in it to serve its interface. What they spend is in the process's CPU time.
type workers []int

// findWorkers returns vhost-net's.
func findWorkers() (workers, error) { return named("/proc/self/task/[0-9]*/comm", "vhost-") }

// account makes what they spent the thread's, and takes it off the process's.
func (ids workers) account(w *native.Window) error {
	for _, id := range ids {
		ns, err := taskNS(id)
		if err != nil {
			return err
		}
		w.Thread += ns
		w.Process -= ns
	}
	return nil
}

// taskNS is the CPU time of a thread of this process until now. In schedstat what it spent since the last tick is missing, which is in the process's.
func taskNS(id int) (float64, error) {
	const schedPerThread = 2 | 4 // CPUCLOCK_SCHED, CPUCLOCK_PERTHREAD_MASK
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^id<<3|schedPerThread), &t); err != nil {
		return 0, fmt.Errorf("CPU time of thread %d: %w", id, err)
	}
	return float64(t.Nano()), nil
}
