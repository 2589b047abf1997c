// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
)

// actions are what can happen to a device, as often as they stand here.
var actions = []func(*host) error{
	(*host).kill, (*host).kill, (*host).kill,
	(*host).killAtWork,
	(*host).reopen, (*host).reopen,
	(*host).addQueues, (*host).addQueues,
	(*host).removeQueues, (*host).removeQueues,
	(*host).stopProcess,
	(*host).writeStreams,
}

// act lets traffic run for a while and then does something. What, and when, is the
// seed's choice.
func (h *host) act() error {
	if err := h.letGo(h.someTime(time.Second)); err != nil {
		return err
	}
	if err := actions[h.choice.IntN(len(actions))](h); err != nil {
		return err
	}
	return h.waits.check()
}

// someTime is short rather than long.
func (h *host) someTime(most time.Duration) time.Duration {
	return time.Duration(h.choice.Float64() * h.choice.Float64() * float64(most))
}

func (h *host) chooseRing() int { return 128 << 10 << h.choice.IntN(6) }

// chooseConfig is a way to open the device. Several queues, for one alone would not be
// attached to a device that may have several. Without back-pressure each frame has to be
// one: the device counts a super-packet that it drops once.
func (h *host) chooseConfig() mytunev.Config {
	c := mytunev.Config{
		Backend: mytunev.BackendMytun,
		Queues:  2 + h.choice.IntN(3), RxRing: h.chooseRing(), TxRing: h.chooseRing(),
		Backpressure: h.choice.IntN(3) > 0,
		LockThreads:  h.choice.IntN(2) == 0,
		Poll:         []time.Duration{0, -1, 20 * time.Microsecond, time.Millisecond}[h.choice.IntN(4)],
	}
	if offload := h.choice.IntN(2) == 0; offload && c.Backpressure {
		c.Offload = mytunev.AllOffloads
	}
	if h.choice.IntN(4) == 0 {
		c.WakeBytes = c.RxRing / 4
	}
	if h.choice.IntN(8) == 0 {
		c.BusyPoll = 20 * time.Microsecond
	}
	return c
}

// kill kills the worker, wherever it is, and starts another.
func (h *host) kill() error {
	if err := h.checkDrops(); err != nil {
		return err
	}
	drops, err := dropped()
	if err != nil {
		return err
	}
	if err := h.worker.signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("kill the worker: %w", err)
	}
	h.brake.on.Store(holdAll)
	if err := h.worker.awaitKilled(); err != nil {
		return err
	}
	// With back-pressure frames still wait outside of the device, for the next worker.
	// Without, that would have to be told apart what is dropped of these and of others.
	if !h.config.Backpressure {
		if err := h.emptyDevice(); err != nil {
			return err
		}
	}
	if err := h.endLife(drops); err != nil {
		return err
	}
	h.done.kills++
	return h.newLife(h.chooseConfig())
}

// emptyDevice takes the device down and up: nothing waits outside of it any more.
func (h *host) emptyDevice() error {
	err := h.waitAlone("the senders to stop", func() (bool, error) { return h.brake.holdsStill(holdHost), nil })
	if err != nil {
		return err
	}
	return bounceDevice()
}

// killAtWork kills the worker while it opens further queues.
func (h *host) killAtWork() error {
	words, err := opening("add", h.moreQueues())
	if err != nil {
		return err
	}
	h.loose.Store(1)
	if err := h.worker.order(words...); err != nil {
		return err
	}
	time.Sleep(h.someTime(20 * time.Millisecond))
	return h.kill()
}

// reopen lets the worker close everything, and open it with other rings and queues.
func (h *host) reopen() error {
	if err := h.settle(holdAll); err != nil {
		return err
	}
	if err := h.worker.tell("close"); err != nil {
		return err
	}
	h.more = nil
	h.done.reopenings++
	return h.open(h.chooseConfig())
}

// moreQueues is how to open the device once more: offloads and back-pressure are the
// device's, and stay.
func (h *host) moreQueues() mytunev.Config {
	c := h.chooseConfig()
	c.Backpressure, c.Offload = h.config.Backpressure, h.config.Offload
	return c
}

const mostAdditions = 3

// addQueues lets further queues come while traffic runs: flows move to them.
func (h *host) addQueues() error {
	c := h.moreQueues()
	if len(h.more) == mostAdditions {
		return nil
	}
	h.loose.Store(1)
	if err := h.worker.configure("add", c); err != nil {
		return err
	}
	h.more = append(h.more, c.Queues)
	h.done.additions += c.Queues
	return nil
}

// removeQueues takes the newest away, while traffic runs from the process; what is on its
// way to the process would end with them.
func (h *host) removeQueues() error {
	last := len(h.more) - 1
	if last < 0 {
		return nil
	}
	if err := h.settle(holdHost); err != nil {
		return err
	}
	if err := h.worker.tell("remove"); err != nil {
		return err
	}
	h.done.removals += h.more[last]
	h.more = h.more[:last]
	return nil
}

// stopProcess lets the process stand still: the rings fill, and senders are held up or
// their frames dropped.
func (h *host) stopProcess() error {
	if err := h.worker.signal(unix.SIGSTOP); err != nil {
		return fmt.Errorf("stop the worker: %w", err)
	}
	time.Sleep(h.someTime(time.Second))
	h.done.stops++
	return h.worker.signal(unix.SIGCONT)
}
