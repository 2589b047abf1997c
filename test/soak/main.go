// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/mytun/mytun/test/watch"
)

// patience is how long anything may take before it is called stuck.
var patience = 20 * time.Second

func main() {
	if watch.Asked() {
		watch.Serve()
	}
	if len(os.Args) == 2 && os.Args[1] == workerArgument {
		if err := workerMain(deviceName); err != nil {
			fail("worker: %v", err)
		}
		return
	}
	length := flag.Duration("for", 10*time.Minute, "how long traffic is to run")
	seed := flag.Uint64("seed", 1, "of all choices")
	flag.DurationVar(&patience, "patience", patience, "how long anything may take")
	flag.Parse()
	if err := soak(*length, *seed); err != nil {
		fail("FAILED: %v", err)
	}
}

// soak is the whole run. Its last line is the summary, whatever happened.
func soak(length time.Duration, seed uint64) error {
	before, err := takeStock()
	if err != nil {
		return err
	}
	if err := quiet(); err != nil {
		return err
	}
	if err := makeDevice(); err != nil {
		return err
	}
	h, err := newHost(length, seed)
	if err != nil {
		return err
	}
	err = h.run()
	if err == nil {
		err = h.end()
	}
	if err == nil {
		err = before.compare()
	}
	fmt.Println("summary:", h.summary())
	return err
}

// waitFor waits for a state, which is nil and true, and fails at once if it is an error.
func waitFor(what string, state func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ok, err := state()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain for %s", patience, what)
		}
	}
}
