// SPDX-License-Identifier: MIT

package mytunev

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A tunQueue plays the kernel's side of the two rings of a queue of stock tun: fill is
// called by whoever has the rx ring, and drain by whoever has the tx ring.
type tunQueue struct {
	fd     int
	header uint32 // bytes in front of each frame that is read or written: tunHeader or 0
	tap    bool

	// Who sleeps is woken while there is a frame, however long it has been there. Then a
	// look may be left out (see fill).
	awaited bool

	state *atomic.Uint32

	readFD, writeFD func(fd int, p []byte) (int, error) // unix.Read and unix.Write

	rx     ringMemory
	rxHead uint32 // our index: the producer's
	dry    bool   // see fill

	tx     ringMemory
	txTail uint32 // our index: the consumer's

	counters tunCounters
}

// tunCounters are what stock tun has of KernelStats.
type tunCounters struct {
	rxFrames, rxBytes, rxDropped atomic.Uint64
	txFrames, txBytes            atomic.Uint64
	refusedLength, refusedVNet   atomic.Uint64
	refusedProtocol              atomic.Uint64
	droppedDown, droppedMemory   atomic.Uint64
}

func (c *tunCounters) snapshot() KernelStats {
	return KernelStats{
		RxFrames:          c.rxFrames.Load(),
		RxBytes:           c.rxBytes.Load(),
		RxDropped:         c.rxDropped.Load(),
		TxFrames:          c.txFrames.Load(),
		TxBytes:           c.txBytes.Load(),
		TxRefusedLength:   c.refusedLength.Load(),
		TxRefusedVNet:     c.refusedVNet.Load(),
		TxRefusedProtocol: c.refusedProtocol.Load(),
		TxDroppedDown:     c.droppedDown.Load(),
		TxDroppedMemory:   c.droppedMemory.Load(),
	}
}

// port makes a port of q, but for its sleepers and its close.
func (q *tunQueue) port(file kernelFile) port {
	return port{
		rx: q.rx, tx: q.tx, maxFrame: tunFrameMax, state: q.state, vnet: q.header != 0,
		fill: q.fill, drain: q.drain, doorbell: noDoorbell{}, file: file,
	}
}

// detach marks q as one whose device is gone.
func (q *tunQueue) detach() { q.state.Or(stateDetached) }

// noDoorbell wakes a kernel that never sleeps.
type noDoorbell struct{}

func (noDoorbell) Signal() error { return nil }

// A tunFile is the file behind a queue of stock tun.
type tunFile struct {
	*openFile
	q *tunQueue
}

// stats implements kernelFile: stock tun has no counters for a queue, but nobody else
// reads or writes it.
func (f tunFile) stats() (s KernelStats, err error) {
	err = f.use(func(int) error {
		s = f.q.counters.snapshot()
		return nil
	})
	return s, err
}

// isRetry reports whether a call was interrupted by a signal before it did anything.
func isRetry(err error) bool { return err == unix.EINTR }
