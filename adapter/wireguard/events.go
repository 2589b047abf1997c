// SPDX-License-Identifier: MIT

package wireguard

import (
	"context"
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

// newEvents watches a device.
func newEvents(dev *mytunev.Device) *events {
	ctx, cancel := context.WithCancel(context.Background())
	e := &events{channel: make(chan tun.Event, 8), cancel: cancel, ended: make(chan struct{})}
	go e.watch(ctx, dev)
	return e
}

// watch ends with the device, or with close.
func (e *events) watch(ctx context.Context, dev *mytunev.Device) {
	defer close(e.ended)
	var last mytunev.Link
	dev.WatchLink(ctx, func(now mytunev.Link) error {
		for _, event := range between(last, now) {
			select {
			case e.channel <- event:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		last = now
		return nil
	})
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
