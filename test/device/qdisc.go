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

// SetFIFO makes a device's qdiscs, one for each queue, hold what comes and drop
// nothing. The default of many systems, fq_codel, drops what waits too long.
func SetFIFO(t testing.TB, name string, queues int) {
	t.Helper()
	root := netlink.MakeHandle(1, 0)
	if queues == 1 {
		replaceQdisc(t, name, "pfifo", root, netlink.HANDLE_ROOT)
		return
	}
	replaceQdisc(t, name, "mq", root, netlink.HANDLE_ROOT)
	for i := range queues {
		replaceQdisc(t, name, "pfifo", netlink.MakeHandle(uint16(2+i), 0), netlink.MakeHandle(1, uint16(1+i)))
	}
}

// SetNoQueue takes a device's qdiscs away: all senders meet in the device. One that is down
// and has many queues comes up faster so, as none is made for each.
func SetNoQueue(t testing.TB, name string) {
	t.Helper()
	SetQdisc(t, name, "noqueue")
}

// SetQdisc makes one of a kind hold a device's frames.
func SetQdisc(t testing.TB, name, kind string) {
	t.Helper()
	// one with a number of its own can only be changed, not made another kind
	replaceQdisc(t, name, kind, netlink.HANDLE_NONE, netlink.HANDLE_ROOT)
}

func replaceQdisc(t testing.TB, name, kind string, handle, parent uint32) {
	t.Helper()
	err := netlink.QdiscReplace(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: LinkOf(t, name).Attrs().Index, Handle: handle, Parent: parent},
		QdiscType:  kind,
	})
	if err != nil {
		t.Fatalf("qdisc %s of %s: %v", kind, name, err)
	}
}
