// SPDX-License-Identifier: MIT

package wireguard

import (
	"net"
	"slices"
	"testing"

	"golang.zx2c4.com/wireguard/tun"
)

func TestStates(t *testing.T) {
	for _, c := range []struct {
		last, now state
		want      []tun.Event
	}{
		{state{}, state{true, false, 1420}, nil},
		{state{}, state{true, true, 1420}, []tun.Event{tun.EventUp}},
		{state{true, false, 1420}, state{true, true, 1420}, []tun.Event{tun.EventUp}},
		{state{true, true, 1420}, state{true, true, 1420}, nil},
		{state{true, true, 1420}, state{true, true, 1280}, []tun.Event{tun.EventMTUUpdate}},
		{state{true, true, 1420}, state{true, false, 1280}, []tun.Event{tun.EventDown, tun.EventMTUUpdate}},
	} {
		if got := c.last.becomes(c.now); !slices.Equal(got, c.want) {
			t.Errorf("%+v to %+v: %v, want %v", c.last, c.now, got, c.want)
		}
	}
}

// TestEventsOfAnInterface: the one that every machine has is up, and nothing else is told of it.
func TestEventsOfAnInterface(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil || lo.Flags&net.FlagUp == 0 {
		t.Skipf("no lo that is up: %v", err)
	}
	e, err := newEvents(lo.Index)
	if err != nil {
		t.Fatal(err)
	}
	if event := <-e.channel; event != tun.EventUp {
		t.Errorf("event %v, want up", event)
	}
	e.close()
	e.close()
	if event, ok := <-e.channel; ok {
		t.Errorf("event %v after close", event)
	}
}
