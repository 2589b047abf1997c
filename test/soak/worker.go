// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/mytun/mytun/pkg/mytunev"
)

// ledgerFile is the descriptor that the worker is started with.
const ledgerFile = 3

// A worker is a process that has the device open. It does what its input says, a line
// each, and answers each with a line: "ok", with a word or the statistics, or what is
// wrong. Whatever is wrong with a frame ends it at once.
type worker struct {
	*ledger
	name    string
	devices []served // the first serves the flows of up
	senders sync.WaitGroup
	stop    chan struct{} // closed when the senders are to end
	files   int           // open descriptors, without a device
	check   [flows]struct {
		sync.Mutex
		sequence
	}
}

// A served is a device, and what is closed when its Run has ended.
type served struct {
	*mytunev.Device
	ended chan struct{}
}

func workerMain(name string) error {
	l, err := mapLedger(ledgerFile)
	if err != nil {
		return err
	}
	w := &worker{ledger: l, name: name}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, err := w.obey(strings.Fields(in.Text()))
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		fmt.Println("ok", answer)
	}
	return nil
}

func (w *worker) obey(command []string) (answer string, err error) {
	switch command[0] {
	case "open": // with a mytunev.Config
		return "", w.open(command[1])
	case "add":
		return "", w.add(command[1])
	case "remove":
		return "", w.remove()
	case "stats":
		return w.stats()
	case "close":
		return "", w.close()
	}
	return "", errors.New("unknown command")
}

// config reads a Config and completes it.
func (w *worker) config(text string) (c mytunev.Config, err error) {
	err = json.Unmarshal([]byte(text), &c)
	c.Name = w.name
	return c, err
}

// open begins anew, with other queues and rings.
func (w *worker) open(text string) error {
	for f := range flows {
		w.check[f].sequence = sequence{next: w.down[f].sent.Load()}
	}
	if err := w.add(text); err != nil {
		return err
	}
	w.stop = make(chan struct{})
	queues := w.devices[0].Queues()
	for f := range flows {
		w.senders.Go(func() { w.send(f, queues[f%len(queues)]) })
	}
	return nil
}

// add opens the device once more: that many queues join those that are there.
func (w *worker) add(text string) error {
	c, err := w.config(text)
	if err != nil {
		return err
	}
	d, err := mytunev.Open(c)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	w.devices = append(w.devices, served{d, ended})
	go func() {
		defer close(ended)
		if err := d.Run(todo, w.receive); !errors.Is(err, mytunev.ErrClosed) {
			fail("Run of %s ended: %v", w.name, err)
		}
	}()
	return nil
}

// remove takes away the queues that came last.
func (w *worker) remove() error {
	last := len(w.devices) - 1
	d := w.devices[last]
	w.devices = w.devices[:last]
	defer func() { <-d.ended }()
	return d.Close()
}

// close ends everything, the newest first.
func (w *worker) close() error {
	close(w.stop)
	w.senders.Wait()
	for len(w.devices) > 0 {
		if err := w.remove(); err != nil {
			return err
		}
	}
	return w.checkFiles()
}

// checkFiles: a device that was closed has left no descriptor open.
func (w *worker) checkFiles() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	if n := len(entries); w.files != 0 && n != w.files {
		return fmt.Errorf("%d descriptors are open, %d when the device was closed last", n, w.files)
	}
	w.files = len(entries)
	return nil
}

// stats is the sum over all queues.
func (w *worker) stats() (string, error) {
	all := make([]mytunev.Stats, len(w.devices))
	for i, d := range w.devices {
		s, err := d.Stats()
		if err != nil {
			return "", err
		}
		all[i] = s
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// fail ends a process at once: what a frame that is wrong did to others is of no interest.
func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "soak: "+format+"\n", args...)
	os.Exit(1)
}
