// SPDX-License-Identifier: MIT

package wireguard

import (
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"golang.zx2c4.com/wireguard/tun"
)

func TestBetween(t *testing.T) {
	for _, c := range []struct {
		last, now mytunev.Link
		want      []tun.Event
	}{
		{mytunev.Link{}, mytunev.Link{MTU: 1420}, nil},
		{mytunev.Link{}, mytunev.Link{Up: true, MTU: 1420}, []tun.Event{tun.EventUp}},
		{mytunev.Link{MTU: 1420}, mytunev.Link{Up: true, MTU: 1420}, []tun.Event{tun.EventUp}},
		{mytunev.Link{Up: true, MTU: 1420}, mytunev.Link{Up: true, MTU: 1420, Name: "wg1"}, nil},
		{mytunev.Link{Up: true, MTU: 1420}, mytunev.Link{Up: true, MTU: 1280}, []tun.Event{tun.EventMTUUpdate}},
		{mytunev.Link{Up: true, MTU: 1420}, mytunev.Link{MTU: 1280}, []tun.Event{tun.EventDown, tun.EventMTUUpdate}},
	} {
		if got := between(c.last, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%+v to %+v: %v, want %v", c.last, c.now, got, c.want)
		}
	}
}

// TestEvents: wireguard-go hears of what an administrator does, one by one, and of nothing after
// Close.
func TestEvents(t *testing.T) {
	d, k := newPair(t, mytunev.Config{Name: "wg0"})
	want := func(events ...tun.Event) {
		t.Helper()
		for _, event := range events {
			if got := <-d.Events(); got != event {
				t.Errorf("event %v, want %v", got, event)
			}
		}
	}
	want(tun.EventUp)
	k.ChangeLink(func(l *mytunev.Link) { l.Up = false })
	want(tun.EventDown)
	k.ChangeLink(func(l *mytunev.Link) { l.Name = "wg1" })
	k.ChangeLink(func(l *mytunev.Link) { l.Up, l.MTU = true, 1280 })
	want(tun.EventUp, tun.EventMTUUpdate)
	if name, err := d.Name(); name != "wg1" || err != nil {
		t.Errorf("%s, %v", name, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if event, ok := <-d.Events(); ok {
		t.Errorf("event %v after Close", event)
	}
}

// TestEventsThatNobodyHears do not keep Close waiting.
func TestEventsThatNobodyHears(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	for len(d.events.channel) < cap(d.events.channel) {
		k.ChangeLink(func(l *mytunev.Link) { l.MTU++ })
	}
	k.ChangeLink(func(l *mytunev.Link) { l.MTU++ })
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestEventsOfADeviceThatIsGone end, and the channel stays until Close.
func TestEventsOfADeviceThatIsGone(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	k.Delete()
	<-d.events.ended
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for range d.Events() {
	}
}
