// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flows is how many there are in each direction. The first of the port numbers of both
// sides are those of flow 0.
const (
	flows     = 4
	hostPorts = 7000
	peerPorts = 9000
)

// A way is what became of the frames of one flow in one direction, in one life.
type way struct {
	sent     atomic.Uint64 // by who sends: up, before it is shown to the kernel
	received atomic.Uint64 // by who receives, after it was checked
	bytes    atomic.Uint64 // of the payloads received
	_        [5]uint64     // a cache line each
}

// A ledger is what both processes write to.
type ledger struct {
	up, down [flows]way
	life     atomic.Uint32
	fence    [flows]atomic.Uint64 // the newest of each flow that reached the worker
	loose    atomic.Uint32        // queues came or went: see sequence
	gaps     atomic.Uint32        // the device may drop frames: see sequence
	late     atomic.Uint64        // frames of earlier lives that came in a later one
	brake    brake
}

// A brake holds up those who send. Each of them has a state, the host's first.
type brake struct {
	on    atomic.Uint32
	state [2 * flows]atomic.Uint32
}

// Whom a brake holds up.
const (
	holdNone = iota
	holdHost
	holdAll
)

// What a sender is doing.
const (
	running = iota
	parked
	sending // the frame is in the ledger, and the system call on its way
)

// mayGo is asked by a sender before each frame or batch.
func (b *brake) mayGo(sender int) bool {
	b.state[sender].Store(running) // before the look: who sees another state knows of the look's result
	if on := b.on.Load(); on == holdNone || on == holdHost && sender >= flows {
		return true
	}
	b.state[sender].Store(parked)
	return false
}

// holds reports whether all who are to be held up have stopped. They put nothing into the
// ledger any more.
func (b *brake) holds(hold uint32) bool {
	return b.none(hold, running)
}

// holdsStill reports besides that none of them is in a system call.
func (b *brake) holdsStill(hold uint32) bool {
	return b.none(hold, running) && b.none(hold, sending)
}

func (b *brake) none(hold, state uint32) bool {
	held := b.state[:]
	if hold == holdHost {
		held = held[:flows]
	}
	for i := range held {
		if held[i].Load() == state {
			return false
		}
	}
	return true
}

func (b *brake) states() (all [2 * flows]uint32) {
	for i := range all {
		all[i] = b.state[i].Load()
	}
	return all
}

// newLedger makes shared memory, and the file to hand it on.
func newLedger() (*ledger, *os.File, error) {
	fd, err := unix.MemfdCreate("soak", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Ftruncate(fd, int64(unsafe.Sizeof(ledger{}))); err != nil {
		return nil, nil, err
	}
	l, err := mapLedger(fd)
	return l, os.NewFile(uintptr(fd), "ledger"), err
}

func mapLedger(fd int) (*ledger, error) {
	b, err := unix.Mmap(fd, 0, int(unsafe.Sizeof(ledger{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*ledger)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// begin makes the ledger that of a new life. Nobody sends or receives meanwhile.
func (l *ledger) begin(life uint32) {
	for f := range flows {
		for _, w := range []*way{&l.up[f], &l.down[f]} {
			w.sent.Store(0)
			w.received.Store(0)
			w.bytes.Store(0)
		}
	}
	for f := range flows {
		l.fence[f].Store(0)
		l.brake.state[flows+f].Store(running) // a worker's
	}
	l.loose.Store(0)
	l.life.Store(life)
}

// A sum is that of all flows of a direction.
type sum struct{ sent, received, bytes uint64 }

func sumOf(ways *[flows]way) (s sum) {
	for f := range ways {
		s.received += ways[f].received.Load()
		s.bytes += ways[f].bytes.Load()
	}
	for f := range ways { // afterwards: what was received has been sent
		s.sent += ways[f].sent.Load()
	}
	return s
}

func (s sum) open() uint64 { return s.sent - s.received }

func (s *sum) add(o sum) {
	s.sent += o.sent
	s.received += o.received
	s.bytes += o.bytes
}
