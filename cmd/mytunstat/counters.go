// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"strconv"
	"strings"
)

// counters are a queue's, since it was opened, by the names of ethtool -S without the
// queue in front.
type counters map[string]uint64

// parseCounters reads n names, q0_rx_frames and so on, and their values. Others are left
// out.
func parseCounters(names, values []byte, n int) map[int]counters {
	queues := map[int]counters{}
	for i := 0; i < n; i++ {
		name := cString(names[i*stringLength:][:stringLength])
		queue, name, ok := cutQueue(name)
		if !ok {
			continue
		}
		if queues[queue] == nil {
			queues[queue] = counters{}
		}
		queues[queue][name] = native.Uint64(values[i*8:])
	}
	return queues
}

// cutQueue makes 3 and rx_frames of q3_rx_frames.
func cutQueue(name string) (queue int, counter string, ok bool) {
	number, counter, found := strings.Cut(strings.TrimPrefix(name, "q"), "_")
	queue, err := strconv.Atoi(number)
	return queue, counter, found && err == nil && queue >= 0 && strings.HasPrefix(name, "q")
}

// isDrop tells whether a counter is of packets that were lost. A module that is newer
// than this program may have more reasons.
func isDrop(name string) bool {
	return strings.Contains(name, "_dropped") || strings.Contains(name, "_refused_")
}

// mayStepBack has the counters of which that is told; any other that does is another
// queue's.
var mayStepBack = map[string]bool{"rx_doorbells_suppressed": true}

// since is what was counted after before. It is false if the counters began anew.
func (c counters) since(before counters) (counters, bool) {
	grown := counters{}
	for name, value := range c {
		old, ok := before[name]
		switch {
		case !ok:
		case value >= old:
			grown[name] = value - old
		case mayStepBack[name]:
			grown[name] = 0
		default:
			return nil, false
		}
	}
	return grown, true
}

// add adds another queue's.
func (c counters) add(other counters) {
	for name, value := range other {
		c[name] += value
	}
}

// drops is the sum of all reasons.
func (c counters) drops() (n uint64) {
	for name, value := range c {
		if isDrop(name) {
			n += value
		}
	}
	return n
}
