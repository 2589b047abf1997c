// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

const (
	sendPackets = 32768
	sendWarmUp  = 8192
	sinkPort    = 9000
)

var send = Workload{
	Name:  result.WorkloadTx,
	Sizes: []int{64, 1400},
	Run:   sendRun,
}

// sendRun makes the contestant send datagrams to a socket of this machine that nobody reads, and whose buffer is full after the first few:
// the cheapest end that is still the stack's whole way. Each is counted there, as one that found no room.
func sendRun(e *Env, p peer.Peer, size int, _ float64) (s []Sample, err error) {
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: p.Ethernet})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUp(dev.Name(), nearAddr+"/24", 1000); err != nil {
		return nil, err
	}
	here := &namespace{}
	sink, err := newSink(here, nearAddr)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	packet, err := datagram(farAddr, nearAddr, sinkPort, size)
	if err == nil && p.Ethernet {
		packet, err = ethernet(dev.Name(), packet)
	}
	if err != nil {
		return nil, err
	}
	if e.Clock == result.Wall {
		return e.sendOn(p, dev, packet, size)
	}
	if err := sendAll(dev, packet, sendWarmUp); err != nil {
		return nil, err
	}
	from, err := e.read(dev)
	if err != nil {
		return nil, err
	}
	if err := sendAll(dev, packet, sendPackets); err != nil {
		return nil, err
	}
	to, err := e.read(dev)
	return e.samples(p, from, to, sendPackets, size, 0), err
}

// sendOn measures while the contestant sends without an end.
func (e *Env) sendOn(p peer.Peer, dev peer.Device, packet []byte, size int) ([]Sample, error) {
	again := &load{step: func() error { return dev.Send(0, packet, sendWarmUp) }}
	return e.watchWhile(again, p, size, func() (int, error) { return overrun.read(&namespace{}) }, dev)
}

// sendAll sends count packets and waits until the stack has counted them all.
func sendAll(dev peer.Device, packet []byte, count int) error {
	here := &namespace{}
	before, err := overrun.read(here)
	if err != nil {
		return err
	}
	if err := dev.Send(0, packet, count); err != nil {
		return err
	}
	return overrun.await(here, before, count)
}
