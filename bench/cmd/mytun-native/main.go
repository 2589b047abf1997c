// SPDX-License-Identifier: MIT

//go:build linux && amd64

// Command mytun-native measures builds of mytun's module, and stock tun and vhost-net beside them, in a kernel that is a process of this machine. It is that kernel's
// first program, too. scripts/bench-native.sh runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mytun/mytun/bench/native"
	"github.com/mytun/mytun/bench/native/guest"
	"github.com/mytun/mytun/bench/result"
)

func main() {
	if os.Getpid() == 1 {
		guest.Init()
	}
	do, args := host, os.Args[1:]
	if len(args) > 0 && args[0] == native.HelperWord {
		do, args = guest.Help, args[1:]
	}
	if err := do(args); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mytun-native:", err)
		os.Exit(1)
	}
}

func host(args []string) error {
	o, out, err := parse(args)
	if err != nil {
		return err
	}
	rows, err := native.Run(o)
	if err != nil {
		return err
	}
	return result.Save(out, rows)
}

// parse returns what the command line asks for, and the file for the rows.
func parse(args []string) (o native.Options, out string, err error) {
	o = native.Options{Log: os.Stderr, Program: "/proc/self/exe"}
	flags := flag.NewFlagSet("mytun-native", flag.ContinueOnError)
	flags.StringVar(&o.Image, "image", "", "the kernel's `file`")
	flags.StringVar(&o.Release, "release", "", "the kernel's `name`, as uname -r prints it")
	flags.StringVar(&o.Root, "root", "", "`directory` that becomes the kernel's root")
	flags.StringVar(&o.Console, "console", "", "`file` for what the kernel says")
	flags.StringVar(&out, "json", "", "`file` for the rows")
	module := flags.String("module", "", "the module's `file`")
	against := flags.String("against", "", "another build's `file`, to take turns with the first")
	cpus := flags.String("cpus", "2,1", "`numbers` of CPUs, separated by commas, one run each")
	flags.StringVar(&o.Rows, "rows", "", "`patterns` of the rows to measure, separated by commas, such as 'rx*:64' (default all)")
	flags.BoolVar(&o.Peers, "peers", true, "measure stock tun and vhost-net, too")
	flags.IntVar(&o.Rounds, "rounds", 6, "`times` that each row has its turns")
	flags.IntVar(&o.Windows, "windows", 10, "`number` of windows in a turn")
	flags.DurationVar(&o.Window, "window", 20*time.Millisecond, "a window's `length`")
	list := flags.Bool("list", false, "print the names of the rows instead")
	if err := flags.Parse(args); err != nil {
		return o, "", err
	}
	if o.CPUs, err = parseCPUs(*cpus); err != nil {
		return o, "", err
	}
	if *list {
		listCases(o.CPUs)
		return o, "", flag.ErrHelp
	}
	for _, needed := range []string{o.Image, o.Release, o.Root, o.Console, out, *module} {
		if needed == "" {
			return o, "", errors.New("-image, -release, -root, -console, -json and -module are needed: use scripts/bench-native.sh")
		}
	}
	if o.Rounds < 1 || o.Windows < 1 || o.Window < time.Millisecond {
		return o, "", fmt.Errorf("%d rounds of %d windows of %v cannot be measured", o.Rounds, o.Windows, o.Window)
	}
	o.Modules = modules(*module, *against)
	return o, out, nil
}

func parseCPUs(text string) (cpus []int, err error) {
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 2 {
			return nil, fmt.Errorf("-cpus %s: the kernel has 1 or 2", text)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}

// modules names the builds: one is mytun, two are A and B.
func modules(module, against string) []native.Module {
	if against == "" {
		return []native.Module{{Peer: result.PeerMytun, File: module}}
	}
	return []native.Module{{Peer: result.PeerMytunA, File: module}, {Peer: result.PeerMytunB, File: against}}
}

func listCases(cpus []int) {
	for _, n := range cpus {
		for _, c := range native.Cases(n) {
			fmt.Printf("%s (%d CPUs)\n", c.Name(), n)
		}
	}
}
