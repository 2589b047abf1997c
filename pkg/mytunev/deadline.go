// SPDX-License-Identifier: MIT

package mytunev

import (
	"sync"
	"time"
)

// A deadline is a time that can be changed while others wait for it. The zero
// value never passes, nor does a nil pointer. While its time is to come, a
// timer keeps it, and kick, from being freed.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	epoch  uint64        // counts calls of set, to tell an old timer's call
	passed bool          // the time is over
	event  chan struct{} // closed when it passes or is changed; nil until asked for
}

// set changes the time, zero meaning never. kick is called after every change
// and when the time has passed, possibly on another goroutine.
func (d *deadline) set(t time.Time, kick func()) {
	d.mu.Lock()
	d.epoch++
	epoch := d.epoch
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(t)
	d.passed = !t.IsZero() && left <= 0
	if !t.IsZero() && left > 0 {
		d.timer = time.AfterFunc(left, func() { d.expire(epoch, kick) })
	}
	d.announce()
	d.mu.Unlock()
	kick()
}

func (d *deadline) expire(epoch uint64, kick func()) {
	d.mu.Lock()
	current := d.epoch == epoch
	if current {
		d.passed = true
		d.announce()
	}
	d.mu.Unlock()
	if current {
		kick()
	}
}

// announce wakes those who wait for changed. The caller holds mu.
func (d *deadline) announce() {
	if d.event != nil {
		close(d.event)
		d.event = nil
	}
}

// state reports whether the time is over, and returns a channel that is closed
// when that may have changed.
func (d *deadline) state() (passed bool, changed <-chan struct{}) {
	if d == nil {
		return false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.event == nil {
		d.event = make(chan struct{})
	}
	return d.passed, d.event
}

// over reports whether the time is over.
func (d *deadline) over() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}
