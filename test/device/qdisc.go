// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// Qdisc is how many frames a device's qdiscs hold, and how many they dropped.
// A root that has others below counts those already.
func Qdisc(t testing.TB, name string) (held, dropped uint32) {
	t.Helper()
	qdiscs, err := netlink.QdiscList(LinkOf(t, name))
	if err != nil {
		t.Fatalf("qdiscs of %s: %v", name, err)
	}
	for _, qdisc := range qdiscs {
		attrs := qdisc.Attrs()
		if attrs.Parent == netlink.HANDLE_ROOT && attrs.Statistics != nil && attrs.Statistics.Queue != nil {
			held += attrs.Statistics.Queue.Qlen
			dropped += attrs.Statistics.Queue.Drops
		}
	}
	return held, dropped
}
