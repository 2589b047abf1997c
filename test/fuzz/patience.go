// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/mytun/mytun/test/device"
	"github.com/mytun/mytun/test/watch"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How long others have to wait for what programs do.

// waiting is what is watched, and what has been seen.
type waiting struct {
	watcher *watch.Watcher
	stock   watch.Waits // while the kernel's own driver was given as much to do
	longest watch.Waits // beside programs
}

// again is how often a program is run again that made others wait too long: what
// the machine that emulates this one did is not done each time.
const again = 2

// How often the wait beside the kernel's own driver is tolerated: of a program
// in which a crowd takes rtnl itself, as it may with both drivers, and of others.
const (
	crowdsAllowance = 6
	allowance       = 1
)

// bounds are how long a program may make others wait.
func (w *waiting) bounds(p Program) watch.Waits {
	for _, o := range p {
		if o.Spec.Name == stormName && slices.Contains(underRTNL, stormed[o.Arguments[1]]) {
			return watch.Bounds(w.stock, crowdsAllowance)
		}
	}
	return watch.Bounds(w.stock, allowance)
}

// begin finds out how long one has to wait on this machine with the kernel's own
// driver.
func (w *waiting) begin() (err error) {
	if w.watcher, err = watch.Start(); err != nil {
		return err
	}
	if err := attempt(stockStorm); err != nil {
		return fmt.Errorf("a storm on stock tun: %w", err)
	}
	w.stock, err = w.watcher.Longest()
	fmt.Printf("fuzz: with stock tun others waited for %v; programs may not make them wait longer than for %v\n", w.stock, w.bounds(nil))
	return err
}

// stockStorm is what a storm and a deletion do to stock tun: 64 threads change a
// filter, under rtnl, of a device with all its queues, which is then deleted.
func stockStorm(t *tb) {
	expedite(false)
	defer expedite(true)
	for range 2 {
		f := device.OpenNode(t, device.StockNode, unix.O_NONBLOCK)
		name := f.Attach(t, "fzstock", device.TAP|device.Multi)
		device.Up(t, name)
		var threads sync.WaitGroup
		for range crowd {
			threads.Go(func() {
				runtime.LockOSThread()
				for range 4 {
					f.TryAttachFilter([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}})
				}
			})
		}
		if err := netlink.LinkDel(device.LinkOf(t, name)); err != nil {
			t.Fatalf("delete %s: %v", name, err)
		}
		threads.Wait()
		f.Close()
	}
}

// of runs something and tells how long others had to wait meanwhile.
func (w *waiting) of(run func() error) (waits watch.Waits, err error) {
	if _, err = w.watcher.Longest(); err != nil {
		return waits, err
	}
	err = run()
	waits, watched := w.watcher.Longest()
	w.longest = w.longest.Max(waits)
	return waits, errors.Join(err, watched)
}

// check runs something that should not make others wait too long. If it does, it
// has to do so each time.
func (w *waiting) check(bounds watch.Waits, run func() error) error {
	var beyond error
	for range 1 + again {
		waits, err := w.of(run)
		if err != nil {
			return err
		}
		if beyond = waits.Beyond(bounds); beyond == nil {
			return nil
		}
	}
	return fmt.Errorf("each of %d times: %w", 1+again, beyond)
}
