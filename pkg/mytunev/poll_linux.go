// SPDX-License-Identifier: MIT

package mytunev

import (
	"syscall"

	"github.com/mytun/mytun/pkg/eventfd"
)

// A pollSleeper sleeps on one eventfd of a queue in the runtime's poller, where
// sockets wait too. A goroutine that waits there has given up its P, the right to
// execute Go: what it has handed to another goroutine runs at once. In a system call
// that blocks it would keep the P until the runtime's monitor takes it away, which
// is 20 us later at the earliest.
//
// The poller watches for edges, and each signal is one, whatever the counter says:
// it is never read, and a wake-up costs nothing beside the poller's own epoll_wait.
// Nobody watches the queue's file: when its state changes, the kernel signals the
// eventfd.
type pollSleeper struct {
	bell *eventfd.EventFD
	conn syscall.RawConn

	ready func() bool // of the one wait at a time
	asked bool        // ready was called

	// again as a value: made once, as it is in the heap.
	visit func(uintptr) bool
}

// newPollSleeper makes a sleeper of bell, which it does not own.
func newPollSleeper(bell *eventfd.EventFD) (*pollSleeper, error) {
	conn, err := bell.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &pollSleeper{bell: bell, conn: conn}
	s.visit = s.again
	return s, nil
}

// wait implements sleeper. The poller forgets what it has seen before it calls
// again for the first time, so ready is called after that.
func (s *pollSleeper) wait(ready func() bool) error {
	s.ready, s.asked = ready, false
	defer func() { s.ready = nil }() // what frees a leaked Device reaches s, which must not reach the Device
	if err := s.conn.Read(s.visit); err != nil {
		return opError("wait for", "eventfd", err, "")
	}
	return nil
}

// again is called at first and after each edge.
func (s *pollSleeper) again(uintptr) bool {
	if s.asked {
		return true
	}
	s.asked = true
	return s.ready()
}

// kick implements sleeper: the kernel is not alone in signalling.
func (s *pollSleeper) kick() { s.bell.Signal() }

// close implements sleeper.
func (s *pollSleeper) close() error { return nil }
