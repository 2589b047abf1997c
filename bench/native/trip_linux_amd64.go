// SPDX-License-Identifier: MIT

package native

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tripPeriod = 20 * time.Millisecond
	// A sample takes 30 us near and 150 us far: little of a window, since the CPUs are needed there.
	tripRounds = 5
	trips      = 100
	// tripPatience is how long one thread spins for the other: without a right to real time, that may have to wait for its CPU.
	tripPatience = 3 * time.Millisecond
)

// A court is where two threads, each on a CPU of its own, play ping-pong with a cache line.
type court struct {
	_     [128]byte
	ball  atomic.Uint32
	_     [128]byte
	ready atomic.Uint32 // the number of the game for which the second thread has come, or begun
	_     [128]byte
	over  atomic.Uint32 // the number of the last game that has ended
	_     [128]byte
	khz   float64
	stop  atomic.Bool
	start unix.Timespec
}

// begun is what ready holds while a game is played: the second thread may no longer leave.
const begun = 1 << 31

// watchTrips plays at every tripPeriod on CPUs 0 and 1, until stop is closed. It calls played after each game that took place, before the next.
func watchTrips(khz float64, stop <-chan struct{}, played func(Trip)) error {
	c := &court{khz: khz}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &c.start); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	var errs [2]error
	var players sync.WaitGroup
	players.Go(func() {
		errs[0] = c.player(0, func(game uint32) {
			for _, trip := range c.serve(game) {
				played(trip)
			}
		})
	})
	players.Go(func() { errs[1] = c.player(1, c.answer) })
	<-stop
	c.stop.Store(true)
	players.Wait()
	return firstOf(errs[:])
}

func firstOf(errs []error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// player plays its part of a game at each period, from a thread that is not used afterwards.
func (c *court) player(cpu int, play func(game uint32)) error {
	runtime.LockOSThread()
	if err := pinThread(cpu); err != nil {
		return err
	}
	// A right that few have: without it a game begins when the guest lets it.
	unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	for game := uint32(1); !c.stop.Load(); game++ {
		at := unix.NsecToTimespec(c.start.Nano() + int64(game)*int64(tripPeriod))
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
		}
		play(game)
	}
	return nil
}

func pinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("use CPU %d, which the guest needs too: %w", cpu, err)
	}
	return nil
}

// serve is the first player's part: it measures. There is no sample if the other does not come in time.
func (c *court) serve(game uint32) []Trip {
	end := TSC() + c.ticks(tripPatience)
	for !c.ready.CompareAndSwap(game, begun) {
		if TSC() > end {
			c.over.Store(game)
			return nil
		}
	}
	shortest := ^uint64(0)
	for range tripRounds {
		from := TSC()
		for range trips {
			c.ball.Store(1)
			for c.ball.Load() != 0 {
			}
		}
		shortest = min(shortest, TSC()-from)
	}
	c.over.Store(game)
	return []Trip{{At: TSC(), NS: float64(shortest) * 1e6 / c.khz / trips}}
}

// answer is the second player's: it gives the ball back, until the game is over. Should the first not come, it leaves.
func (c *court) answer(game uint32) {
	c.ready.Store(game)
	end := TSC() + c.ticks(tripPatience)
	for {
		if c.ball.Load() == 1 {
			c.ball.Store(0)
			continue
		}
		if c.over.Load() >= game || TSC() > end && c.leave(game) {
			return
		}
	}
}

// leave withdraws from a game unless it has begun.
func (c *court) leave(game uint32) bool { return c.ready.CompareAndSwap(game, 0) }

func (c *court) ticks(d time.Duration) uint64 { return uint64(float64(d) * c.khz / 1e6) }
