// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/pkg/eventfd"
	"golang.org/x/sys/unix"
)

// tunReadWrite is stock tun as it comes.
var tunReadWrite = Peer{
	Name:    result.PeerTun,
	Open:    func(c Config) (Device, error) { return openTun(tunPath, c, 0) },
	Forward: forwardTun,
}

// tunNAPI is tun whose writes leave the packet to the softirq, as a driver does.
var tunNAPI = Peer{
	Name:    result.PeerNAPI,
	Open:    func(c Config) (Device, error) { return openTun(tunPath, c, unix.IFF_NAPI) },
	Forward: forwardTun,
}

// mytunReadWrite is mytun for a program that knows stock tun only.
var mytunReadWrite = Peer{
	Name:    result.PeerMytunRW,
	Open:    func(c Config) (Device, error) { return openTun("/dev/net/mytun", c, 0) },
	Forward: forwardTun,
}

const tunPath = "/dev/net/tun"

// A tunDevice is stock tun, or its like, with one read or write a packet. The descriptors do not block, so these are raw system calls that the scheduler
// of Go is not told of; only when there is nothing to read, a call that may block is made.
type tunDevice struct {
	name  string
	fds   []int      // one a queue
	files []*os.File // with Poller: they own the descriptors
}

// openTun makes a tun or tap interface of a device node. Flags are added to those that c asks for.
func openTun(path string, c Config, flags uint16) (*tunDevice, error) {
	flags |= unix.IFF_NO_PI | unix.IFF_TUN
	if c.TAP {
		flags ^= unix.IFF_TUN | unix.IFF_TAP
	}
	if c.queues() > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	d := &tunDevice{name: c.Name}
	for range c.queues() {
		fd, err := attachTun(path, c.Name, flags)
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.fds = append(d.fds, fd)
		if c.Poller {
			d.files = append(d.files, os.NewFile(uintptr(fd), path))
		}
	}
	return d, nil
}

func attachTun(path, name string, flags uint16) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w (modprobe %s)", path, err, filepath.Base(path))
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("attach %s to %s with flags %#x: %w", path, name, flags, err)
	}
	return fd, nil
}

func (d *tunDevice) Name() string { return d.name }

func (d *tunDevice) Receive(ctx context.Context, queue int, visit Visitor) error {
	if d.files != nil {
		return d.receivePolled(ctx, d.files[queue], visit)
	}
	w, err := newWaiter(ctx, d.fds[queue])
	if err != nil {
		return err
	}
	defer w.close()
	buffer := make([]byte, maxPacket)
	for {
		n, errno := rawRead(d.fds[queue], buffer)
		switch {
		case errno == 0:
			if !visit(buffer[:n]) {
				return nil
			}
		case errno != unix.EAGAIN:
			return fmt.Errorf("read from %s: %w", d.name, errno)
		case w.wait() != nil || ctx.Err() != nil:
			return w.err
		}
	}
}

// receivePolled reads as Go reads a socket.
func (d *tunDevice) receivePolled(ctx context.Context, file *os.File, visit Visitor) error {
	defer context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })()
	buffer := make([]byte, maxPacket)
	for {
		n, err := file.Read(buffer)
		switch {
		case err != nil && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("read from %s: %w", d.name, err)
		case !visit(buffer[:n]):
			return nil
		}
	}
}

func (d *tunDevice) Send(queue int, packet []byte, count int) error {
	for range count {
		if errno := rawWrite(d.fds[queue], packet); errno != 0 {
			return fmt.Errorf("write to %s: %w", d.name, errno)
		}
	}
	return nil
}

func (d *tunDevice) Reflect(ctx context.Context, edit Visitor) error {
	return d.pass(ctx, d, edit)
}

func (d *tunDevice) Counters() (Counters, error) { return Counters{}, nil }

func (d *tunDevice) FDs() []int { return d.fds }

func (d *tunDevice) Close() error {
	var err error
	for i, fd := range d.fds {
		if d.files != nil {
			err = errors.Join(err, d.files[i].Close())
		} else {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return err
}

// forwardTun copies nothing but what read and write copy: a packet is written from the buffer that it was read into.
func forwardTun(ctx context.Context, a, b Device) error {
	return both(ctx, func(ctx context.Context) error { return a.(*tunDevice).pass(ctx, b.(*tunDevice), all) },
		func(ctx context.Context) error { return b.(*tunDevice).pass(ctx, a.(*tunDevice), all) })
}

// pass writes to another device what is read from d and what edit returns true for.
func (d *tunDevice) pass(ctx context.Context, to *tunDevice, edit Visitor) error {
	var failure error
	err := d.Receive(ctx, 0, func(p []byte) bool {
		if !edit(p) {
			return true
		}
		if errno := rawWrite(to.fds[0], p); errno != 0 {
			failure = fmt.Errorf("write to %s: %w", to.name, errno)
		}
		return failure == nil
	})
	return errors.Join(failure, err)
}

func all([]byte) bool { return true }

// both runs two functions until one fails or ctx is done; the other's context is done then too.
func both(ctx context.Context, f, g func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	for _, h := range []func(context.Context) error{f, g} {
		go func() {
			errs <- h(ctx)
			cancel()
		}()
	}
	return errors.Join(<-errs, <-errs)
}

// A waiter waits until a descriptor is readable or a context is done.
type waiter struct {
	fds  [2]unix.PollFd
	stop *eventfd.EventFD
	off  func() bool
	err  error // why wait failed
}

func newWaiter(ctx context.Context, fd int) (*waiter, error) {
	stop, err := eventfd.New()
	if err != nil {
		return nil, err
	}
	w := &waiter{stop: stop, off: context.AfterFunc(ctx, func() { stop.Signal() })}
	w.fds = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop.FD()), Events: unix.POLLIN}}
	return w, nil
}

// wait returns when there may be something to read, or the context is done.
func (w *waiter) wait() error {
	_, err := unix.Poll(w.fds[:], -1)
	if err != nil && err != unix.EINTR {
		w.err = fmt.Errorf("poll: %w", err)
	}
	return w.err
}

func (w *waiter) close() {
	w.off()
	w.stop.Close()
}
