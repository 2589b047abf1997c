// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
)

// options are the command line.
type options struct {
	name        string
	addr, addr6 string
	tap         bool
	queues      int
	ring        int
	poll        time.Duration
	count       int64
	duration    time.Duration
	syscalls    bool
	json        bool
	quiet       bool
}

// A usageError means that the command line makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text + " (see demo -help)" }

// parseFlags reads the command line. It returns flag.ErrHelp after -help.
func parseFlags(args []string, help io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.name, "name", "mytun0", "`name` of the network device; it must not exist yet")
	f.StringVar(&o.addr, "addr", "10.77.0.1/24", "IPv4 `address/length` of the device; \"\" for none")
	f.StringVar(&o.addr6, "addr6", "fd77::1/64", "IPv6 `address/length` of the device; \"\" for none")
	f.BoolVar(&o.tap, "tap", false, "make an Ethernet device, and answer ARP and neighbour discovery too")
	f.IntVar(&o.queues, "queues", 1, "`number` of queues, each with a goroutine of its own")
	f.IntVar(&o.ring, "ring", 1<<20, "`bytes` of each ring, a power of two from 128 KiB to 64 MiB")
	f.DurationVar(&o.poll, "poll", 0, "how `long` the kernel watches the rings before it sleeps, at most 100ms;\n"+
		"0 for the module's default, negative for not at all")
	f.Int64Var(&o.count, "count", 0, "stop after this `number` of echo replies; 0 for no limit")
	f.DurationVar(&o.duration, "duration", 0, "stop after this `time`; 0 for no limit")
	f.BoolVar(&o.syscalls, "syscalls", false, "count the system calls of this process with eBPF")
	f.BoolVar(&o.json, "json", false, "print JSON on standard output, and the text on standard error")
	f.BoolVar(&o.quiet, "quiet", false, "no status line while running")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(help, "Demo answers pings to every address of a subnet, through a mytun device.\n\n"+
			"usage: demo [flags]\n\n")
		f.SetOutput(help)
		f.PrintDefaults()
		return nil, err
	}
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	if f.NArg() > 0 {
		return nil, &usageError{fmt.Sprintf("unexpected argument %q: there are only flags", f.Arg(0))}
	}
	return o, o.check()
}

// check finds what no system could do.
func (o *options) check() error {
	const ringMin, ringMax = 128 << 10, 64 << 20
	switch {
	case o.name == "" || len(o.name) > 15 || strings.ContainsAny(o.name, "/: \t\n%"):
		return &usageError{fmt.Sprintf("-name %q: a device has a name of 1 to 15 bytes, without '/', ':', '%%' or blanks", o.name)}
	case o.addr == "" && o.addr6 == "":
		return &usageError{"-addr and -addr6 are both empty: at least one is needed"}
	case o.queues < 1:
		return &usageError{fmt.Sprintf("-queues %d: at least one is needed", o.queues)}
	case o.ring < ringMin || o.ring > ringMax || o.ring&(o.ring-1) != 0:
		return &usageError{fmt.Sprintf("-ring %d: not a power of two from %d to %d", o.ring, ringMin, ringMax)}
	case o.poll > 100*time.Millisecond:
		return &usageError{fmt.Sprintf("-poll %v: at most 100ms", o.poll)}
	case o.count < 0:
		return &usageError{fmt.Sprintf("-count %d: not negative", o.count)}
	case o.duration < 0:
		return &usageError{fmt.Sprintf("-duration %v: not negative", o.duration)}
	}
	return nil
}

// config is what the library is asked for.
func (o *options) config() mytunev.Config {
	c := mytunev.Config{
		Name:      o.name,
		Queues:    o.queues,
		RxRing:    o.ring,
		TxRing:    o.ring,
		Poll:      o.poll,
		Exclusive: true,
		Backend:   mytunev.BackendMytun, // what it shows is mytun
	}
	if o.tap {
		c.Mode = mytunev.TAP
	}
	return c
}

// responder makes the responder that the options ask for.
func (o *options) responder() (*responder, error) {
	net4, err := parseSubnet("-addr", o.addr, "10.77.0.1/24", netip.Addr.Is4)
	if err != nil {
		return nil, err
	}
	net6, err := parseSubnet("-addr6", o.addr6, "fd77::1/64", netip.Addr.Is6)
	if err != nil {
		return nil, err
	}
	return &responder{tap: o.tap, mac: responderMAC, net4: net4, net6: net6}, nil
}

// parseSubnet parses an interface's address, "" being the zero Prefix.
func parseSubnet(flag, text, example string, family func(netip.Addr) bool) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	fail := func(why string) (netip.Prefix, error) {
		return netip.Prefix{}, fmt.Errorf("%s %q: %s, such as %s", flag, text, why, example)
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || !family(p.Addr()) {
		return fail("give an address and the length of its subnet's prefix")
	}
	a := p.Addr()
	switch {
	case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.Is4In6():
		return fail("no interface can have this address; give another")
	case p.Bits() == a.BitLen():
		return fail("no other address is in this subnet; give a shorter prefix")
	case p.Bits() < a.BitLen()-1 && (a == p.Masked().Addr() || isBroadcast(p, a)):
		return fail("this is the subnet itself or its broadcast address; give the interface one in between")
	}
	return p, nil
}

// failUsage is the exit status after a usageError.
const failUsage = 2

// exitStatus prints err, if any, and returns the exit status that goes with it.
func exitStatus(err error) int {
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "demo:", err)
		return failUsage
	}
	fmt.Fprintln(os.Stderr, "demo:", err)
	return 1
}
