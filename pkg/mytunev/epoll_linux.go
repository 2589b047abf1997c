// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"

	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// An epollSleeper sleeps on one eventfd of a queue. The set holds
//
//	bell  the kernel's signal: edge-triggered and never read, so that a wake-up
//	      costs epoll_wait alone
//	kick  this process's signal to itself: level-triggered, drained when seen
//	file  the queue's file: only EPOLLHUP and EPOLLERR, which cannot be masked
//
// The set is apart from the runtime's poller: a goroutine that waits here holds
// a thread, and wakes without a detour through the scheduler.
type epollSleeper struct {
	set    int
	kicks  *eventfd.EventFD
	events [3]unix.EpollEvent // of the one wait at a time
}

// Tags of the events in the set.
const (
	tagBell = iota
	tagKick
	tagFile
)

// newEpollSleeper makes a sleeper of bell, an eventfd, and file, the queue's
// file or -1. It owns neither.
func newEpollSleeper(bell, file int) (*epollSleeper, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, opError("create", "epoll set", err, "")
	}
	kicks, err := eventfd.New()
	if err != nil {
		unix.Close(set)
		return nil, err
	}
	s := &epollSleeper{set: set, kicks: kicks}
	err = errors.Join(
		s.watch(bell, unix.EPOLLIN|unix.EPOLLET, tagBell),
		s.watch(kicks.FD(), unix.EPOLLIN, tagKick))
	if file >= 0 {
		err = errors.Join(err, s.watch(file, 0, tagFile))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *epollSleeper) watch(fd int, events uint32, tag int32) error {
	event := unix.EpollEvent{Events: events, Fd: tag}
	if err := unix.EpollCtl(s.set, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return opError("watch", fmt.Sprintf("descriptor %d", fd), err, "")
	}
	return nil
}

// wait implements sleeper.
func (s *epollSleeper) wait() error {
	n, err := unix.EpollWait(s.set, s.events[:], -1)
	for err == unix.EINTR {
		n, err = unix.EpollWait(s.set, s.events[:], -1)
	}
	if err != nil {
		return opError("wait in", "epoll set", err, "")
	}
	for _, event := range s.events[:n] {
		switch event.Fd {
		case tagKick:
			s.kicks.Drain()
		case tagFile:
			return fileError(event.Events)
		}
	}
	return nil
}

// fileError tells what the queue's file reports. Of a device that is gone it
// reports EPOLLERR as well.
func fileError(events uint32) error {
	if events&unix.EPOLLHUP != 0 {
		return ErrDetached
	}
	return ErrRingBroken
}

// kick implements sleeper.
func (s *epollSleeper) kick() { s.kicks.Signal() }

// close implements sleeper.
func (s *epollSleeper) close() error {
	err := s.kicks.Close()
	if e := unix.Close(s.set); e != nil {
		err = errors.Join(err, opError("close", "epoll set", e, ""))
	}
	return err
}
