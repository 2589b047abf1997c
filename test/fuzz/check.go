// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
)

// What has to hold after each program, when its process has closed everything
// or is gone.

// checkMachine tells what is wrong: something is left, the kernel complained, or
// a new device does not work.
func checkMachine(k *kernelLog) error {
	if err := deleteDevices(); err != nil {
		return err
	}
	if err := checkNothingLeft(); err != nil {
		return err
	}
	if err := checkFresh(); err != nil {
		return fmt.Errorf("a new device does not work any more: %w", err)
	}
	return k.complaint()
}

func (k *kernelLog) complaint() error {
	if said := k.news(); said != "" {
		return fmt.Errorf("the kernel complains:\n%s", said)
	}
	return nil
}

func mytunLinks() (found []netlink.Link, err error) {
	links, err := netlink.LinkList()
	for _, l := range links {
		if l.Type() == "mytun" {
			found = append(found, l)
		}
	}
	return found, err
}

// deleteDevices deletes the devices that a program made persistent. One that
// goes meanwhile by itself is no failure: checkNothingLeft has the last word.
func deleteDevices() error {
	links, err := mytunLinks()
	for _, l := range links {
		netlink.LinkDel(l)
	}
	return err
}

// checkNothingLeft waits until no device, no thread and no reference is left.
func checkNothingLeft() error {
	var left string
	gone := func() bool {
		left = leftovers()
		return left == ""
	}
	if device.Until(time.Now().Add(device.Deadline), gone) {
		return nil
	}
	return fmt.Errorf("%v after the program %s", device.Deadline, left)
}

func leftovers() string {
	references, err := os.ReadFile("/sys/module/mytun/refcnt")
	if err != nil {
		return err.Error()
	}
	if n := strings.TrimSpace(string(references)); n != "0" {
		return "the module is still in use: refcount " + n
	}
	if threads := device.Kthreads(""); len(threads) != 0 {
		return fmt.Sprint("kernel threads are left: ", threads)
	}
	links, err := mytunLinks()
	if err != nil {
		return err.Error()
	}
	if len(links) != 0 {
		return "a device is left: " + links[0].Attrs().Name
	}
	return ""
}

// checkFresh makes a well-behaved device and sends frames both ways.
func checkFresh() error {
	var name string
	err := attempt(func(t *tb) {
		l := device.NewLink(t, device.Config{Name: "fresh%d"})
		name = l.Name
		l.Exchange(t, false, 100)
	})
	if err != nil {
		return err
	}
	return attempt(func(t *tb) { device.WaitGone(t, name) })
}
