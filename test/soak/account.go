// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"fmt"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A tally is what happened in the lives that are over.
type tally struct {
	up, down                   sum
	drops, lost                uint64 // counted by the device; gone with a worker
	kills, reopenings          int
	additions, removals, stops int // of queues; of the process
	streams                    int // written to another device
}

// settle holds senders up and makes up the accounts: everything has arrived, or was
// counted by who dropped it.
func (h *host) settle(hold uint32) error {
	h.brake.on.Store(hold)
	if err := h.waitFor("the senders to stop", func() (bool, error) { return h.brake.holds(hold), nil }); err != nil {
		return err
	}
	if err := h.waitFor("all frames to arrive", func() (bool, error) { return h.arrived(hold) }); err != nil {
		return err
	}
	h.loose.Store(0)
	return h.checkStats()
}

func (h *host) arrived(hold uint32) (bool, error) {
	if err := h.checkDrops(); err != nil {
		return false, err
	}
	drops, err := dropped()
	if err != nil {
		return false, err
	}
	down, up := sumOf(&h.down), sumOf(&h.up)
	if down.open() < drops-h.lifeDrops {
		return false, fmt.Errorf("the device has dropped more than was lost")
	}
	return down.open() == drops-h.lifeDrops && (hold != holdAll || up.open() == 0), nil
}

// checkDrops: a device that holds its senders up drops nothing.
func (h *host) checkDrops() error {
	drops, err := dropped()
	if err == nil && h.config.Backpressure && drops != h.modeDrops {
		err = fmt.Errorf("%d frames were dropped in spite of back-pressure; %s", drops-h.modeDrops, h.situation())
	}
	return err
}

// checkStats: the kernel refuses nothing of what a good process sends, and drops nothing
// of it while the interface is up.
func (h *host) checkStats() error {
	queues, err := h.workerStats()
	if err != nil {
		return err
	}
	for _, s := range queues {
		if s.TxRefusedLength+s.TxRefusedFlags+s.TxRefusedVNet+s.TxRefusedProtocol != 0 ||
			s.TxDroppedDown+s.TxDroppedMemory+s.Malformed != 0 || h.config.Backpressure && s.RxDropped != 0 {
			return fmt.Errorf("frames were refused or dropped: %+v", s)
		}
	}
	return nil
}

// workerStats are those of all that the worker has opened.
func (h *host) workerStats() (all []mytunev.Stats, err error) {
	if err := h.worker.tell("stats"); err != nil {
		return nil, err
	}
	return all, json.Unmarshal([]byte(h.worker.said), &all)
}

// endLife makes up the accounts of a worker that was killed, when the device had dropped
// so many frames: what came was the begin of what was sent, and the rest is lost.
func (h *host) endLife(drops uint64) error {
	err := h.waitAlone("the senders to stop", func() (bool, error) { return h.brake.holds(holdHost), nil })
	if err == nil {
		err = h.marks()
	}
	if err != nil {
		return err
	}
	up, down := sumOf(&h.up), sumOf(&h.down)
	drops -= h.lifeDrops
	h.done.up.add(up)
	h.done.down.add(down)
	h.done.drops += drops
	h.done.lost += up.open() + down.open() - drops
	return nil
}

// situation is how far everything is, for who has to find out why.
func (h *host) situation() string {
	text := fmt.Sprintf("life %d, %+v and %d queues more, held %d, senders %v", h.life.Load(), h.config, h.more, h.brake.on.Load(), h.brake.states())
	for f := range flows {
		text += fmt.Sprintf("; flow %d to the process %d of %d, from it %d of %d", f,
			h.down[f].received.Load(), h.down[f].sent.Load(), h.up[f].received.Load(), h.up[f].sent.Load())
	}
	drops, err := dropped()
	text += fmt.Sprintf("; dropped %d (%v)", drops-h.lifeDrops, err)
	queues, err := h.workerStats()
	return text + fmt.Sprintf("; the worker's queues: %+v (%v)", queues, err)
}

// summary is all numbers so far.
func (h *host) summary() string {
	d, frames := h.done, sum{}
	for _, s := range []sum{d.up, d.down, sumOf(&h.up), sumOf(&h.down)} {
		frames.add(s)
	}
	drops, inSpite := d.drops, uint64(0)
	if now, err := dropped(); err == nil {
		drops += now - h.lifeDrops
		if h.config.Backpressure {
			inSpite = now - h.modeDrops
		}
	}
	return fmt.Sprintf("seed %d, %d frames, %d bytes, %d kills (%d frames lost in them, of which %d came to a later worker), %d reopenings, %d queues added, %d removed, %d stops, %d streams written beside; others waited at most for %v (beside stock tun for %v); "+
		"lost in the device: %d with back-pressure, %d without it and counted",
		h.seed, frames.received, frames.bytes, d.kills, d.lost, h.late.Load(), d.reopenings, d.additions, d.removals, d.stops, d.streams, h.waits.longest, h.waits.stock, inSpite, drops-inSpite)
}
