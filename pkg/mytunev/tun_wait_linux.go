// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// A tunSleeper sleeps until stock tun has a frame to be read. Its set holds the device's
// file, level-triggered, so that it is never too late to sleep, and the signal of this
// process to itself, drained when seen.
type tunSleeper struct {
	set    int
	kicks  *eventfd.EventFD
	state  *atomic.Uint32
	events [2]unix.EpollEvent // of the one wait at a time
}

// What an event of the set is about.
const (
	watchedFile = iota
	watchedKick
)

// newTunSleeper makes a sleeper of a file, which stays the caller's, and of the word to
// write it to when the device is gone.
func newTunSleeper(file int, state *atomic.Uint32) (*tunSleeper, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, opError("create", "epoll set", err, "")
	}
	kicks, err := eventfd.New()
	if err != nil {
		unix.Close(set)
		return nil, err
	}
	s := &tunSleeper{set: set, kicks: kicks, state: state}
	if err := errors.Join(s.watch(file, watchedFile), s.watch(kicks.FD(), watchedKick)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *tunSleeper) watch(fd int, tag int32) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: tag}
	if err := unix.EpollCtl(s.set, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return opError("watch", fmt.Sprintf("descriptor %d", fd), err, "")
	}
	return nil
}

// wait implements sleeper.
func (s *tunSleeper) wait(ready func() bool) error {
	if ready() {
		return nil
	}
	n, err := epollWait(s.set, s.events[:])
	if err != nil {
		return err
	}
	for _, event := range s.events[:n] {
		switch {
		case event.Fd == watchedKick:
			s.kicks.Drain()
		case event.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
			s.state.Or(stateDetached)
			return ErrDetached
		}
	}
	return nil
}

// kick implements sleeper.
func (s *tunSleeper) kick() { s.kicks.Signal() }

// close implements sleeper.
func (s *tunSleeper) close() error {
	err := s.kicks.Close()
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
