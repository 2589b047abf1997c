// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"testing"
)

func TestParseCounters(t *testing.T) {
	names := []string{"q0_rx_frames", "q0_tx_xdp", "q12_rx_frames", "total", "qx_rx_frames", "q3", "q-1_rx_frames", "0_rx_frames"}
	strings, values := make([]byte, len(names)*stringLength), make([]byte, len(names)*8)
	for i, name := range names {
		copy(strings[i*stringLength:], name)
		native.PutUint64(values[i*8:], uint64(i)+1<<40)
	}
	got := parseCounters(strings, values, len(names))
	want := map[int]counters{0: {"rx_frames": 1 << 40, "tx_xdp": 1<<40 + 1}, 12: {"rx_frames": 1<<40 + 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCountersSince(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after counters
		want          counters
		ok            bool
	}{
		{"grew", counters{"rx_frames": 3}, counters{"rx_frames": 10}, counters{"rx_frames": 7}, true},
		{"stayed", counters{"rx_frames": 3}, counters{"rx_frames": 3}, counters{"rx_frames": 0}, true},
		{"began anew", counters{"rx_frames": 3, "tx_frames": 0}, counters{"rx_frames": 2, "tx_frames": 5}, nil, false},
		{"may step back", counters{"rx_doorbells_suppressed": 8}, counters{"rx_doorbells_suppressed": 7}, counters{"rx_doorbells_suppressed": 0}, true},
		{"not there before", counters{}, counters{"rx_frames": 9}, counters{}, true},
	} {
		got, ok := test.after.since(test.before)
		if !reflect.DeepEqual(got, test.want) || ok != test.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}

// TestDrops: each counter of the module, and one of a module to come.
func TestDrops(t *testing.T) {
	for name, want := range map[string]bool{
		"rx_frames": false, "rx_bytes": false, "rx_ring_full": false, "rx_dropped": true, "rx_doorbells": false,
		"rx_doorbells_suppressed": false, "tx_frames": false, "tx_bytes": false, "tx_refused_length": true,
		"tx_refused_flags": true, "tx_refused_vnet": true, "tx_refused_protocol": true, "tx_dropped_down": true,
		"tx_dropped_memory": true, "tx_doorbells": false, "tx_space_signals": false, "tx_space_suppressed": false,
		"kthread_sleeps": false, "rx_direct": false, "rx_queue_stops": false, "tx_xdp": false, "rx_dropped_filter": true,
	} {
		if got := isDrop(name); got != want {
			t.Errorf("%s is a drop: %v", name, got)
		}
	}
	if n := (counters{"rx_dropped": 3, "tx_refused_length": 4, "tx_frames": 100}).drops(); n != 7 {
		t.Errorf("%d drops, want 7", n)
	}
}
