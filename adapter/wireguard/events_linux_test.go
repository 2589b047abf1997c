// SPDX-License-Identifier: MIT

package wireguard

import (
	"context"
	"errors"
	"fmt"
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

// TestEventsOfADeviceThatWasMoved: nobody tells whether it is up, so it is; of one that nobody can watch for
// another reason nothing is said.
func TestEventsOfADeviceThatWasMoved(t *testing.T) {
	moved := fmt.Errorf("moved: %w", mytunev.ErrNotSupported)
	down, up := mytunev.Link{MTU: 1420}, mytunev.Link{MTU: 1420, Up: true}
	for name, c := range map[string]struct {
		told []mytunev.Link
		err  error
		want []tun.Event
	}{
		"down":    {[]mytunev.Link{down}, moved, []tun.Event{tun.EventUp}},
		"was up":  {[]mytunev.Link{up, down}, moved, []tun.Event{tun.EventUp, tun.EventDown, tun.EventUp}},
		"is up":   {[]mytunev.Link{up}, moved, []tun.Event{tun.EventUp}},
		"at once": {nil, moved, []tun.Event{tun.EventUp}},
		"deleted": {[]mytunev.Link{down}, mytunev.ErrDetached, nil},
		"failed":  {[]mytunev.Link{down}, errors.New("cable"), nil},
	} {
		e := &events{channel: make(chan tun.Event, 8), ended: make(chan struct{})}
		e.watch(t.Context(), func(_ context.Context, h func(mytunev.Link) error) error {
			for _, l := range c.told {
				if err := h(l); err != nil {
					return err
				}
			}
			return c.err
		})
		close(e.channel)
		var got []tun.Event
		for event := range e.channel {
			got = append(got, event)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
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
