// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A host is the kernel's side, and the hand that kills.
type host struct {
	*ledger
	shared *os.File // the ledger's
	ends   [flows]*end
	seed   uint64
	choice *rand.Rand // of all actions
	length time.Duration
	start  time.Time

	worker *child
	config mytunev.Config // of what the worker opened first
	more   []int          // the queues of each time that it opened the device once more

	// The device's count of dropped frames, when this life began and when back-pressure
	// was last set.
	lifeDrops, modeDrops uint64

	traffic sync.WaitGroup
	stop    chan struct{} // closed when the host's senders are to end
	wrong   chan error    // what a sender or a receiver has found
	done    tally
	waits   waits
}

func newHost(length time.Duration, seed uint64) (*host, error) {
	l, file, err := newLedger()
	if err != nil {
		return nil, err
	}
	h := &host{
		ledger: l, shared: file, seed: seed, choice: rand.New(rand.NewPCG(seed, 0)),
		length: length, stop: make(chan struct{}), wrong: make(chan error, 2*flows),
	}
	for f := range h.ends {
		if h.ends[f], err = newEnd(l, f); err != nil {
			return nil, fmt.Errorf("socket of flow %d: %w", f, err)
		}
	}
	return h, nil
}

// run lets traffic go and does one thing after the other.
func (h *host) run() error {
	if err := h.waits.begin(); err != nil {
		return err
	}
	h.start = time.Now()
	h.brake.on.Store(holdAll)
	for _, e := range h.ends {
		h.traffic.Go(func() { h.report(e.receive()) })
		h.traffic.Go(func() { h.report(e.send(h.seed, h.stop)) })
	}
	if err := h.newLife(h.chooseConfig()); err != nil {
		return err
	}
	for next := 10 * time.Second; time.Since(h.start) < h.length; {
		if err := h.act(); err != nil {
			return err
		}
		if passed := time.Since(h.start); passed >= next {
			fmt.Printf("soak: %.0f s of %.0f: %s\n", passed.Seconds(), h.length.Seconds(), h.summary())
			next = passed.Truncate(10*time.Second) + 10*time.Second
		}
	}
	return nil
}

func (h *host) report(err error) {
	if err != nil {
		h.wrong <- err
	}
}

// end makes the last accounts and takes everything away.
func (h *host) end() error {
	if err := h.settle(holdAll); err != nil {
		return err
	}
	if err := h.worker.tell("close"); err != nil {
		return err
	}
	if err := h.worker.end(); err != nil {
		return fmt.Errorf("the worker's end: %w", err)
	}
	h.waits.watcher.Stop()
	close(h.stop)
	for _, e := range h.ends {
		e.conn.Close()
	}
	h.traffic.Wait()
	h.shared.Close()
	drops, err := dropped()
	if err != nil {
		return err
	}
	h.done.drops, h.lifeDrops, h.modeDrops = h.done.drops+drops-h.lifeDrops, drops, drops
	if err := deleteDevice(); err != nil {
		return fmt.Errorf("delete %s: %w", deviceName, err)
	}
	return h.found()
}

// found is what was found wrong in this process meanwhile.
func (h *host) found() error {
	select {
	case err := <-h.wrong:
		return err
	default:
		return nil
	}
}

// waitFor is the function of that name, as long as nothing is wrong elsewhere. If it is
// in vain it tells how far everything is.
func (h *host) waitFor(what string, state func() (bool, error)) error {
	err := waitFor(what, func() (bool, error) {
		if err := errors.Join(h.found(), h.worker.complaint()); err != nil {
			return false, err
		}
		return state()
	})
	if err != nil {
		return fmt.Errorf("%w; %s", err, h.situation())
	}
	return nil
}

// newLife starts a worker and lets traffic go. Everybody who sends is held up.
func (h *host) newLife(c mytunev.Config) error {
	for _, e := range h.ends {
		e.fresh.Store(true)
	}
	h.begin(h.life.Load() + 1)
	worker, err := startChild(h.shared)
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	h.worker, h.more = worker, nil
	if err := h.open(c); err != nil {
		return err
	}
	if err := h.fences(); err != nil {
		return err
	}
	if h.lifeDrops, err = dropped(); err != nil {
		return err
	}
	h.modeDrops = h.lifeDrops
	return nil
}

// open lets the worker open the device, and send. Nothing is on its way.
func (h *host) open(c mytunev.Config) error {
	gaps, length := uint32(0), queueLength
	if !c.Backpressure {
		gaps, length = 1, lossyLength
	}
	h.gaps.Store(gaps)
	if err := setQueueLength(length); err != nil {
		return err
	}
	h.config = c
	drops, err := dropped()
	if err != nil {
		return err
	}
	h.modeDrops = drops
	if err := h.worker.configure("open", c); err != nil {
		return err
	}
	return h.showQueues()
}

// showQueues lets the process send first: a flow comes back on the queue that it was sent
// from, and would change to it while frames are on their way on another.
func (h *host) showQueues() error {
	var before [flows]uint64
	for f := range flows {
		before[f] = h.up[f].received.Load()
	}
	h.brake.on.Store(holdHost)
	defer h.brake.on.Store(holdAll)
	return h.waitFor("a frame of every flow from the process", func() (bool, error) {
		for f := range flows {
			if h.up[f].received.Load() == before[f] {
				return false, nil
			}
		}
		return true, nil
	})
}

// fences waits until all frames of earlier lives are gone: each flow's next frame has
// arrived, which went the same way. It may itself be dropped, so others follow it.
func (h *host) fences() error {
	for _, e := range h.ends {
		newest, sent := uint64(0), time.Time{}
		err := h.waitFor("a frame to reach the new worker", func() (bool, error) {
			if time.Since(sent) > time.Second {
				newest, sent = newest+1, time.Now()
				return false, e.say(label{fenceFlow, h.life.Load(), newest}, e.peer)
			}
			return h.fence[e.flow].Load() == newest, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// marks waits until all that is in the sockets has been looked at.
func (h *host) marks() error {
	for _, e := range h.ends {
		newest, sent := e.marks.Load(), time.Time{}
		err := h.waitAlone("the sockets to be empty", func() (bool, error) {
			if time.Since(sent) > time.Second {
				newest, sent = newest+1, time.Now()
				return false, e.say(label{flow: markFlow, seq: newest}, e.host)
			}
			return e.marks.Load() == newest, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waitAlone is waitFor while there is no worker.
func (h *host) waitAlone(what string, state func() (bool, error)) error {
	return waitFor(what, func() (bool, error) {
		if err := h.found(); err != nil {
			return false, err
		}
		return state()
	})
}

// letGo lets traffic go for a while, in which every flow gets on.
func (h *host) letGo(d time.Duration) error {
	const each = 20
	h.brake.on.Store(holdNone)
	var up, down [flows]uint64
	for f := range flows {
		up[f], down[f] = h.up[f].received.Load()+each, h.down[f].received.Load()+each
	}
	begin := time.Now()
	return h.waitFor("every flow to get on", func() (bool, error) {
		for f := range flows {
			if h.up[f].received.Load() < up[f] || h.down[f].received.Load() < down[f] {
				return false, nil
			}
		}
		return time.Since(begin) >= d, nil
	})
}
