// SPDX-License-Identifier: MIT

package wireguard

import (
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// events turns what the kernel tells of an interface into tun.Events.
type events struct {
	channel chan tun.Event
	done    chan struct{}
	closing sync.Once
	ended   chan struct{} // nobody sends to channel any more
}

// newEvents watches the interface with that index. One without, which is no interface, is up.
func newEvents(index int) (*events, error) {
	e := &events{channel: make(chan tun.Event, 8), done: make(chan struct{}), ended: make(chan struct{})}
	if index == 0 {
		e.channel <- tun.EventUp
		close(e.ended)
		return e, nil
	}
	updates := make(chan netlink.LinkUpdate)
	err := netlink.LinkSubscribeWithOptions(updates, e.done, netlink.LinkSubscribeOptions{ListExisting: true, ErrorCallback: func(error) {}})
	if err != nil {
		return nil, err
	}
	go e.watch(index, updates)
	return e, nil
}

// watch ends when updates does, or with close.
func (e *events) watch(index int, updates <-chan netlink.LinkUpdate) {
	defer close(e.ended)
	last := state{}
	for u := range updates {
		if int(u.Index) != index || u.Header.Type != unix.RTM_NEWLINK {
			continue
		}
		now := state{true, u.IfInfomsg.Flags&unix.IFF_UP != 0, u.Attrs().MTU}
		for _, event := range last.becomes(now) {
			select {
			case e.channel <- event:
			case <-e.done:
			}
		}
		last = now
	}
}

// A state is what is known of an interface.
type state struct {
	known bool
	up    bool
	mtu   int
}

// becomes returns what there is to tell. An interface that is found to be down is not news.
func (s state) becomes(now state) (events []tun.Event) {
	if s.up != now.up {
		event := tun.Event(tun.EventDown)
		if now.up {
			event = tun.EventUp
		}
		events = append(events, event)
	}
	if s.known && s.mtu != now.mtu {
		events = append(events, tun.EventMTUUpdate)
	}
	return events
}

// close ends the watch, and with it the channel.
func (e *events) close() {
	e.closing.Do(func() {
		close(e.done)
		<-e.ended
		close(e.channel)
	})
}
