// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"strconv"
	"strings"
)

// fdinfo is what /proc/PID/fdinfo/FD says of a queue's file.
type fdinfo struct {
	device    string // empty: the file is no queue of any device
	queue     int
	namespace uint64 // of the device; 0: the module is too old to tell
	broken    []string
	rings     *rings // nil: read and write carry the packets
	counters  counters
}

// rings are sizes and what is in there, in bytes. A size of 0 is no ring.
type rings struct {
	RxSize uint64  `json:"rx_size"`
	RxUsed *uint64 `json:"rx_used"`
	TxSize uint64  `json:"tx_size"`
	TxUsed *uint64 `json:"tx_used"`
}

// Bits of state, in linux/mytun.h.
const (
	stateRxBroken = 0x2
	stateTxBroken = 0x4
)

// parseFdinfo reads the text of such a file. It is false if that is not of mytun.
func parseFdinfo(text string) (fdinfo, bool) {
	var f fdinfo
	fields := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	if fields["iff"] == "" || fields["poll_us"] == "" {
		return f, false
	}
	queue, err := strconv.Atoi(fields["queue"])
	if err != nil {
		return f, false
	}
	f.device, f.queue = fields["iff"], queue
	f.namespace, _ = strconv.ParseUint(fields["netns"], 10, 64)
	f.broken = brokenRings(fields["state"])
	f.rings = ringsOf(fields)
	f.counters = countersOf(fields)
	return f, true
}

func brokenRings(state string) []string {
	bits, _ := strconv.ParseUint(state, 0, 32)
	broken := []string{}
	if bits&stateRxBroken != 0 {
		broken = append(broken, "rx")
	}
	if bits&stateTxBroken != 0 {
		broken = append(broken, "tx")
	}
	return broken
}

func ringsOf(fields map[string]string) *rings {
	rx, tx := value(fields, "rx_size"), value(fields, "tx_size")
	if rx == nil || tx == nil {
		return nil
	}
	return &rings{RxSize: *rx, RxUsed: value(fields, "rx_used"), TxSize: *tx, TxUsed: value(fields, "tx_used")}
}

func value(fields map[string]string, name string) *uint64 {
	n, err := strconv.ParseUint(fields[name], 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// countersOf are all fields that are named as counters are, but the rings'.
func countersOf(fields map[string]string) counters {
	found := counters{}
	for name := range fields {
		switch name {
		case "rx_size", "tx_size", "rx_used", "tx_used":
			continue
		}
		if !strings.HasPrefix(name, "rx_") && !strings.HasPrefix(name, "tx_") && name != "kthread_sleeps" {
			continue
		}
		if n := value(fields, name); n != nil {
			found[name] = *n
		}
	}
	return found
}
