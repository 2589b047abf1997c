// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Packets come in bursts that the queue in front of the interface can hold: the contestant is saturated within a burst, and none is lost.
const (
	burstPackets = 8192
	bursts       = 4 // the first warms up and is not measured
	measured     = (bursts - 1) * burstPackets
)

var receive = Workload{
	Name:  result.WorkloadRx,
	Sizes: []int{64, 1400},
	Base:  receiveBase,
	Run:   receiveRun,
}

// receiveBase is what the generator costs: the same bursts to an interface that drops them.
func receiveBase(e *Env, size int) (float64, []Sample, error) {
	remove, err := dummy("sink0", nearAddr+"/24")
	if err != nil {
		return 0, nil, err
	}
	defer remove()
	g, err := newPktgen("sink0", size)
	if err != nil {
		return 0, nil, err
	}
	defer g.close()
	if e.Clock == result.Wall {
		return e.rateOf(g, "sink0", size)
	}
	return e.costOf(size, measured, g.whole)
}

func receiveRun(e *Env, p peer.Peer, size int, base float64) ([]Sample, error) {
	return receiveWith(e, p, peer.Config{}, size, base)
}

// receiveWith is receiveRun with an interface made as c says, besides its name and kind.
func receiveWith(e *Env, p peer.Peer, c peer.Config, size int, base float64) (s []Sample, err error) {
	c.Name, c.TAP = "bench0", true
	dev, err := p.Open(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUp(dev.Name(), nearAddr+"/24", burstPackets); err != nil {
		return nil, err
	}
	g, err := newPktgen(dev.Name(), size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if c.Queues > 1 {
		if err := g.flows(); err != nil {
			return nil, err
		}
	}
	rs := startReceivers(dev, c.Queues, expect{size, header.EthernetMinimumSize, pktgenPort})
	defer func() { err = errors.Join(err, rs.stop()) }()
	if e.Clock == result.Wall {
		return e.watchWhile(g, p, size, rs.count, dev)
	}
	return e.receiveBursts(p, dev, g.whole, rs[0], size, base)
}

// receiveBursts measures bursts of packets, each after the one before has come.
func (e *Env) receiveBursts(p peer.Peer, dev peer.Device, burst func() error, r *receiver, size int, base float64) ([]Sample, error) {
	from, to, err := e.bursts(func() error { return errors.Join(burst(), r.await()) }, dev)
	return e.samples(p, from, to, measured, size, base), err
}

// bursts calls burst again and again, and returns the readings before and after all but the first.
func (e *Env) bursts(burst func() error, dev ...peer.Device) (from, to reading, err error) {
	for i := range bursts {
		if i == 1 {
			if from, err = e.read(dev...); err != nil {
				return from, to, err
			}
		}
		if err = burst(); err != nil {
			return from, to, err
		}
	}
	to, err = e.read(dev...)
	return from, to, err
}

// expect is what tells the generator's packets from others.
type expect struct {
	size   int // bytes of a frame
	offset int // of the IPv4 header in it
	port   uint16
}

func (x expect) is(p []byte) bool {
	return len(p) == x.size && p[x.offset] == 0x45 && binary.BigEndian.Uint16(p[x.offset+header.IPv4MinimumSize+2:]) == x.port
}

// A receiver is the program that takes the packets: it looks at each one's header and counts.
type receiver struct {
	expect expect
	seen   int // in this burst; by the goroutine alone
	total  atomic.Int64
	bad    atomic.Int64
	bursts chan struct{}
	cancel context.CancelFunc
	end    chan error
}

func startReceiver(dev peer.Device, queue int, x expect) *receiver {
	ctx, cancel := context.WithCancel(context.Background())
	r := &receiver{expect: x, bursts: make(chan struct{}, 1), cancel: cancel, end: make(chan error, 1)}
	go func() { r.end <- dev.Receive(ctx, queue, r.visit) }()
	return r
}

func (r *receiver) visit(p []byte) bool {
	if !r.expect.is(p) {
		r.bad.Add(1)
	}
	r.seen++
	if r.seen%64 == 0 {
		r.total.Add(64)
	}
	if r.seen == burstPackets {
		r.seen = 0
		select {
		case r.bursts <- struct{}{}:
		default: // nobody waits for bursts
		}
	}
	return true
}

// count returns how many packets have come, or an error if one of them was another than the generator sends.
func (r *receiver) count() (int, error) {
	if bad := r.bad.Load(); bad > 0 {
		return 0, fmt.Errorf("%d packets came that the generator did not send", bad)
	}
	return int(r.total.Load()), nil
}

// await returns when a whole burst has come.
func (r *receiver) await() error {
	select {
	case <-r.bursts:
		_, err := r.count()
		return err
	case err := <-r.end:
		r.end <- err
		return fmt.Errorf("the receiver ended before its packets had come: %v", err)
	case <-time.After(patience):
		return fmt.Errorf("a burst of %d packets is not complete after %v", burstPackets, patience)
	}
}

func (r *receiver) stop() error {
	r.cancel()
	return <-r.end
}
