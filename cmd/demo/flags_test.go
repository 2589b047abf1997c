// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
)

func TestUsageErrors(t *testing.T) {
	for _, args := range []string{
		"-nonsense", "word", "-count x", "-count -1", "-duration -1s", "-queues 0", "-poll 101ms",
		"-ring 1000", "-ring 65536", "-ring 134217728", "-name a/b", "-name mytun%d", "-name sixteen_bytes_is",
		"-addr= -addr6=",
	} {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		var usage *usageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: error %v", args, err)
			continue
		}
		if exitStatus(err) != failUsage || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: exit status %d, message %q", args, exitStatus(err), err)
		}
	}
}

func TestHelp(t *testing.T) {
	var help strings.Builder
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || exitStatus(err) != 0 {
		t.Errorf("error %v", err)
	}
	for _, name := range []string{"-name", "-addr6", "-syscalls", "-json"} {
		if !strings.Contains(help.String(), name) {
			t.Errorf("-help does not tell of %s", name)
		}
	}
}

func TestConfig(t *testing.T) {
	o, err := parseFlags(strings.Fields("-tap -queues 4 -ring 131072 -poll 2ms -name x"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := mytunev.Config{Name: "x", Mode: mytunev.TAP, Queues: 4, RxRing: 131072, TxRing: 131072,
		Poll: 2 * time.Millisecond, Exclusive: true, Backend: mytunev.BackendMytun}
	if got := o.config(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		addr, addr6 string
		ok          bool
	}{
		{"10.77.0.1/24", "fd77::1/64", true},
		{"", "fd77::1/64", true},
		{"10.77.0.1/24", "", true},
		{"10.77.0.0/31", "fd77::/127", true},
		{"10.77.0.1", "", false},
		{"10.77.0.256/24", "", false},
		{"fd77::1/64", "", false},
		{"", "10.77.0.1/24", false},
		{"10.77.0.0/24", "", false},
		{"10.77.0.255/24", "", false},
		{"10.77.0.1/32", "", false},
		{"127.0.0.1/8", "", false},
		{"224.0.0.1/24", "", false},
		{"", "::ffff:10.0.0.1/120", false},
		{"", "fd77::1/128", false},
		{"", "fd77::/64", false},
	} {
		o := &options{addr: test.addr, addr6: test.addr6}
		if _, err := o.responder(); (err == nil) != test.ok {
			t.Errorf("%q, %q: error %v", test.addr, test.addr6, err)
		} else if err != nil && exitStatus(err) != 1 {
			t.Errorf("%q, %q: exit status %d", test.addr, test.addr6, exitStatus(err))
		}
	}
}

func TestExample(t *testing.T) {
	r := newResponder(false)
	if a, b := r.example(r.net4), r.example(r.net6); a != other4 || b != other6 {
		t.Errorf("got %s and %s", a, b)
	}
	for own, want := range map[string]string{
		"10.77.0.0/31": "10.77.0.1", "10.77.0.1/31": "10.77.0.0", "10.77.0.1/30": "10.77.0.2", "10.77.0.2/30": "10.77.0.1",
		"fd77::/127": "fd77::1", "fd77::1/127": "fd77::",
	} {
		p := netip.MustParsePrefix(own)
		if got := (&responder{net4: p, net6: p}).example(p); got != netip.MustParseAddr(want) {
			t.Errorf("%s: got %s, want %s", own, got, want)
		}
	}
}
