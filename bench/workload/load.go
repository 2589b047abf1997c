// SPDX-License-Identifier: MIT

//go:build linux

package workload

import "sync/atomic"

// A load is work that is done again and again until it is stopped.
type load struct {
	stopped atomic.Bool
	end     chan error
}

// startLoad calls step until stop, or until it fails.
func startLoad(step func() error) *load {
	l := &load{end: make(chan error, 1)}
	go func() {
		var err error
		for err == nil && !l.stopped.Load() {
			err = step()
		}
		l.end <- err
	}()
	return l
}

// stop waits for the step under way and returns what a step failed of.
func (l *load) stop() error {
	l.stopped.Store(true)
	return <-l.end
}
