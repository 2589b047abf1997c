// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mytun/mytun/test/watch"
	"golang.org/x/sys/unix"
)

const usage = `usage: fuzz run [flags]       in the virtual machine, as root
       fuzz collect [flags]   on the host; reads what the machine printed
       fuzz execute           what run starts
`

func main() {
	if watch.Asked() {
		watch.Serve()
	}
	if len(os.Args) < 2 {
		fail(fmt.Errorf("%s", usage))
	}
	well, err := false, error(nil)
	switch os.Args[1] {
	case "run":
		well, err = fuzz(runFlags(os.Args[2:]))
	case "collect":
		well, err = collectMain(os.Args[2:])
	case "execute":
		well, err = true, execute(os.Stdin, os.Stdout, len(os.Args) > 2 && os.Args[2] == tellWord)
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		fail(err)
	}
	if !well {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "fuzz: error: %v\n", err)
	os.Exit(2)
}

func runFlags(args []string) (o options) {
	f := flag.NewFlagSet("fuzz run", flag.ExitOnError)
	f.Uint64Var(&o.seed, "seed", 1, "of all random choices")
	f.DurationVar(&o.duration, "for", 2*time.Minute, "how long new programs are made")
	f.StringVar(&o.replay, "replay", "", "run this program alone")
	f.IntVar(&o.repeat, "repeat", 20, "how often to run it")
	f.StringVar(&o.allowed, "allowed", "test/fuzz/allowed", "patterns of what the kernel may say")
	f.StringVar(&o.module, "module", loadedModule(), "the file of the module that is loaded")
	corpus := f.String("corpus", "test/fuzz/corpus", "directories of programs to begin with, separated by commas")
	f.Parse(args)
	o.corpus = strings.Split(*corpus, ",")
	return o
}

// loadedModule is where the virtual machine has the module.
func loadedModule() string {
	var u unix.Utsname
	unix.Uname(&u)
	return filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:]), "updates/mytun.ko")
}

func collectMain(args []string) (well bool, err error) {
	f := flag.NewFlagSet("fuzz collect", flag.ExitOnError)
	dir := f.String("dir", "build/fuzz", "where to keep what is found")
	seed := f.Uint64("seed", 1, "the run's, for names of files")
	ktap := f.Bool("ktap", false, "print the run as tests too")
	f.Parse(args)
	return collect(*dir, *seed, *ktap, os.Stdin, os.Stdout)
}
