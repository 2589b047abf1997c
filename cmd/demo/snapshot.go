// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/mytun/mytun/internal/syscount"
	"github.com/mytun/mytun/pkg/mytunev"
)

// A snapshot is everything that is counted, at one moment.
type snapshot struct {
	at    time.Time
	tally tally
	stats mytunev.Stats
	calls syscount.Counts // nil without -syscalls
	lost  uint64          // calls that were not counted
}

// snapshot takes one. Calls come first: of a doorbell that is among them, the sleep of
// the kernel's side that it ended is among the statistics.
func (d *demo) snapshot() (snapshot, error) {
	s := snapshot{at: time.Now(), tally: d.loop.tally()}
	err := d.countCalls(&s)
	if err != nil {
		return s, err
	}
	if s.stats, err = d.device.Stats(); err != nil {
		return s, fmt.Errorf("read the device's statistics: %w", err)
	}
	return s, nil
}

// countCalls does so if anybody counts.
func (d *demo) countCalls(s *snapshot) (err error) {
	if d.counter == nil {
		return nil
	}
	if s.calls, err = d.counter.Counts(); err != nil {
		return err
	}
	s.lost, err = d.counter.Lost()
	return err
}

// sub returns what happened between earlier and s. Its time is that of s.
func (s snapshot) sub(earlier snapshot) snapshot {
	s.tally = s.tally.sub(earlier.tally)
	s.stats = subStats(s.stats, earlier.stats)
	if s.calls != nil {
		s.calls = s.calls.Sub(earlier.calls)
	}
	s.lost -= earlier.lost
	return s
}

func subStats(s, earlier mytunev.Stats) mytunev.Stats {
	s.KernelStats = subKernelStats(s.KernelStats, earlier.KernelStats)
	s.Wakeups -= earlier.Wakeups
	s.Batches -= earlier.Batches
	s.Frames -= earlier.Frames
	s.Doorbells -= earlier.Doorbells
	s.Malformed -= earlier.Malformed
	s.SpaceWaits -= earlier.SpaceWaits
	return s
}

func subKernelStats(s, earlier mytunev.KernelStats) mytunev.KernelStats {
	s.RxFrames -= earlier.RxFrames
	s.RxBytes -= earlier.RxBytes
	s.RxRingFull -= earlier.RxRingFull
	s.RxDropped -= earlier.RxDropped
	s.RxDoorbells -= earlier.RxDoorbells
	s.RxDoorbellsSuppressed -= min(s.RxDoorbellsSuppressed, earlier.RxDoorbellsSuppressed) // it may step back by one
	s.TxFrames -= earlier.TxFrames
	s.TxBytes -= earlier.TxBytes
	s.TxRefusedLength -= earlier.TxRefusedLength
	s.TxRefusedFlags -= earlier.TxRefusedFlags
	s.TxRefusedVNet -= earlier.TxRefusedVNet
	s.TxRefusedProtocol -= earlier.TxRefusedProtocol
	s.TxDroppedDown -= earlier.TxDroppedDown
	s.TxDroppedMemory -= earlier.TxDroppedMemory
	s.TxDoorbells -= earlier.TxDoorbells
	s.TxSpaceSignals -= earlier.TxSpaceSignals
	s.TxSpaceSuppressed -= earlier.TxSpaceSuppressed
	s.KthreadSleeps -= earlier.KthreadSleeps
	return s
}

// A drop is a reason to lose frames.
type drop struct {
	key, text string // for programs, for people
	frames    uint64
}

// drops lists every reason for which frames were lost.
func drops(s mytunev.Stats) []drop {
	all := []drop{
		{"rx_overflow", "too many frames waited for the rx ring", s.RxDropped},
		{"rx_malformed", "malformed in the rx ring", s.Malformed},
		{"tx_refused_length", "reply refused: length", s.TxRefusedLength},
		{"tx_refused_flags", "reply refused: flags", s.TxRefusedFlags},
		{"tx_refused_vnet", "reply refused: offload header", s.TxRefusedVNet},
		{"tx_refused_protocol", "reply refused: neither IPv4 nor IPv6", s.TxRefusedProtocol},
		{"tx_device_down", "reply dropped: the device was down", s.TxDroppedDown},
		{"tx_no_memory", "reply dropped: no memory in the kernel", s.TxDroppedMemory},
	}
	var some []drop
	for _, d := range all {
		if d.frames > 0 {
			some = append(some, d)
		}
	}
	return some
}

func totalDrops(s mytunev.Stats) uint64 {
	var n uint64
	for _, d := range drops(s) {
		n += d.frames
	}
	return n
}
