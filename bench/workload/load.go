// SPDX-License-Identifier: MIT

//go:build linux

package workload

import "sync/atomic"

// A source sends from start to stop, which waits for its end and returns what went wrong.
type source interface {
	start() error
	stop() error
}

// A load is the source that calls step again and again, until it fails.
type load struct {
	step    func() error
	stopped atomic.Bool
	end     chan error
}

// startLoad starts a load.
func startLoad(step func() error) *load {
	l := &load{step: step}
	l.start()
	return l
}

func (l *load) start() error {
	l.end = make(chan error, 1)
	go func() {
		var err error
		for err == nil && !l.stopped.Load() {
			err = l.step()
		}
		l.end <- err
	}()
	return nil
}

// stop waits for the step under way and returns what a step failed of.
func (l *load) stop() error {
	l.stopped.Store(true)
	return <-l.end
}
