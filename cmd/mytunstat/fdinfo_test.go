// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"reflect"
	"strings"
	"testing"
)

// queueText is as the kernel writes it, but for most counters.
const queueText = `pos:	0
flags:	02100002
mnt_id:	25
ino:	117
iff:	mytun0
queue:	2
netns:	4026532008
state:	0x4
poll_us:	50
hold_us:	200
hold_frames:	64
rx_size:	1048576
tx_size:	131072
rx_used:	640
tx_used:	0
rx_frames:	18446744073709551615
tx_dropped_down:	3
kthread_sleeps:	9
`

func TestParseFdinfo(t *testing.T) {
	got, ok := parseFdinfo(queueText)
	want := fdinfo{
		device: "mytun0", queue: 2, namespace: 4026532008, broken: []string{"tx"},
		rings:    &rings{RxSize: 1 << 20, TxSize: 128 << 10, RxUsed: bytesOf(640), TxUsed: bytesOf(0)},
		counters: counters{"rx_frames": 1<<64 - 1, "tx_dropped_down": 3, "kthread_sleeps": 9},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestParseFdinfoOfLess: a module that is older, a queue without rings, and files of others.
func TestParseFdinfoOfLess(t *testing.T) {
	without := func(fields ...string) string {
		var b strings.Builder
		for _, line := range strings.SplitAfter(queueText, "\n") {
			key, _, _ := strings.Cut(line, ":")
			left := false
			for _, field := range fields {
				left = left || key == field
			}
			if !left {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	old, ok := parseFdinfo(without("netns", "rx_used", "tx_used"))
	if !ok || old.namespace != 0 || old.rings.RxUsed != nil || old.rings.TxUsed != nil || old.rings.RxSize != 1<<20 {
		t.Errorf("of an older module: %+v, %v", old, ok)
	}
	if bare, ok := parseFdinfo("iff:\tmytun0\nqueue:\t0\nstate:\t0\npoll_us:\t50\n"); !ok || bare.rings != nil || len(bare.broken) != 0 {
		t.Errorf("without rings: %+v, %v", bare, ok)
	}
	for name, text := range map[string]string{
		"nothing":      "",
		"not attached": "iff:\nstate:\t0x1\npoll_us:\t50\n",
		"stock tun":    "pos:\t0\niff:\ttun0\n",
		"no number":    without("queue"),
		"an eventfd":   "eventfd-count: 0\n",
	} {
		if got, ok := parseFdinfo(text); ok {
			t.Errorf("%s was taken for a queue: %+v", name, got)
		}
	}
}

func TestBrokenRings(t *testing.T) {
	for state, want := range map[string][]string{
		"0x0": {}, "0": {}, "0x2": {"rx"}, "0x4": {"tx"}, "0x6": {"rx", "tx"}, "": {}, "garbage": {},
	} {
		if got := brokenRings(state); !reflect.DeepEqual(got, want) {
			t.Errorf("state %q: %v, want %v", state, got, want)
		}
	}
}
