// SPDX-License-Identifier: MIT

//go:build linux

package watch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// pause is how long those who watch sleep between two looks
	pause     = 2 * time.Millisecond
	dummyName = "watched"
)

// longest is the longest of some times, in nanoseconds.
type longest struct{ atomic.Int64 }

func (l *longest) note(took time.Duration) {
	for old := l.Load(); int64(took) > old; old = l.Load() {
		if l.CompareAndSwap(old, int64(took)) {
			return
		}
	}
}

// server is the process that watches.
type server struct{ rtnl, processor, task longest }

// Serve watches until nobody asks any more. It does not return.
func Serve() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1) // those who watch allocate nothing
	processors := runtime.NumCPU()
	runtime.GOMAXPROCS(2*processors + 4)
	s := &server{}
	failed := make(chan error, 2*processors+1)
	go func() { failed <- s.watchRTNL() }()
	for cpu := range processors {
		go func() { failed <- watchProcessor(cpu, unix.SCHED_FIFO, &s.processor) }()
		go func() { failed <- watchProcessor(cpu, unix.SCHED_NORMAL, &s.task) }()
	}
	asked := make(chan bool)
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			asked <- true
		}
		close(asked)
	}()
	for {
		select {
		case err := <-failed:
			return err
		case _, more := <-asked:
			if !more {
				return nil
			}
			fmt.Fprintf(out, answer, s.rtnl.Swap(0), s.processor.Swap(0), s.task.Swap(0))
		}
	}
}

// watchProcessor sleeps on a processor again and again, and notes how much too
// late it wakes.
func watchProcessor(cpu int, policy uint32, late *longest) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("watch processor %d: %w", cpu, err)
	}
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}
	if policy == unix.SCHED_FIFO {
		attr.Priority = 1
	}
	if err := unix.SchedSetAttr(0, attr, 0); err != nil {
		return fmt.Errorf("watch processor %d with policy %d: %w", cpu, policy, err)
	}
	sleep := unix.NsecToTimespec(int64(pause))
	for {
		start := time.Now()
		if err := unix.Nanosleep(&sleep, nil); err != nil && err != unix.EINTR {
			return err
		}
		late.note(time.Since(start) - pause)
	}
}

// watchRTNL changes a device again and again, in a namespace where there is no
// other, and notes how long it takes.
func (s *server) watchRTNL() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace to watch from: %w", err)
	}
	socket, request, err := makeRequest()
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	answered := make([]byte, 4096)
	for {
		start := time.Now()
		if err := unix.Sendto(socket, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("RTM_SETLINK: %w", err)
		}
		s.rtnl.note(time.Since(start))
		if _, _, err := unix.Recvfrom(socket, answered, 0); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("answer to RTM_SETLINK: %w", err)
		}
		time.Sleep(pause)
	}
}

// makeRequest is a request that changes nothing of a new device, and a socket for
// it.
func makeRequest() (socket int, request []byte, err error) {
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: dummyName}}
	if err := netlink.LinkAdd(dummy); err != nil {
		return -1, nil, fmt.Errorf("add %s: %w", dummyName, err)
	}
	r := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(dummy.Attrs().Index)
	r.AddData(message)
	r.AddData(nl.NewRtAttr(unix.IFLA_TXQLEN, nl.Uint32Attr(1000)))
	socket, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	return socket, r.Serialize(), err
}
