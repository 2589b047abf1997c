// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"runtime"
)

// A Link is the state of the network device that an administrator, or the program, may
// change while it is open.
type Link struct {
	Name  string
	Index int  // as Device.Index
	MTU   int  // bytes, Ethernet header excluded
	Up    bool // the device was set up, as by ip link set up
}

// WatchLink calls h with the state of the network device, and after that with each new one:
// when the device goes up or down, gets another MTU or another name. Of changes that follow
// each other faster than h returns, some may not be told; the last always is. h is
// called on the caller's goroutine, never twice with the same state.
//
// It returns a non-nil error always: the first one of h, ctx.Err() after ctx is done, ErrClosed
// after Close, ErrDetached when the device is gone. Of a device that was moved to another
// network namespace nothing is told: WatchLink then fails with an error that wraps
// ErrNotSupported. Like Run, it waits in the runtime's poller. No right is needed, but without
// CAP_NET_ADMIN another device that has the same name in this namespace is taken for one that was moved.
func (d *Device) WatchLink(ctx context.Context, h func(Link) error) error {
	if err := checkWatcher(ctx, h); err != nil {
		return err
	}
	w, err := d.NewLinkWatch()
	if err != nil {
		return err
	}
	return w.Run(ctx, h)
}

// A LinkWatch is a WatchLink that has begun.
type LinkWatch struct {
	queue *Queue
	watch linkWatch
}

// NewLinkWatch begins what WatchLink does: Run on any goroutine does the rest. It looks for the device
// in the network namespace of the calling thread. So a program whose threads are in several begins on
// the one that it has opened the device on. It fails with ErrClosed after Close, with ErrDetached when the device
// is gone, and with the kernel's error where the device is not in that namespace.
func (d *Device) NewLinkWatch() (*LinkWatch, error) {
	q := d.first()
	file, err := q.file()
	if err != nil {
		return nil, err
	}
	w, err := file.watchLink()
	if err != nil {
		return nil, err
	}
	return &LinkWatch{q, w}, nil
}

// Run does what WatchLink has left to do. It may be called once, and frees what w has.
func (w *LinkWatch) Run(ctx context.Context, h func(Link) error) error {
	if err := checkWatcher(ctx, h); err != nil {
		return err
	}
	if w.watch == nil {
		return ErrClosed
	}
	q := w.queue
	defer runtime.KeepAlive(q.dev) // what is watched has not leaked
	defer w.watch.close()
	returned := make(chan struct{})
	defer close(returned)
	go func() {
		select {
		case <-q.done:
		case <-ctx.Done():
		case <-returned:
		}
		w.watch.cancel()
	}()
	return q.watchLink(ctx, w.watch, h)
}

func checkWatcher(ctx context.Context, h func(Link) error) error {
	switch {
	case ctx == nil:
		return errNoContext
	case h == nil:
		return errNoFunction
	}
	return nil
}

// A linkWatch tells of one network device.
type linkWatch interface {
	// next waits for what may be news: the first time it returns the present state.
	next() (Link, error)

	// cancel makes next fail, now and later. It is safe for concurrent use, also after close.
	cancel()

	// close frees what next uses.
	close()
}

// watchLink calls h until something fails. If ctx is done or q closed, that is the reason.
func (q *Queue) watchLink(ctx context.Context, w linkWatch, h func(Link) error) error {
	for known, first := (Link{}), true; ; {
		if _, err := letGo(); err != nil {
			return err
		}
		now, err := w.next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !q.open.Load():
			return ErrClosed
		case err != nil:
			return err
		case !first && now == known:
			continue
		}
		known, first = now, false
		if err := h(now); err != nil {
			return err
		}
	}
}
