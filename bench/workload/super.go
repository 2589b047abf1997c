// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A super-packet stands for this many packets, of this many bytes each.
const (
	superSegments = 44
	superPacket   = 1400
	superHeaders  = header.IPv4MinimumSize + header.UDPMinimumSize
	superSegment  = superPacket - superHeaders
	superPayload  = superSegments * superSegment
	superBurst    = 256
	superMeasured = (bursts - 1) * superBurst
)

// Super-packets are counted as the packets that they stand for.
var (
	receiveSuper = Workload{
		Name: result.WorkloadRx + "-super", Sizes: []int{superPacket}, Clocks: []string{result.Icount}, Base: receiveSuperBase, Run: receiveSuperRun,
	}
	sendSuper = Workload{
		Name: result.WorkloadTx + "-super", Sizes: []int{superPacket}, Clocks: []string{result.Icount}, Run: sendSuperRun,
	}
)

// openSuper opens a contestant's interface for super-packets and sets it up. Of stock tun there is wireguard's package for that.
func openSuper(p peer.Peer) (peer.Device, error) {
	if p.Name == result.PeerTun || p.Name == result.PeerNAPI {
		return nil, peer.ErrUnable
	}
	has, err := peer.HasUDPSuper()
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, fmt.Errorf("this kernel has no UDP super-packets: %w", peer.ErrUnable)
	}
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: p.Ethernet, Offload: true})
	if err != nil {
		return nil, err
	}
	if err := bringUpReachable(p, dev, burstPackets); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

func receiveSuperBase(e *Env, size int) (float64, []Sample, error) {
	return e.senderBase(size, superSegments, superBurst)
}

// receiveSuperRun sends super-packets to the contestant, which may get them as they are or cut up.
func receiveSuperRun(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
	dev, err := openSuper(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	headers := superHeaders
	if p.Ethernet {
		headers += header.EthernetMinimumSize
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	var payload atomic.Int64
	go func() {
		end <- dev.Receive(ctx, 0, func(packet []byte) bool {
			payload.Add(int64(len(packet) - headers))
			return true
		})
	}()
	defer func() {
		cancel()
		err = errors.Join(err, <-end)
	}()
	sender, err := startHelper(&namespace{}, "udp-send", farAddr, itoa(size), itoa(superSegments))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sender.close()) }()
	want := int64(0)
	from, to, err := e.bursts(func() error {
		if _, err := sender.ask("burst", itoa(superBurst)); err != nil {
			return err
		}
		want += superBurst * superPayload
		return awaitBytes(&payload, want)
	}, dev)
	return e.samples(p, from, to, superMeasured*superSegments, size, base), err
}

func awaitBytes(have *atomic.Int64, want int64) error {
	for end := time.Now().Add(patience); have.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			break
		}
	}
	if got := have.Load(); got != want {
		return fmt.Errorf("%d bytes of payload came, not %d", got, want)
	}
	return nil
}

// sendSuperRun makes the contestant send super-packets to a socket that nobody reads. wireguard's package makes them of the packets itself.
func sendSuperRun(e *Env, p peer.Peer, size int, _ float64) (s []Sample, err error) {
	dev, err := openSuper(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	here := &namespace{}
	sink, err := newSink(here, nearAddr)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	send, err := superSend(p, dev)
	if err != nil {
		return nil, err
	}
	from, to, err := e.bursts(func() error {
		before, err := overrun.read(here)
		if err != nil {
			return err
		}
		if err := send(superBurst); err != nil {
			return err
		}
		return overrun.await(here, before, superBurst*superSegments)
	}, dev)
	return e.samples(p, from, to, superMeasured*superSegments, size, 0), err
}

// superSend returns what sends so many super-packets, or what they stand for.
func superSend(p peer.Peer, dev peer.Device) (func(count int) error, error) {
	sender, whole := dev.(peer.SuperSender)
	if !whole {
		packet, err := datagram(farAddr, nearAddr, sinkPort, superPacket)
		return func(count int) error { return dev.Send(0, packet, count*superSegments) }, err
	}
	packet, err := datagram(farAddr, nearAddr, sinkPort, superHeaders+superPayload)
	if err != nil {
		return nil, err
	}
	leaveChecksum(packet)
	headers := superHeaders
	if p.Ethernet {
		headers += header.EthernetMinimumSize
		packet, err = ethernet(dev.Name(), packet)
	}
	return func(count int) error { return sender.SendSuper(packet, headers, superSegment, count) }, err
}
