// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// TestStreamIsOneConnectionInSequence: with checksums, or GRO would not merge it.
func TestStreamIsOneConnectionInSequence(t *testing.T) {
	w := emptyWorld(t)
	for _, kind := range []string{"tun", "tap"} {
		for _, ipv6 := range []bool{false, true} {
			w.flags[0].Store(uint32(flagsOf(kind)))
			checkStream(t, w, ipv6)
		}
	}
}

func checkStream(t *testing.T, w *world, ipv6 bool) {
	t.Helper()
	const size, count = 100, 16
	l := sides(0)
	l.TAP = w.isTAP(0)
	rest, found := w.segments(0, ipv6, size, count), 0
	for next := uint32(1); ; next += size {
		h, frame, after, ok := device.CutRecord(rest)
		if !ok {
			break
		}
		if err := l.Check(h, frame); err != nil {
			t.Fatalf("segment %d: %v", found, err)
		}
		tcp := header.TCP(frame[l.LinkHeader()+device.IPHeader(ipv6):])
		if got := tcp.SequenceNumber(); got != next || len(tcp.Payload()) != size {
			t.Fatalf("segment %d begins at %d with %d bytes, want %d with %d", found, got, len(tcp.Payload()), next, size)
		}
		rest, found = after, found+1
	}
	if found != count || len(rest) != 0 {
		t.Errorf("%d segments and %d bytes behind them", found, len(rest))
	}
}

// TestTinySegmentsAreTheSmallest: and as many as a frame has room for.
func TestTinySegmentsAreTheSmallest(t *testing.T) {
	f := emptyWorld(t).packet(0, "routed", "tiny", 65000)
	vnet, frame := f.Vnet, f.Data
	if vnet.GSOType != device.GSOTCPv4 || vnet.GSOSize != gsoSizeTiny || len(frame) < 65000 {
		t.Errorf("%d bytes with %+v", len(frame), vnet)
	}
	if got := header.IPv4(frame).DestinationAddress().As4(); got != beyondSink.As4() {
		t.Errorf("for %v, want %v", got, beyondSink)
	}
}
