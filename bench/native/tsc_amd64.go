// SPDX-License-Identifier: MIT

package native

import (
	"fmt"
	"math"
	"time"
)

// TSC reads the processor's time stamp counter, the same on both sides of the border between host and guest.
func TSC() uint64

// frequency measures the time stamp counter against the system's clock, in kHz.
func frequency() (khz float64, err error) {
	const length = 200 * time.Millisecond
	tsc0, time0 := together()
	time.Sleep(length)
	tsc1, time1 := together()
	khz = float64(tsc1-tsc0) * 1e6 / float64(time1.Sub(time0))
	if khz < 1e6 || khz > 1e7 {
		return 0, fmt.Errorf("the time stamp counter has %.0f kHz: the guest's kernel wants one of 1 to 10 GHz", khz)
	}
	return math.Round(khz), nil
}

// together reads both clocks at once: of many readings the one with the least between them.
func together() (tsc uint64, at time.Time) {
	closest := uint64(math.MaxUint64)
	for range 100 {
		before := TSC()
		now := time.Now()
		if between := TSC() - before; between < closest {
			closest, tsc, at = between, before+between/2, now
		}
	}
	return tsc, at
}
