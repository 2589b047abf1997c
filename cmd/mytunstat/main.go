// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func main() { os.Exit(exitStatus(run(os.Args[1:], os.Stdout))) }

func run(args []string, out *os.File) error {
	o, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	s, err := openSystem()
	if err != nil {
		return err
	}
	if err := s.check(o.devices); err != nil {
		return err
	}
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	return watch(s, o, ticker.C, newShower(o, out))
}

// newShower is who shows reports as the options say, or as is best on out.
func newShower(o *options, out *os.File) shower {
	switch _, _, terminal := terminalSize(out); {
	case o.json:
		return jsonLines{out}
	case !o.live:
		return plain{out}
	case terminal:
		return &screen{w: out, size: func() (width, height int) {
			width, height, _ = terminalSize(out)
			return width, height
		}}
	}
	return &timed{w: out}
}

// watch shows what happened between two ticks, once or for ever.
func watch(s *system, o *options, ticks <-chan time.Time, to shower) error {
	before, err := s.sample(o.devices)
	if err != nil {
		return err
	}
	for {
		<-ticks
		after, err := s.sample(o.devices)
		if err != nil {
			return err
		}
		if err := to.show(newReport(before, after)); err != nil || !o.live {
			return err
		}
		before = after
	}
}

// check says why nothing can be shown.
func (s *system) check(wanted []string) error {
	links, err := s.links()
	if err != nil {
		return err
	}
	kinds, ours := map[string]string{}, false
	for _, l := range links {
		kinds[l.name] = l.kind
		ours = ours || l.kind == moduleName
	}
	_, err = os.Stat(filepath.Join(s.sys, "module", moduleName))
	if !ours && errors.Is(err, fs.ErrNotExist) && s.hasSys() {
		return errors.New("the module mytun is not loaded, so there are no devices: sudo modprobe mytun")
	}
	for _, name := range wanted {
		if err := checkDevice(name, kinds); err != nil {
			return err
		}
	}
	return nil
}

// hasSys tells whether sysfs is there to say that there is no such module.
func (s *system) hasSys() bool {
	_, err := os.Stat(filepath.Join(s.sys, "module"))
	return err == nil
}

func checkDevice(name string, kinds map[string]string) error {
	switch kind, ok := kinds[name]; {
	case !ok:
		return fmt.Errorf("there is no network device %s in this network namespace: see ip link; "+
			"for another namespace: ip netns exec NAMESPACE mytunstat %[1]s", name)
	case kind == "tun":
		return fmt.Errorf("%s is a device of the kernel's own tun, which has no such statistics: "+
			"its program has /dev/net/tun open, not /dev/net/mytun", name)
	case kind != moduleName:
		return fmt.Errorf("%s is no mytun device: ip link show type mytun lists them", name)
	}
	return nil
}

// failUsage is the exit status after a usageError.
const failUsage = 2

// exitStatus prints err, if any, and returns the exit status that goes with it.
func exitStatus(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "mytunstat:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return failUsage
	}
	return 1
}
