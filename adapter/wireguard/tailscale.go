// SPDX-License-Identifier: MIT

package wireguard

import (
	"errors"
	"sync"

	"github.com/mytun/mytun/pkg/mytunev"
)

// slabSpacing is the room that a Read of Tailscale's fork leaves in front of each packet, and behind the last:
// tun.ReadPacketSpacing there.
const slabSpacing = 64

// A TailscaleDevice is a tun.Device of Tailscale's fork of wireguard-go (github.com/tailscale/wireguard-go), as that is in
// v0.0.0-20260928213032-417aef361226: a Read gets one slab of memory for all packets. This module does not depend on
// the fork: E is its tun.Event, and P its tun.ReadPacket. What is not named here is [Device]'s. It has one queue.
type TailscaleDevice[E ~int, P ~struct{ Offset, Size int }] struct {
	*Device
	slab   slabPlaces[P]
	events chan E

	done    chan struct{} // no event is wanted any more
	closing sync.Once
	ended   chan struct{} // nobody sends to events any more
}

// CreateTailscaleTUN is CreateTUN for Tailscale's fork:
//
//	tunDevice, err := wireguard.CreateTailscaleTUN[tun.Event, tun.ReadPacket]("tailscale0", 1280)
func CreateTailscaleTUN[E ~int, P ~struct{ Offset, Size int }](name string, mtu int) (*TailscaleDevice[E, P], error) {
	dev, err := create(name, mtu)
	if err != nil {
		return nil, err
	}
	t, err := NewTailscale[E, P](dev)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return t, nil
}

// NewTailscale is New for Tailscale's fork.
func NewTailscale[E ~int, P ~struct{ Offset, Size int }](dev *mytunev.Device) (*TailscaleDevice[E, P], error) {
	d, err := New(dev)
	if err != nil {
		return nil, err
	}
	t := &TailscaleDevice[E, P]{Device: d, events: make(chan E, 8), done: make(chan struct{}), ended: make(chan struct{})}
	go t.forward()
	return t, nil
}

// forward makes events of the fork's out of Device's, until those end.
func (t *TailscaleDevice[E, P]) forward() {
	defer close(t.ended)
	for event := range t.Device.Events() {
		select {
		case t.events <- E(event):
		case <-t.done:
		}
	}
}

// Events returns the channel on which the fork hears that the interface goes up or down, or changes its MTU. It is
// closed by Close.
func (t *TailscaleDevice[E, P]) Events() <-chan E { return t.events }

// errSlab is the error of a Read that could not return anything, however long it waited.
var errSlab = errors.New("mytun for wireguard: a Read needs a packet to fill, and a slab of more than 128 bytes")

// Read waits for packets and puts them one behind the other into slab, with 64 bytes before, between and behind them, as
// many as there are, as there are entries in packets, and as fit. What a super-packet stands for beyond that is the
// beginning of the next Read: there is no tun.ErrTooManySegments. A packet that is longer than the slab is lost.
func (t *TailscaleDevice[E, P]) Read(slab []byte, packets []P) (int, error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if len(packets) == 0 || len(slab) <= 2*slabSpacing {
		return 0, errSlab
	}
	t.slab = slabPlaces[P]{slab, packets, slabSpacing, 0}
	defer func() { t.slab = slabPlaces[P]{} }()
	return t.read(&t.slab)
}

// Close closes the device and ends Reads and Writes with an error that wraps [os.ErrClosed].
func (t *TailscaleDevice[E, P]) Close() error {
	err := t.Device.Close()
	t.closing.Do(func() {
		close(t.done)
		<-t.ended
		close(t.events)
	})
	return err
}

// slabPlaces are places in one piece of memory, each as long as its packet.
type slabPlaces[P ~struct{ Offset, Size int }] struct {
	memory  []byte
	packets []P
	at      int // where the next packet goes
	n       int
}

func (s *slabPlaces[P]) fit(packets, size int) bool {
	if s.n == 0 && packets == 1 {
		return true
	}
	return packets <= len(s.packets)-s.n && packets*(size+slabSpacing) <= len(s.memory)-s.at
}

func (s *slabPlaces[P]) next() []byte { return s.memory[s.at : len(s.memory)-slabSpacing] }

func (s *slabPlaces[P]) take(size int) {
	s.packets[s.n] = P(struct{ Offset, Size int }{s.at, size})
	s.n++
	s.at += size + slabSpacing
}

func (s *slabPlaces[P]) taken() int { return s.n }
