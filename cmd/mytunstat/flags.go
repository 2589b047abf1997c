// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	live     bool
	interval time.Duration
	json     bool
	devices  []string
}

// Bounds of an interval.
const (
	intervalMin     = 100 * time.Millisecond
	intervalMax     = 24 * time.Hour
	intervalDefault = time.Second
)

// A usageError means that the command line makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text + " (see mytunstat -help)" }

const help = `Mytunstat shows what goes through mytun devices.

usage: mytunstat [flags] [DEVICE...]

  -w [INTERVAL]  go on: a sample each INTERVAL, in seconds or as 500ms (1s)
  -json          a JSON document a sample, on a line of its own

rx is to the process, tx is from it. WAKE: wake-ups in 1,000 packets; FILL: how full
the ring is. See mytunstat(8).
`

// parseFlags reads the command line. It returns flag.ErrHelp after -help.
func parseFlags(args []string, out io.Writer) (*options, error) {
	o := &options{interval: intervalDefault}
	f := flag.NewFlagSet("mytunstat", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.Var((*live)(o), "w", "")
	f.BoolVar(&o.json, "json", false, "")
	for rest := joinInterval(args); ; {
		err := f.Parse(rest)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, help)
			return nil, err
		}
		if err != nil {
			return nil, &usageError{strings.Replace(err.Error(), "boolean value", "value", 1)}
		}
		ended := len(rest) > f.NArg() && rest[len(rest)-f.NArg()-1] == "--"
		if f.NArg() == 0 || ended {
			o.devices = append(o.devices, f.Args()...)
			return o, o.check()
		}
		o.devices, rest = append(o.devices, f.Arg(0)), f.Args()[1:]
	}
}

// live is the value of -w, which may be left out.
type live options

func (l *live) IsBoolFlag() bool { return true }

func (l *live) String() string { return "" }

func (l *live) Set(text string) error {
	l.live = true
	if text == "true" {
		return nil // without a value
	}
	interval, ok := parseInterval(text)
	if !ok {
		return errors.New("not a number of seconds, nor a time such as 500ms")
	}
	if interval < intervalMin || interval > intervalMax {
		return fmt.Errorf("not from %v to %v", intervalMin, intervalMax)
	}
	l.interval = interval
	return nil
}

// parseInterval reads seconds, or a number with a unit.
func parseInterval(text string) (time.Duration, bool) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(seconds) {
			return 0, false
		}
		// What is out of bounds might not fit, and is refused as it is here.
		seconds = math.Max(-1, math.Min(seconds, 2*intervalMax.Seconds()))
		return time.Duration(seconds * float64(time.Second)), true
	}
	interval, err := time.ParseDuration(text)
	return interval, err == nil
}

// joinInterval makes -w=INTERVAL of the two words.
func joinInterval(args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		if (args[i] == "-w" || args[i] == "--w") && i+1 < len(args) {
			if _, ok := parseInterval(args[i+1]); ok {
				joined = append(joined, "-w="+args[i+1])
				i++
				continue
			}
		}
		joined = append(joined, args[i])
	}
	return joined
}

// check finds what can be no device.
func (o *options) check() error {
	for _, name := range o.devices {
		if name == "" || len(name) > 15 || strings.ContainsAny(name, "/: \t\n") {
			return &usageError{fmt.Sprintf("%q is no name of a network device", name)}
		}
	}
	return nil
}
