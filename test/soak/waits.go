// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"

	"github.com/mytun/mytun/test/device"
	"github.com/mytun/mytun/test/watch"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How long others have to wait for what happens to the device.

// waitsAllowance is how often the longest wait beside stock tun is tolerated:
// there is traffic here, and there is none beside that.
const waitsAllowance = 10

// waits is what is watched, and what has been seen.
type waits struct {
	watcher        *watch.Watcher
	bounds         watch.Waits
	stock, longest watch.Waits
}

// begin finds out how long others have to wait where stock tun's devices come and
// go.
func (w *waits) begin() (err error) {
	if err := device.TryLoadStockTun(); err != nil {
		return err
	}
	if w.watcher, err = watch.Start(); err != nil {
		return err
	}
	for range 10 {
		if err := makeStock(); err != nil {
			return fmt.Errorf("a device of stock tun: %w", err)
		}
	}
	w.stock, err = w.watcher.Longest()
	w.bounds = watch.Bounds(w.stock, waitsAllowance)
	return err
}

func makeStock() error {
	fd, err := unix.Open(device.StockNode, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := &device.File{FD: fd}
	defer f.Close()
	name, err := f.TryAttach("soak%d", device.TUN|device.Multi)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// check tells whether somebody had to wait too long since the last time.
func (w *waits) check() error {
	now, err := w.watcher.Longest()
	if err != nil {
		return err
	}
	w.longest = w.longest.Max(now)
	return now.Beyond(w.bounds)
}
