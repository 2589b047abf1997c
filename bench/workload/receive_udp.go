// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// receiveUDP is rx through a TUN interface, of what a process sends with a socket. Contestants that have TAP only do it with that.
var receiveUDP = Workload{
	Name:  result.WorkloadRx + "-udp",
	Sizes: []int{64, 1400},
	Base:  udpBase,
	Run:   receiveUDPRun,
}

func receiveUDPRun(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: p.Ethernet})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUpReachable(p, dev, burstPackets); err != nil {
		return nil, err
	}
	sender, err := startHelper(&namespace{}, "udp-send", farAddr, itoa(size))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sender.close()) }()
	x := expect{size, 0, sinkPort}
	if p.Ethernet {
		x.size, x.offset = size+header.EthernetMinimumSize, header.EthernetMinimumSize
	}
	r := startReceiver(dev, 0, x)
	defer func() { err = errors.Join(err, r.stop()) }()
	if e.Clock == result.Wall {
		return e.watchWhile(&load{step: sender.burst}, p, size, r.count, dev)
	}
	return e.receiveBursts(p, dev, sender.burst, r, size, base)
}
