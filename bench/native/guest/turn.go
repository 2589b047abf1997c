// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun/bench/native"
	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/vishvananda/netlink"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	device = "bench0"
	sink   = "sink0"
	// busyPoll is longer than any pause that a stream makes.
	busyPoll = 300 * time.Microsecond
)

// A turn is one of a case.
type turn struct {
	plan  *native.Plan
	c     native.Case
	peer  string
	meter *meter

	dev     peer.Device
	framed  bool          // what it sends has an Ethernet header
	packets uint64        // of the first queue
	second  atomic.Uint64 // of the second
	dropped counter
	thread  *clock
	workers workers
	sender  *clock
}

// processCPU is where the process is. CPU 0 is the sender's.
func (t *turn) processCPU() int { return t.plan.CPUs - 1 }

func (t *turn) run() error {
	t.meter = newMeter(t.plan, t.read)
	if err := pinProcess(os.Getpid(), t.processCPU()); err != nil {
		return err
	}
	var err error
	switch t.c.Kind {
	case native.Call:
		t.calls()
	case native.Generator:
		err = t.generator()
	default:
		err = t.device()
	}
	return errors.Join(err, t.meter.err)
}

func (t *turn) calls() {
	const calls = 64
	for t.meter.on() {
		native.CallMany(calls)
		t.packets += calls
	}
}

// generator sends into an interface that swallows everything, and looks at its counter.
func (t *turn) generator() (err error) {
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: sink}}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("make %s: %w", sink, err)
	}
	defer func() { err = errors.Join(err, netlink.LinkDel(link)) }()
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", sink, err)
	}
	stop, err := t.startSender(sink)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	sent, err := openCounter("/sys/class/net/" + sink + "/statistics/tx_packets")
	if err != nil {
		return err
	}
	defer sent.close()
	const patience = 5 * time.Second
	for end := time.Now().Add(patience); t.packets == 0 || t.meter.on(); {
		time.Sleep(t.plan.Window)
		if t.packets, err = sent.read(); err != nil {
			return err
		}
		if t.packets == 0 && time.Now().After(end) {
			return fmt.Errorf("no packet in %v", patience)
		}
	}
	return nil
}

// device measures a contestant's.
func (t *turn) device() (err error) {
	if t.dev, err = t.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.dev.Close()) }()
	if err := t.settle(); err != nil {
		return err
	}
	defer t.dropped.close()
	defer t.thread.close()
	if t.c.Receives() {
		return t.receive()
	}
	return t.send()
}

// open makes the interface: an Ethernet one for the generator.
func (t *turn) open() (peer.Device, error) {
	config := peer.Config{Name: device, TAP: t.c.Kind == native.Rx || t.c.Kind == native.Reflect, Queues: t.c.Queues, Offload: t.c.Super(), Ring: t.c.Ring << 20}
	if t.c.Polls {
		config.BusyPoll = busyPoll
	}
	name := t.peer
	switch {
	case strings.HasPrefix(name, result.PeerMytun):
		name = result.PeerMytun // a build of it
	case t.c.Super():
		return peer.TunSuper.Open(config)
	}
	p, err := peer.ByName(name)
	if err != nil {
		return nil, err
	}
	t.framed = p.Ethernet
	return p.Open(config)
}

// settle brings the interface up, and puts the threads that serve it where they are to be.
func (t *turn) settle() error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(nearAddr + "/24")
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.AddrAdd(link, address), netlink.LinkSetUp(link)); err != nil {
		return fmt.Errorf("set %s up: %w", device, err)
	}
	if t.framed {
		if err := introduce(link); err != nil {
			return err
		}
	}
	if t.dropped, err = openCounter("/sys/class/net/" + device + "/statistics/tx_dropped"); err != nil {
		return err
	}
	return t.place()
}

// place is settle's: mytun's threads are the kernel's, and vhost-net's are this process's.
func (t *turn) place() error {
	ids, err := threads("mytun/" + device)
	if err != nil {
		return err
	}
	if t.workers, err = findWorkers(); err != nil {
		return err
	}
	cpu := t.processCPU()
	if t.c.Thread0 {
		cpu = 0
	}
	for _, id := range slices.Concat(ids, t.workers) {
		if err := pinThread(id, cpu); err != nil {
			return err
		}
	}
	t.thread, err = newClock(ids)
	return err
}

// startSender sends to the interface until it is stopped.
func (t *turn) startSender(to string) (func() error, error) {
	ids, stop, err := t.sendTo(to)
	if err != nil {
		return nil, err
	}
	if t.sender, err = newClock(ids); err != nil {
		return nil, errors.Join(err, stop())
	}
	return func() error {
		t.sender.close()
		return stop()
	}, nil
}

// sendTo is startSender's, without a clock for the threads that send.
func (t *turn) sendTo(to string) (ids []int, stop func() error, err error) {
	if t.c.Super() {
		helper, err := startHelper(superHelper, 0)
		if err != nil {
			return nil, nil, err
		}
		return []int{helper.Process.Pid}, func() error { return end(helper) }, nil
	}
	g, err := startGenerator(to, t.c.Size, max(t.c.Senders, t.c.Queues, 1), t.c.Queues > 1)
	if err != nil {
		return nil, nil, err
	}
	if ids, err = g.threads(); err != nil {
		return nil, nil, errors.Join(err, g.stop())
	}
	return ids, g.stop, nil
}

// receive counts what comes.
func (t *turn) receive() (err error) {
	stop, err := t.startSender(device)
	if err != nil {
		return err
	}
	stop = sync.OnceValue(stop)
	defer func() { err = errors.Join(err, stop()) }()
	if t.c.Kind == native.Reflect {
		return t.reflect(stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	seconds := make(chan error, 1)
	if t.c.Queues > 1 {
		go func() { seconds <- t.dev.Receive(ctx, 1, t.visitSecond) }()
	} else {
		seconds <- nil
	}
	err = t.dev.Receive(ctx, 0, t.visit)
	cancel()
	return errors.Join(err, <-seconds)
}

// reflect sends back what comes. A contestant looks at the context when nothing comes, so the sender has to stop first.
func (t *turn) reflect(stop func() error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return t.dev.Reflect(ctx, func(p []byte) bool {
		if ctx.Err() == nil && !t.visit(p) {
			cancel()
			go stop()
		}
		return true
	})
}

// visit looks at the clock now and then: doing so for each packet would cost as much as a packet.
func (t *turn) visit(p []byte) bool {
	if len(p) != t.c.Size && !t.c.Super() {
		return true // not of the generator
	}
	t.packets++
	const now = 32
	return t.packets%now != 0 && !t.c.Super() || t.meter.on()
}

func (t *turn) visitSecond([]byte) bool {
	t.second.Add(1)
	return true
}

func (t *turn) send() (err error) {
	s, err := fullSocket()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	burst := 256
	var send func(count int) error
	packet, headers := datagram(t.c.Size, t.c.Super()), native.SuperHeaders
	if t.framed {
		if packet, err = frame(packet); err != nil {
			return err
		}
		headers += header.EthernetMinimumSize
	}
	if t.c.Super() {
		sender := t.dev.(peer.SuperSender)
		burst, send = 16, func(count int) error { return sender.SendSuper(packet, headers, native.SuperSegment, count) }
	} else {
		send = func(count int) error { return t.dev.Send(0, packet, count) }
	}
	for t.meter.on() {
		if err := send(burst); err != nil {
			return err
		}
		t.packets += uint64(burst)
	}
	return nil
}

// read takes a reading of all that is counted.
func (t *turn) read(w *native.Window) (err error) {
	var errs [6]error
	w.Packets = t.packets + t.second.Load()
	if t.dev != nil {
		var counters peer.Counters
		counters, errs[0] = t.dev.Counters()
		w.Doorbells = counters.Doorbells
		w.Dropped, errs[1] = t.dropped.read()
	}
	if t.thread != nil {
		w.Thread, errs[2] = t.thread.ns()
	}
	if t.sender != nil {
		w.Sender, errs[3] = t.sender.ns()
	}
	w.Process, errs[4] = processNS()
	errs[5] = t.workers.account(w)
	return errors.Join(errs[:]...)
}
