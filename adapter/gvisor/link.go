// SPDX-License-Identifier: MIT

package gvisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A link is what an Endpoint knows of the network device, whoever has changed it. The stack asks for the MTU with each
// packet.
type link struct {
	dev   *mytunev.Device
	setMu sync.Mutex // held from asking the device, or telling it, until mtu is what it says
	mtu   atomic.Uint32
	ended chan struct{} // nobody watches any more
}

// watchLink begins to follow a device, from now on: the thread of a goroutine that begins later may be in another network
// namespace. It ends with the device, and calls gone if that is not because somebody closes it.
func watchLink(dev *mytunev.Device, gone func(error)) (*link, error) {
	mtu, err := dev.MTU()
	if err != nil {
		return nil, err
	}
	watch, err := dev.NewLinkWatch()
	if err != nil {
		return nil, err
	}
	l := &link{dev: dev, ended: make(chan struct{})}
	l.mtu.Store(uint32(mtu))
	go func() {
		defer close(l.ended)
		err := watch.Run(context.Background(), func(now mytunev.Link) error {
			l.follow(now)
			return nil
		})
		if errors.Is(err, mytunev.ErrDetached) {
			gone(err)
		}
	}()
	return l, nil
}

// follow hears that the device is another. What it hears may be older than what setMTU has done, so it asks; it
// believes what it hears where it cannot ask, which is on a thread in another network namespace.
func (l *link) follow(now mytunev.Link) {
	l.setMu.Lock()
	defer l.setMu.Unlock()
	mtu, err := l.dev.MTU()
	if err != nil {
		mtu = now.MTU
	}
	l.mtu.Store(uint32(mtu))
}

// setMTU sets the MTU of the device. One that it does not take changes nothing.
func (l *link) setMTU(mtu uint32) {
	l.setMu.Lock()
	defer l.setMu.Unlock()
	if l.dev.SetMTU(int(mtu)) == nil {
		l.mtu.Store(mtu)
	}
}
