// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"context"
	"errors"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/vishvananda/netlink"
)

// overload sends twice as fast as the program takes packets, which it does not hurry with. What is lost inside the device is the contestant's
// fault; what is lost in the queueing discipline before it, or not sent at all, is not.
var overload = Workload{
	Name:      result.WorkloadOverload,
	Sizes:     []int{1400},
	Clocks:    []string{result.Wall},
	Uncounted: true,
	Run:       overloadRun,
}

func overloadRun(_ *Env, p peer.Peer, size int, _ float64) (s []Sample, err error) {
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: p.Ethernet, Hold: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUpReachable(p, dev, 1000); err != nil {
		return nil, err
	}
	// The sender ends first: held up by the device, it can only end while somebody receives.
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	taken := 0
	go func() { end <- dev.Receive(ctx, 0, func([]byte) bool { taken++; return dawdle() }) }()
	stop, err := startPaced(size)
	if err != nil {
		cancel()
		return nil, errors.Join(err, <-end)
	}
	s, err = lose(p, dev)
	err = errors.Join(err, stop())
	cancel()
	err = errors.Join(err, <-end)
	if err == nil && taken == 0 {
		err = errors.New("no packet came")
	}
	return s, err
}

// dawdle is what the program does with a packet.
func dawdle() bool {
	for start := time.Now(); time.Since(start) < overWork; {
	}
	return true
}

// Every overPause overBurst packets are sent; a packet takes the program overWork.
const (
	overBurst = 256
	overPause = 10 * time.Millisecond
	overWork  = 2 * overPause / overBurst
)

// startPaced makes a helper send datagrams at a steady rate.
func startPaced(size int) (stop func() error, err error) {
	sender, err := startHelper(&namespace{}, "udp-send", farAddr, itoa(size))
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(overPause)
	l := startLoad(func() error {
		<-ticker.C
		_, err := sender.ask("burst", itoa(overBurst))
		return err
	})
	return func() error {
		defer ticker.Stop()
		return errors.Join(l.stop(), sender.close())
	}, nil
}

// lose counts what is lost in a window.
func lose(p peer.Peer, dev peer.Device) ([]Sample, error) {
	time.Sleep(settle)
	before, err := lost(dev)
	if err != nil {
		return nil, err
	}
	time.Sleep(window)
	after, err := lost(dev)
	if err != nil {
		return nil, err
	}
	return []Sample{{p.Name, result.MetricLost, "packets", float64(after - before)}}, nil
}

// lost is how many packets the interface has dropped.
func lost(dev peer.Device) (uint64, error) {
	link, err := netlink.LinkByName(dev.Name())
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.TxDropped, nil
}
