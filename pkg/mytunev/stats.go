// SPDX-License-Identifier: MIT

package mytunev

import "sync/atomic"

// Stats counts what happened since the device was opened. Rx is from the kernel
// to the process, tx from the process to the kernel.
type Stats struct {
	KernelStats

	Wakeups      uint64 // returns from epoll, waiting for frames or for room
	Batches      uint64 // calls of a Handler
	Frames       uint64 // frames handed to a Handler or returned by Read
	Doorbells    uint64 // doorbells rung, each a system call
	Malformed    uint64 // frames skipped because their header made no sense
	SpaceWaits   uint64 // times that a sender slept because the tx ring was full
	BusyPolls    uint64 // times an empty rx ring was looked at for Config.BusyPoll
	BusyPollHits uint64 // those that saw frames come, and saved a wake-up
}

// KernelStats are the module's counters, as MYTUN_IOC_GET_STATS reports them. Over
// stock tun they are what this process has read and written: RxFrames, RxBytes and all
// that begin with Tx and have to do with single frames, TxRefusedFlags and TxXDP
// excepted. RxDropped then counts only frames that no ring can carry; those that wait for
// the process in vain are in the interface's own statistics. The rest is zero.
type KernelStats struct {
	RxFrames              uint64 // frames put into the rx ring
	RxBytes               uint64 // their payload
	RxRingFull            uint64 // times the kernel found the rx ring full and waited
	RxDropped             uint64 // frames dropped because too many waited for the ring
	RxDoorbells           uint64 // rx doorbells sent
	RxDoorbellsSuppressed uint64 // batches that found the process awake
	TxFrames              uint64 // frames given to the network stack
	TxBytes               uint64 // their payload
	TxRefusedLength       uint64 // refused: empty, too long, or shorter than its headers
	TxRefusedFlags        uint64 // refused: unknown flag, or a reserved field not zero
	TxRefusedVNet         uint64 // refused: VNetHeader that does not fit frame or device
	TxRefusedProtocol     uint64 // refused: neither IPv4 nor IPv6 on a TUN device
	TxDroppedDown         uint64 // dropped: the interface was down
	TxDroppedMemory       uint64 // dropped: no memory
	TxDoorbells           uint64 // tx doorbells received
	TxSpaceSignals        uint64 // tx space signals sent
	TxSpaceSuppressed     uint64 // releases that found no process waiting for room
	KthreadSleeps         uint64 // times the queue's kernel thread went to sleep
	RxDirect              uint64 // frames that their own sender put into the ring
	RxQueueStops          uint64 // times the stack was told to hold its frames: Config.Backpressure
	TxXDP                 uint64 // frames that the device's XDP program kept from the stack: dropped, sent back or redirected
}

func (s *Stats) add(o Stats) {
	s.KernelStats.add(o.KernelStats)
	s.Wakeups += o.Wakeups
	s.Batches += o.Batches
	s.Frames += o.Frames
	s.Doorbells += o.Doorbells
	s.Malformed += o.Malformed
	s.SpaceWaits += o.SpaceWaits
	s.BusyPolls += o.BusyPolls
	s.BusyPollHits += o.BusyPollHits
}

func (s *KernelStats) add(o KernelStats) {
	s.RxFrames += o.RxFrames
	s.RxBytes += o.RxBytes
	s.RxRingFull += o.RxRingFull
	s.RxDropped += o.RxDropped
	s.RxDoorbells += o.RxDoorbells
	s.RxDoorbellsSuppressed += o.RxDoorbellsSuppressed
	s.TxFrames += o.TxFrames
	s.TxBytes += o.TxBytes
	s.TxRefusedLength += o.TxRefusedLength
	s.TxRefusedFlags += o.TxRefusedFlags
	s.TxRefusedVNet += o.TxRefusedVNet
	s.TxRefusedProtocol += o.TxRefusedProtocol
	s.TxDroppedDown += o.TxDroppedDown
	s.TxDroppedMemory += o.TxDroppedMemory
	s.TxDoorbells += o.TxDoorbells
	s.TxSpaceSignals += o.TxSpaceSignals
	s.TxSpaceSuppressed += o.TxSpaceSuppressed
	s.KthreadSleeps += o.KthreadSleeps
	s.RxDirect += o.RxDirect
	s.RxQueueStops += o.RxQueueStops
	s.TxXDP += o.TxXDP
}

// counters are this package's share of Stats. They are added to once a batch or
// once a sleep, never once a frame.
type counters struct {
	wakeups, batches, frames, doorbells, malformed, spaceWaits atomic.Uint64
	busyPolls, busyPollHits                                    atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Wakeups:      c.wakeups.Load(),
		Batches:      c.batches.Load(),
		Frames:       c.frames.Load(),
		Doorbells:    c.doorbells.Load(),
		Malformed:    c.malformed.Load(),
		SpaceWaits:   c.spaceWaits.Load(),
		BusyPolls:    c.busyPolls.Load(),
		BusyPollHits: c.busyPollHits.Load(),
	}
}
