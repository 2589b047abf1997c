// SPDX-License-Identifier: MIT

package mytunev

import (
	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// An epollSleeper sleeps on one eventfd of a queue in a system call of its own, for
// goroutines that keep their thread: the thread that the kernel wakes is the one that
// goes on. From the runtime's poller it would be woken by another thread, which the
// kernel has to wake before. See pollSleeper for what it costs other goroutines.
//
// The eventfd is watched for edges and never read, so that a wake-up costs
// epoll_wait alone.
type epollSleeper struct {
	set    int
	bell   *eventfd.EventFD
	events [1]unix.EpollEvent // of the one wait at a time
}

// newEpollSleeper makes a sleeper of bell, which it does not own.
func newEpollSleeper(bell *eventfd.EventFD) (*epollSleeper, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, opError("create", "epoll set", err, "")
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, bell.FD(), &event); err != nil {
		unix.Close(set)
		return nil, opError("watch", "eventfd", err, "")
	}
	return &epollSleeper{set: set, bell: bell}, nil
}

// wait implements sleeper.
func (s *epollSleeper) wait(ready func() bool) error {
	if ready() {
		return nil
	}
	_, err := epollWait(s.set, s.events[:], -1)
	return err
}

// epollWait waits in a set until something happens, for so many milliseconds at most, or with -1
// for ever, and returns how many events it put into the slice.
func epollWait(set int, events []unix.EpollEvent, most int) (int, error) {
	n, err := unix.EpollWait(set, events, most)
	for isRetry(err) {
		n, err = unix.EpollWait(set, events, most)
	}
	if err != nil {
		return 0, opError("wait in", "epoll set", err, "")
	}
	return n, nil
}

// kick implements sleeper: the kernel is not alone in signalling.
func (s *epollSleeper) kick() { s.bell.Signal() }

// close implements sleeper.
func (s *epollSleeper) close() error {
	if err := unix.Close(s.set); err != nil {
		return opError("close", "epoll set", err, "")
	}
	return nil
}
