// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/test/watch"
)

// TestOnlyCrowdsUnderRTNLMayHoldItLonger: stock tun's may as well.
func TestOnlyCrowdsUnderRTNLMayHoldItLonger(t *testing.T) {
	w := &waiting{stock: watch.Waits{RTNL: 100 * time.Millisecond}}
	tight := w.bounds(parse(t, "0 open f0\n0 close f0\n"))
	if got := w.bounds(parse(t, "0 open f0\n1 storm f0 seteventfds 8\n")); got != tight {
		t.Errorf("a crowd in one of mytun's own calls may take %v", got)
	}
	if got := w.bounds(parse(t, "0 open f0\n1 storm f0 setqueue 8\n")); got.RTNL <= tight.RTNL {
		t.Errorf("a crowd under rtnl may take %v, others %v", got, tight)
	}
}

func TestCallsUnderRTNLAreStormed(t *testing.T) {
	for _, call := range underRTNL {
		if !slices.Contains(stormed, call) {
			t.Errorf("no storm is one of %s", call)
		}
	}
}
