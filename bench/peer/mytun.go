// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"context"
	"errors"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/pkg/mytunev"
)

var mytun = Peer{
	Name:    result.PeerMytun,
	Rings:   true,
	Open:    openMytun,
	Forward: forwardMytun,
}

// sendBatch is how many packets are shown to the kernel at once: it starts on them while the process makes the next.
const sendBatch = 256

// A mytunDevice is mytun through its library.
type mytunDevice struct {
	dev  *mytunev.Device
	ring int // bytes of each, 0 for the default
}

func openMytun(c Config) (Device, error) {
	config := mytunev.Config{
		Backend: mytunev.BackendMytun, // stock tun has a peer of its own
		Name:    c.Name, Queues: c.queues(), RxRing: c.Ring, TxRing: c.Ring, Backpressure: c.Hold, BusyPoll: c.BusyPoll,
		Exclusive: true,
	}
	if c.TAP {
		config.Mode = mytunev.TAP
	}
	if c.Offload {
		config.Offload = mytunev.AllOffloads | mytunev.OffloadUDPTunnel | mytunev.OffloadUDPTunnelChecksum
	}
	dev, err := mytunev.Open(config)
	if err != nil {
		return nil, err
	}
	return &mytunDevice{dev, c.Ring}, nil
}

func (d *mytunDevice) Name() string { return d.dev.Name() }

var errEnough = errors.New("the visitor has had enough")

// ended takes the ends that are no failures out of an error of Run.
func ended(ctx context.Context, err error) error {
	if err == errEnough || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (d *mytunDevice) Receive(ctx context.Context, queue int, visit Visitor) error {
	return ended(ctx, d.dev.Queues()[queue].Run(ctx, func(b *mytunev.Batch) error {
		for f, ok := b.Next(); ok; f, ok = b.Next() {
			if !visit(f.Data) {
				return errEnough
			}
		}
		return nil
	}))
}

func (d *mytunDevice) Reflect(ctx context.Context, edit Visitor) error {
	return ended(ctx, d.dev.Queues()[0].Run(ctx, func(b *mytunev.Batch) error {
		for f, ok := b.Next(); ok; f, ok = b.Next() {
			if edit(f.Data) {
				if err := b.SendFrame(f); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func (d *mytunDevice) Send(queue int, packet []byte, count int) error {
	q := d.dev.Queues()[queue]
	for count > 0 {
		n := min(count, sendBatch)
		if err := q.SendBatch(func(tx *mytunev.Tx) error { return fill(tx, packet, n) }); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

func fill(tx *mytunev.Tx, packet []byte, n int) error {
	for range n {
		if err := tx.Send(packet); err != nil {
			return err
		}
	}
	return nil
}

func (d *mytunDevice) Counters() (Counters, error) {
	s, err := d.dev.Stats()
	return Counters{Doorbells: s.Doorbells + s.RxDoorbells + s.TxSpaceSignals, Waits: s.SpaceWaits}, err
}

func (d *mytunDevice) FDs() (fds []int) {
	for _, q := range d.dev.Queues() {
		if conn, err := q.SyscallConn(); err == nil {
			conn.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
	}
	return fds
}

func (d *mytunDevice) Close() error { return d.dev.Close() }

// forwardMytun copies each frame once, from ring to ring, with its metadata.
func forwardMytun(ctx context.Context, a, b Device) error {
	return both(ctx, func(ctx context.Context) error { return passMytun(ctx, a.(*mytunDevice), b.(*mytunDevice)) },
		func(ctx context.Context) error { return passMytun(ctx, b.(*mytunDevice), a.(*mytunDevice)) })
}

func passMytun(ctx context.Context, from, to *mytunDevice) error {
	out := to.dev.Queues()[0]
	return ended(ctx, from.dev.Queues()[0].Run(ctx, func(b *mytunev.Batch) error {
		return out.SendBatch(func(tx *mytunev.Tx) error {
			for f, ok := b.Next(); ok; f, ok = b.Next() {
				if err := tx.SendFrame(f); err != nil {
					return err
				}
			}
			return nil
		})
	}))
}
