// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// A tunSleeper sleeps until stock tun has a frame to be read. Its set holds the device's
// file, so that it is never too late to sleep, and the signal of this process to itself,
// drained when seen.
//
// For goroutines that keep their thread the set is waited in. For others it is in the
// runtime's poller in its turn, for what pollSleeper is good for: a set that watches the
// file is as readable as that. The file wakes once for each time that it was armed, as
// each frame would otherwise wake the poller while nobody waits.
type tunSleeper struct {
	set    int
	device int // the file
	kicks  *eventfd.EventFD
	state  *atomic.Uint32
	events [2]unix.EpollEvent // of the one wait at a time

	// In the runtime's poller, else nil:
	file *os.File // the set
	conn syscall.RawConn
	pollerWait
}

// A pollerWait is of the one wait at a time.
type pollerWait struct {
	ready func() bool
	asked bool  // ready was called
	armed bool  // the file will wake, or has and was not seen yet; kept from wait to wait
	err   error // of what was seen

	// visit is a tunSleeper's look as a value: made once, as it is in the heap.
	visit func(uintptr) bool
}

// What an event of the set is about.
const (
	watchedFile = iota
	watchedKick
)

// newTunSleeper makes a sleeper of a file, which stays the caller's, and of the word to
// write it to when the device is gone, for goroutines that keep their threads or not.
func newTunSleeper(device int, state *atomic.Uint32, locked bool) (*tunSleeper, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, opError("create", "epoll set", err, "")
	}
	kicks, err := eventfd.New()
	if err != nil {
		unix.Close(set)
		return nil, err
	}
	s := &tunSleeper{set: set, device: device, kicks: kicks, state: state}
	events := uint32(unix.EPOLLIN)
	if !locked {
		events |= unix.EPOLLONESHOT
		s.armed = true
		err = s.joinPoller()
	}
	err = errors.Join(err, s.watch(unix.EPOLL_CTL_ADD, device, watchedFile, events),
		s.watch(unix.EPOLL_CTL_ADD, kicks.FD(), watchedKick, unix.EPOLLIN))
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *tunSleeper) watch(op, fd int, tag int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: tag}
	if err := unix.EpollCtl(s.set, op, fd, &event); err != nil {
		return opError("watch", fmt.Sprintf("descriptor %d", fd), err, "")
	}
	return nil
}

// joinPoller has the runtime's poller watch the set.
func (s *tunSleeper) joinPoller() error {
	if err := unix.SetNonblock(s.set, true); err != nil { // what blocks is not for the poller
		return opError("set up", "epoll set", err, "")
	}
	s.file = os.NewFile(uintptr(s.set), "epoll set")
	// What is not in the poller has no deadlines.
	err := s.file.SetReadDeadline(time.Time{})
	if err == nil {
		s.conn, err = s.file.SyscallConn()
	}
	if err != nil {
		return opError("watch", "epoll set", err, "is fs.epoll.max_user_watches reached?")
	}
	s.visit = s.look
	return nil
}

// wait implements sleeper.
func (s *tunSleeper) wait(ready func() bool) error {
	if s.conn != nil {
		return s.waitInPoller(ready)
	}
	if ready() {
		return nil
	}
	n, err := epollWait(s.set, s.events[:], -1)
	if err != nil {
		return err
	}
	return s.see(n)
}

func (s *tunSleeper) waitInPoller(ready func() bool) error {
	s.ready, s.asked, s.err = ready, false, nil
	defer func() { s.ready = nil }() // what frees a leaked Device reaches s, which must not reach the Device
	if err := s.conn.Read(s.visit); err != nil {
		return opError("wait for", "epoll set", err, "")
	}
	return s.err
}

// look is called after the poller has forgotten what it had seen of the set, and after
// each change that it sees from then on. It tells whether that is all.
func (s *tunSleeper) look(uintptr) bool {
	if !s.asked {
		s.asked = true
		if s.ready() {
			return true
		}
		if !s.armed { // whatever is there already is a change
			s.err = s.watch(unix.EPOLL_CTL_MOD, s.device, watchedFile, unix.EPOLLIN|unix.EPOLLONESHOT)
			s.armed = s.err == nil
			return !s.armed
		}
	}
	n, err := epollWait(s.set, s.events[:], 0)
	if err != nil {
		s.err = err
		return true
	}
	s.err = s.see(n)
	return n > 0
}

// see does what the first n events call for.
func (s *tunSleeper) see(n int) error {
	for _, event := range s.events[:n] {
		switch {
		case event.Fd == watchedKick:
			s.kicks.Drain()
		case event.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
			s.state.Or(stateDetached)
			return ErrDetached
		default:
			s.armed = false
		}
	}
	return nil
}

// kick implements sleeper.
func (s *tunSleeper) kick() { s.kicks.Signal() }

// close implements sleeper.
func (s *tunSleeper) close() error {
	err := s.kicks.Close()
	if s.file != nil {
		return errors.Join(err, s.file.Close())
	}
	if e := unix.Close(s.set); e != nil {
		err = errors.Join(err, opError("close", "epoll set", e, ""))
	}
	return err
}

// An idleSleeper is for what never has to be waited for: room in a ring that is drained
// by who finds it full.
type idleSleeper chan struct{}

func newIdleSleeper() idleSleeper { return make(idleSleeper, 1) }

// wait implements sleeper.
func (s idleSleeper) wait(ready func() bool) error {
	if !ready() {
		<-s
	}
	return nil
}

// kick implements sleeper.
func (s idleSleeper) kick() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// close implements sleeper.
func (s idleSleeper) close() error { return nil }
