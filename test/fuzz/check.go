// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
)

// What has to hold after each program, when its process has closed everything
// or is gone.

// machine is what is looked at after each program.
type machine struct {
	log    *kernelLog
	before map[int]bool // processes that were there before the first program
}

// step is a part of what is done about a program.
type step struct {
	name string // in the summary
	run  func() error
}

// freshEvery is how many programs are run before a new device is tried, which
// takes as long as a program.
const freshEvery = 8

// checks tell what is wrong after the number-th program: something is left, the
// kernel complained, or now and then that a new device does not work.
func (m *machine) checks(number uint64) []step {
	checks := []step{{"delete", func() error { return errors.Join(deleteDevices(), deleteOthers()) }}}
	if number%freshEvery == 0 {
		checks = append(checks, step{"fresh", checkFresh})
	}
	return append(checks, step{"left", m.checkNothingLeft}, step{"log", m.log.complaint})
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
func (m *machine) checkNothingLeft() error {
	var left string
	gone := func() bool {
		left = m.leftovers()
		return left == ""
	}
	if device.Until(time.Now().Add(device.Deadline), gone) {
		return nil
	}
	return fmt.Errorf("%v after the program %s", device.Deadline, left)
}

func (m *machine) leftovers() string {
	references, err := os.ReadFile("/sys/module/mytun/refcnt")
	if err != nil {
		return err.Error()
	}
	if n := strings.TrimSpace(string(references)); n != "0" {
		return "the module is still in use: refcount " + n
	}
	if threads := m.threads(); len(threads) != 0 {
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

// threads are the module's kernel threads. Of the processes only new ones are
// looked at: to look at all takes longer than most programs.
func (m *machine) threads() (found []string) {
	for _, pid := range device.Processes() {
		if m.before[pid] {
			continue
		}
		if name := device.CommandName(pid); strings.HasPrefix(name, "mytun/") {
			found = append(found, name)
		}
	}
	return found
}

// newMachine is the machine as it is before the first program.
func newMachine(log *kernelLog) *machine {
	m := &machine{log: log, before: map[int]bool{}}
	for _, pid := range device.Processes() {
		m.before[pid] = true
	}
	return m
}

// checkFresh makes a well-behaved device and sends frames both ways.
func checkFresh() error {
	err := attempt(func(t *tb) {
		l := device.NewLink(t, device.Config{Name: "fresh%d"})
		l.Exchange(t, false, 100)
	})
	if err != nil {
		return &staleError{err}
	}
	return nil
}

// staleError says that a new device does not work. It may be the doing of any
// program since one did.
type staleError struct{ error }

func (e *staleError) Error() string { return "a new device does not work any more: " + e.error.Error() }
