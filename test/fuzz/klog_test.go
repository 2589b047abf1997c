// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

// TestOnlyWhatIsListedMayBeSaid: by what the file in the repository lists.
func TestOnlyWhatIsListedMayBeSaid(t *testing.T) {
	text, err := os.ReadFile("allowed")
	if err != nil {
		t.Fatal(err)
	}
	k := &kernelLog{}
	if k.allowed, err = patterns(string(text)); err != nil {
		t.Fatal(err)
	}
	for said, complaint := range map[string]bool{
		"fz0: renamed from fzr (while UP)\n":                                  false,
		"fz0: entered promiscuous mode\n SUBSYSTEM=net\n":                     false,
		"fz1 (unregistering): left allmulticast mode\n":                       false,
		"fzbridge: port 1(fz0) entered blocking state\n":                      false,
		"skbuff: bad partial csum: csum=65480/6 headroom=64 headlen=65488\n":  true,
		"net_ratelimit: 12 callbacks suppressed\n":                            true,
		"IPv4: martian source 10.99.0.1 from 10.99.0.1, on dev fz0\n":         true,
		"WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 fz0: renamed from fzr\n":  true,
		"TUN: fz0: renamed from fzr\n":                                        true,
		"BUG: KASAN: use-after-free in fz0: entered promiscuous mode\nmore\n": true,
	} {
		if got := k.isComplaint(said); got != complaint {
			t.Errorf("%q is a complaint: %v", said, got)
		}
	}
}

// TestEachPatternHasItsReason: a comment stands above it.
func TestEachPatternHasItsReason(t *testing.T) {
	text, err := os.ReadFile("allowed")
	if err != nil {
		t.Fatal(err)
	}
	explained := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.TrimSpace(line) == "":
			explained = false
		case line[0] == '#':
			explained = len(line) > 10
		case !explained:
			t.Errorf("no reason is given for %q", line)
		}
	}
}
