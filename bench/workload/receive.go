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
)

// Packets come in bursts that the queue in front of the interface can hold: the contestant is saturated within a burst, and none is lost.
const (
	burstPackets = 8192
	bursts       = 4 // the first warms up and is not measured
	// burstPatience is real time: far more than a burst takes on a machine that is busy.
	burstPatience = 60 * time.Second
)

var receive = Workload{
	Name:  result.WorkloadRx,
	Sizes: []int{64, 1400},
	Base:  receiveBase,
	Run:   receiveRun,
}

// receiveBase is what the generator costs: the same bursts to an interface that drops them.
func receiveBase(e *Env, size int) (float64, []Sample, error) {
	remove, err := dummy("sink0")
	if err != nil {
		return 0, nil, err
	}
	defer remove()
	if err := bringUp("sink0", nearAddr+"/24", burstPackets); err != nil {
		return 0, nil, err
	}
	used, err := e.bursts("sink0", size, func() error { return nil })
	if err != nil {
		return 0, nil, err
	}
	s := e.costs(Generator, used, (bursts-1)*burstPackets, size, 0)
	return s[0].Value, s, nil
}

func receiveRun(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUp(dev.Name(), nearAddr+"/24", burstPackets); err != nil {
		return nil, err
	}
	r := startReceiver(dev, size)
	before, err := dev.Counters()
	if err != nil {
		return nil, err
	}
	used, err := e.bursts(dev.Name(), size, r.await)
	if err = errors.Join(err, r.stop()); err != nil {
		return nil, err
	}
	after, err := dev.Counters()
	if err != nil {
		return nil, err
	}
	return append(e.costs(p.Name, used, (bursts-1)*burstPackets, size, base), doorbells(p, before, after, bursts*burstPackets)...), nil
}

// bursts sends burst after burst to dev, calls await after each, and returns what all but the first cost.
func (e *Env) bursts(dev string, size int, await func() error) (used Usage, err error) {
	g, err := newPktgen(dev, size)
	if err != nil {
		return used, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	var start Usage
	for i := range bursts {
		if i == 1 {
			if start, err = e.usage(); err != nil {
				return used, err
			}
		}
		refused, err := g.burst(burstPackets)
		if err == nil && refused > 0 {
			err = fmt.Errorf("%s refused %d packets of a burst of %d, which its queue should hold", dev, refused, burstPackets)
		}
		if err = errors.Join(err, await()); err != nil {
			return used, err
		}
	}
	used, err = e.usage()
	return used.Sub(start), err
}

// A receiver is the program that takes the packets: it looks at each one's header and counts.
type receiver struct {
	size   int
	seen   int // by the goroutine alone, as is bad
	bad    int
	whole  atomic.Bool // this burst had no bad packet
	bursts chan struct{}
	cancel context.CancelFunc
	end    chan error
}

func startReceiver(dev peer.Device, size int) *receiver {
	ctx, cancel := context.WithCancel(context.Background())
	r := &receiver{size: size, bursts: make(chan struct{}, bursts), cancel: cancel, end: make(chan error, 1)}
	go func() { r.end <- dev.Receive(ctx, 0, r.visit) }()
	return r
}

// visit checks what tells the generator's packets from others: length, EtherType, and UDP port.
func (r *receiver) visit(p []byte) bool {
	if len(p) != r.size || binary.BigEndian.Uint16(p[12:]) != 0x0800 || binary.BigEndian.Uint16(p[36:]) != 9 {
		r.bad++
	}
	if r.seen++; r.seen == burstPackets {
		r.whole.Store(r.bad == 0)
		r.seen, r.bad = 0, 0
		r.bursts <- struct{}{}
	}
	return true
}

// await returns when a whole burst has come.
func (r *receiver) await() error {
	select {
	case <-r.bursts:
		if !r.whole.Load() {
			return errors.New("packets came that the generator did not send")
		}
		return nil
	case err := <-r.end:
		r.end <- err
		return fmt.Errorf("the receiver ended before its packets had come: %v", err)
	case <-time.After(burstPatience):
		return fmt.Errorf("a burst of %d packets is not complete after %v", burstPackets, burstPatience)
	}
}

func (r *receiver) stop() error {
	r.cancel()
	return <-r.end
}

// doorbells are a contestant's notifications a packet, if it has any to count.
func doorbells(p peer.Peer, before, after peer.Counters, packets int) []Sample {
	if !p.Rings {
		return nil
	}
	return []Sample{{p.Name, result.MetricDoorbells, "1/packet", float64(after.Doorbells-before.Doorbells) / float64(packets)}}
}
