// SPDX-License-Identifier: MIT

package wireguard

import (
	"context"
	"errors"
	"sync"

	"github.com/mytun/mytun/pkg/mytunev"

	"golang.zx2c4.com/wireguard/tun"
)

// events turns what a device is told of itself into tun.Events.
type events struct {
	channel chan tun.Event
	cancel  context.CancelFunc
	closing sync.Once
	ended   chan struct{} // nobody sends to channel any more
}

// newEvents watches a device, from now on: the thread of a goroutine that begins later may be in another network
// namespace.
func newEvents(dev *mytunev.Device) (*events, error) {
	w, err := dev.NewLinkWatch()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &events{channel: make(chan tun.Event, 8), cancel: cancel, ended: make(chan struct{})}
	go e.watch(ctx, w.Run)
	return e, nil
}

// A linkWatch tells of a device until something ends it: a LinkWatch's Run.
type linkWatch func(ctx context.Context, h func(mytunev.Link) error) error

// watch ends with the device, or with close. Of a device that was moved to another network
// namespace nobody is told any more: it is up from then on, as a tunnel that waits for a word would be dead.
func (e *events) watch(ctx context.Context, watch linkWatch) {
	defer close(e.ended)
	var last mytunev.Link
	tell := func(now mytunev.Link) error {
		for _, event := range between(last, now) {
			select {
			case e.channel <- event:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		last = now
		return nil
	}
	if err := watch(ctx, tell); errors.Is(err, mytunev.ErrNotSupported) {
		now := last
		now.Up = true
		tell(now)
	}
}

// between returns what there is to tell. A device that is found to be down, as that which last is
// without an MTU, is not news.
func between(last, now mytunev.Link) (events []tun.Event) {
	if last.Up != now.Up {
		event := tun.Event(tun.EventDown)
		if now.Up {
			event = tun.EventUp
		}
		events = append(events, event)
	}
	if last.MTU != 0 && last.MTU != now.MTU {
		events = append(events, tun.EventMTUUpdate)
	}
	return events
}

// close ends the watch, and with it the channel.
func (e *events) close() {
	e.closing.Do(func() {
		e.cancel()
		<-e.ended
		close(e.channel)
	})
}
