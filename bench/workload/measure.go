// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/internal/syscount"
	"golang.org/x/sys/unix"
)

// patience bounds every wait for packets, far above what any takes on a busy machine.
const patience = 60 * time.Second

// How long a load that goes on by itself runs before it is measured, and then is.
const (
	settle = 300 * time.Millisecond
	window = time.Second
)

// A reading is all that is read before a measurement, and after it.
type reading struct {
	usage    Usage
	counters peer.Counters
	calls    syscount.Counts
	fds      []int // of the devices
}

// read takes a reading; dev may be nil.
func (e *Env) read(dev ...peer.Device) (r reading, err error) {
	for _, d := range dev {
		c, err := d.Counters()
		if err != nil {
			return r, err
		}
		r.counters = r.counters.Add(c)
		r.fds = append(r.fds, d.FDs()...)
	}
	if e.Calls != nil {
		if r.calls, err = e.Calls.Counts(); err != nil {
			return r, err
		}
	}
	r.usage, err = e.usage()
	return r, err
}

// samples are what a contestant's work for so many packets of that size cost between two readings.
func (e *Env) samples(p peer.Peer, from, to reading, packets, size int, base float64) []Sample {
	if e.Calls != nil {
		return callSamples(p.Name, to.calls.Sub(from.calls), to.fds, packets)
	}
	s := e.costs(p.Name, to.usage.Sub(from.usage), packets, size, base)
	if p.Rings {
		rung := float64(to.counters.Doorbells - from.counters.Doorbells)
		s = append(s, Sample{p.Name, result.MetricDoorbells, "1/packet", rung / float64(packets)})
	}
	return s
}

// callSamples are the system calls a packet: all of them, and those that read or write packets.
func callSamples(name string, calls syscount.Counts, fds []int, packets int) []Sample {
	all, moving := uint64(0), uint64(0)
	for call, n := range calls {
		all += n
		switch call.Number {
		case unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV:
			if slices.Contains(fds, call.FD) {
				moving += n
			}
		}
	}
	return []Sample{
		{name, result.MetricSyscalls, "1/packet", float64(all) / float64(packets)},
		{name, result.MetricReadWrite, "1/packet", float64(moving) / float64(packets)},
	}
}

// watchWhile is watch while a source sends.
func (e *Env) watchWhile(from source, p peer.Peer, size int, count func() (int, error), dev ...peer.Device) ([]Sample, error) {
	if err := from.start(); err != nil {
		return nil, err
	}
	s, err := e.watch(p, size, count, dev...)
	return s, errors.Join(err, from.stop())
}

// watch measures a load that goes on by itself: count tells how many packets have arrived so far.
func (e *Env) watch(p peer.Peer, size int, count func() (int, error), dev ...peer.Device) ([]Sample, error) {
	before, err := count()
	if err != nil {
		return nil, err
	}
	// A generator says that it is to start, not that it has.
	if _, err := awaitMore(count, before); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	first, err := count()
	if err != nil {
		return nil, err
	}
	from, err := e.read(dev...)
	if err != nil {
		return nil, err
	}
	time.Sleep(window)
	last, err := awaitMore(count, first)
	if err != nil {
		return nil, err
	}
	to, err := e.read(dev...)
	if err != nil {
		return nil, err
	}
	return e.samples(p, from, to, last-first, size, 0), nil
}

// awaitMore returns the count once it is above first.
func awaitMore(count func() (int, error), first int) (int, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := count(); n > first || err != nil {
			return n, err
		}
	}
	return 0, fmt.Errorf("nothing arrived in %v", patience)
}
