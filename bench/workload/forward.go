// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"context"
	"errors"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

var forwardUDP = Workload{
	Name:  result.WorkloadForwardUDP,
	Sizes: []int{1400},
	Base:  udpBase,
	Run:   forwardUDPRun,
}

// A wire is two interfaces of a contestant in two network namespaces, with the contestant passing packets between them.
type wire struct {
	near, far *namespace
	devices   []peer.Device
	cancel    context.CancelFunc
	end       chan error
}

// newWire makes a wire and starts the forwarder.
func newWire(p peer.Peer, c peer.Config) (w *wire, err error) {
	if p.Forward == nil {
		return nil, peer.ErrUnable
	}
	w = &wire{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	c.TAP = p.Ethernet
	near, far := side{"near0", nearAddr, nearMAC}, side{"far0", farAddr, farMAC}
	if w.near, err = w.add(p, c, near, far); err != nil {
		return w, err
	}
	if w.far, err = w.add(p, c, far, near); err != nil {
		return w, err
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.end = make(chan error, 1)
	go func() { w.end <- p.Forward(ctx, w.devices[0], w.devices[1]) }()
	return w, nil
}

// A side is what an end of the wire is called, by whom.
type side struct{ name, address, mac string }

// add makes one end of the wire.
func (w *wire) add(p peer.Peer, c peer.Config, own, other side) (*namespace, error) {
	n, err := newNamespace()
	if err != nil {
		return n, err
	}
	c.Name = own.name
	return n, n.do(func() error {
		dev, err := p.Open(c)
		if err != nil {
			return err
		}
		w.devices = append(w.devices, dev)
		if err := bringUp(dev.Name(), own.address+"/24", burstPackets); err != nil || !c.TAP {
			return err
		}
		return introduce(dev.Name(), own.mac, other.address, other.mac)
	})
}

// close ends the forwarder and removes all.
func (w *wire) close() error {
	var errs []error
	if w.cancel != nil {
		w.cancel()
		errs = append(errs, <-w.end)
	}
	for _, d := range w.devices {
		errs = append(errs, d.Close())
	}
	for _, n := range []*namespace{w.near, w.far} {
		if n != nil {
			errs = append(errs, n.close())
		}
	}
	return errors.Join(errs...)
}

func forwardUDPRun(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
	w, err := newWire(p, peer.Config{Offload: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.datagrams(e, p, farAddr, size, base)
}

// datagrams sends datagrams from one namespace to a socket in the other that nobody reads. The sender is a process of its own.
func (w *wire) datagrams(e *Env, p peer.Peer, to string, size int, base float64) (s []Sample, err error) {
	sink, err := newSink(w.far, to)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	sender, err := startHelper(w.near, "udp-send", to, itoa(size))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sender.close()) }()
	if e.Clock == result.Wall {
		return e.watchWhile(&load{step: sender.burst}, p, size, func() (int, error) { return overrun.read(w.far) }, w.devices...)
	}
	first, last, err := e.bursts(func() error {
		before, err := overrun.read(w.far)
		if err != nil {
			return err
		}
		if err := sender.burst(); err != nil {
			return err
		}
		return overrun.await(w.far, before, burstPackets)
	}, w.devices...)
	return e.samples(p, first, last, measured, size, base), err
}
