// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mytun/mytun/internal/syscount"
	"github.com/mytun/mytun/pkg/mytunev"
)

func main() { os.Exit(exitStatus(run(os.Args[1:]))) }

func run(args []string) error {
	o, err := parseFlags(args, os.Stderr)
	if err != nil {
		return err
	}
	r, err := o.responder()
	if err != nil {
		return err
	}
	// From here on a signal ends the loop, not the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	marks := make(chan os.Signal, 1)
	signal.Notify(marks, syscall.SIGUSR1)
	d, err := setUp(o, r)
	if err != nil {
		return err
	}
	defer d.tearDown()
	return d.run(ctx, stop, marks)
}

// A device is what a demo needs of a mytunev.Device.
type device interface {
	Name() string
	Mode() mytunev.Mode
	Run(ctx context.Context, h mytunev.Handler) error
	Stats() (mytunev.Stats, error)
	Close() error
}

// A demo is the program once it is set up.
type demo struct {
	options *options
	device  device
	loop    *loop
	counter *syscount.Counter // nil without -syscalls
	open    descriptors       // nil without -syscalls

	begin snapshot // when the loop began
	mark  snapshot // at the last mark, after it was printed
}

// setUp opens all that is needed. Should it fail, nothing remains: the device
// goes away with the process.
func setUp(o *options, r *responder) (*demo, error) {
	d := &demo{options: o, loop: newLoop(r, o.queues, o.count)}
	if o.syscalls {
		var err error
		if d.counter, err = syscount.Open(); err != nil {
			return nil, explainCounter(err)
		}
	}
	if err := d.openDevice(); err != nil {
		return nil, err
	}
	if err := configure(d.device.Name(), r.net4, r.net6); err != nil {
		d.tearDown()
		return nil, err
	}
	return d, nil
}

// openDevice opens the device and notes which open files belong to it.
func (d *demo) openDevice() error {
	var before descriptors
	if d.counter != nil {
		// A timer makes the runtime open the files that it waits on, which
		// must not be taken for the device's.
		time.AfterFunc(time.Hour, func() {}).Stop()
		before = openDescriptors()
	}
	opened, err := mytunev.Open(d.options.config())
	if err != nil {
		return explainOpen(d.options.name, err)
	}
	d.device = opened
	if d.counter != nil {
		d.open = openDescriptors()
		d.open.markQueues(before)
	}
	return nil
}

func (d *demo) tearDown() {
	d.device.Close()
	if d.counter != nil {
		d.counter.Close()
	}
}

// run answers until something ends it, and prints the summary. The first signal
// ends the loop; stop makes a second one end the process.
func (d *demo) run(ctx context.Context, stop func(), marks <-chan os.Signal) error {
	if d.options.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.options.duration)
		defer cancel()
	}
	if err := d.start(); err != nil {
		return err
	}
	asideCtx, cancel := context.WithCancel(context.Background())
	var aside sync.WaitGroup
	if !d.options.quiet {
		aside.Go(func() { d.showStatus(asideCtx, os.Stderr) })
	}
	aside.Go(func() { d.setMarks(asideCtx, marks) })
	cause := d.device.Run(ctx, d.loop.handle)
	stop()
	cancel()
	aside.Wait()
	reason, err := d.explainEnd(cause)
	if err == nil {
		d.flush()
	}
	return errors.Join(d.summarize(reason), err)
}

// start says that all is ready and begins to count.
func (d *demo) start() error {
	o := d.options
	if o.json {
		if err := d.printJSON(d.event("ready")); err != nil {
			return err
		}
	}
	if !o.quiet {
		fmt.Fprintln(os.Stderr, d.greeting())
	}
	if d.counter != nil {
		if err := d.counter.Start(); err != nil {
			return explainCounter(err)
		}
	}
	var err error
	d.begin, err = d.snapshot()
	// What reading the counts took is part of the whole, but of no interval.
	d.mark = d.begin
	d.begin.calls = nil
	return err
}

// greeting says what to try.
func (d *demo) greeting() string {
	r := d.loop.responder
	var try []string
	for _, subnet := range []netip.Prefix{r.net4, r.net6} {
		if subnet.IsValid() {
			try = append(try, "ping "+r.example(subnet).String())
		}
	}
	return fmt.Sprintf("%s is up. Try: %s (Ctrl-C ends this)", d.device.Name(), strings.Join(try, ", or "))
}

// explainEnd says in a few words why the loop ended, and whether that is an
// error.
func (d *demo) explainEnd(cause error) (reason string, err error) {
	switch {
	case errors.Is(cause, errCount):
		return "-count", nil
	case errors.Is(cause, context.DeadlineExceeded):
		return "-duration", nil
	case errors.Is(cause, context.Canceled):
		return "a signal", nil
	case errors.Is(cause, mytunev.ErrDetached):
		return "the deletion of the device", fmt.Errorf("someone deleted %s while it was in use", d.device.Name())
	}
	return "an error", cause
}

// flush waits until the kernel has taken the last replies, which closing the
// device would drop.
func (d *demo) flush() {
	const patience, pause = time.Second, time.Millisecond
	t := d.loop.tally()
	sent := t.answers()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pause) {
		s, err := d.device.Stats()
		if err != nil || s.TxFrames+totalDrops(s) >= sent {
			return
		}
	}
}

// setMarks sets marks until ctx is done.
func (d *demo) setMarks(ctx context.Context, marks <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-marks:
		}
		err := d.setMark()
		if err != nil {
			fmt.Fprintln(os.Stderr, "demo: cannot set a mark:", err)
		}
	}
}

// setMark prints the figures since the last mark, then begins anew.
func (d *demo) setMark() error {
	now, err := d.snapshot()
	if err != nil {
		return err
	}
	if err := d.print(d.report("mark", now, d.mark)); err != nil {
		return err
	}
	d.mark, err = d.snapshot()
	return err
}

// summarize prints the figures since the loop began.
func (d *demo) summarize(reason string) error {
	now, err := d.snapshot()
	if err != nil {
		return err
	}
	r := d.report("summary", now, d.begin)
	r.Reason = reason
	return d.print(r)
}

func (d *demo) event(name string) event {
	return event{name, d.device.Name(), d.device.Mode().String(), d.options.queues}
}

func (d *demo) report(name string, now, before snapshot) *report {
	if d.counter != nil {
		d.open.learn()
	}
	return newReport(d.event(name), now.sub(before), now.at.Sub(before.at), d.open)
}

// print prints r as text on standard output or, with -json, as JSON there and as
// text on standard error.
func (d *demo) print(r *report) error {
	if !d.options.json {
		return r.printText(os.Stdout)
	}
	if err := d.printJSON(r); err != nil {
		return err
	}
	return r.printText(os.Stderr)
}

func (d *demo) printJSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}
