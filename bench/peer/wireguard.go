// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mytun/mytun/bench/result"
	"golang.zx2c4.com/wireguard/tun"
)

// wireguard is stock tun as the package of wireguard-go uses it: super-packets in both directions, cut up and put together in the process.
var wireguard = Peer{
	Name:    result.PeerWireGuard,
	Open:    openWireGuard,
	Forward: forwardWireGuard,
}

const (
	// wireguardOffset is the room that the package wants in front of a packet, for its header.
	wireguardOffset = 16
	wireguardMTU    = 1500
)

// A wireguardDevice is the package's, with buffers for one batch in each direction.
type wireguardDevice struct {
	dev  tun.Device
	name string
	fds  []int
	out  packets
}

// packets are the buffers of one batch.
type packets struct {
	buffers [][]byte
	sizes   []int
}

func newPackets(n int) packets {
	p := packets{buffers: make([][]byte, n), sizes: make([]int, n)}
	for i := range p.buffers {
		p.buffers[i] = make([]byte, wireguardOffset+maxPacket)
	}
	return p
}

func openWireGuard(c Config) (Device, error) {
	if c.TAP || c.queues() > 1 {
		return nil, fmt.Errorf("wireguard's package makes TUN interfaces with one queue: %w", ErrUnable)
	}
	dev, err := tun.CreateTUN(c.Name, wireguardMTU)
	if err != nil {
		return nil, err
	}
	go func() {
		for range dev.Events() { // it stops reading and writing if nobody takes them
		}
	}()
	d := &wireguardDevice{dev: dev, name: c.Name, out: newPackets(dev.BatchSize())}
	conn, err := dev.File().SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { d.fds = []int{int(fd)} })
	}
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return d, nil
}

func (d *wireguardDevice) Name() string { return d.name }

func (d *wireguardDevice) Receive(ctx context.Context, _ int, visit Visitor) error {
	return d.batches(ctx, func(batch [][]byte) (bool, error) {
		for _, p := range batch {
			if !visit(p[wireguardOffset:]) {
				return false, nil
			}
		}
		return true, nil
	})
}

func (d *wireguardDevice) Reflect(ctx context.Context, edit Visitor) error {
	return d.batches(ctx, func(batch [][]byte) (bool, error) {
		back := batch[:0]
		for _, p := range batch {
			if edit(p[wireguardOffset:]) {
				back = append(back, p)
			}
		}
		return true, d.write(back)
	})
}

// batches calls f with batch after batch, each packet behind wireguardOffset bytes, until f returns false or ctx is done.
func (d *wireguardDevice) batches(ctx context.Context, f func(batch [][]byte) (bool, error)) error {
	defer context.AfterFunc(ctx, func() { d.dev.File().SetReadDeadline(time.Unix(1, 0)) })()
	in := newPackets(d.dev.BatchSize())
	batch := make([][]byte, len(in.buffers))
	for {
		n, err := d.dev.Read(in.buffers, in.sizes, wireguardOffset)
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return fmt.Errorf("read from %s: %w", d.name, err)
		}
		for i := range n {
			batch[i] = in.buffers[i][:wireguardOffset+in.sizes[i]]
		}
		if more, err := f(batch[:n]); !more || err != nil {
			return err
		}
	}
}

func (d *wireguardDevice) write(batch [][]byte) error {
	if len(batch) == 0 {
		return nil
	}
	if _, err := d.dev.Write(batch, wireguardOffset); err != nil {
		return fmt.Errorf("write to %s: %w", d.name, err)
	}
	return nil
}

// Send copies the packet into each buffer anew: the package puts them together in place.
func (d *wireguardDevice) Send(_ int, packet []byte, count int) error {
	batch := make([][]byte, len(d.out.buffers))
	for count > 0 {
		n := min(count, len(batch))
		for i := range n {
			batch[i] = d.out.buffers[i][:wireguardOffset+len(packet)]
			copy(batch[i][wireguardOffset:], packet)
		}
		if err := d.write(batch[:n]); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

func (d *wireguardDevice) Counters() (Counters, error) { return Counters{}, nil }

func (d *wireguardDevice) FDs() []int { return d.fds }

func (d *wireguardDevice) Close() error { return d.dev.Close() }

// forwardWireGuard passes batches on as they come.
func forwardWireGuard(ctx context.Context, a, b Device) error {
	return both(ctx, func(ctx context.Context) error { return passWireGuard(ctx, a.(*wireguardDevice), b.(*wireguardDevice)) },
		func(ctx context.Context) error { return passWireGuard(ctx, b.(*wireguardDevice), a.(*wireguardDevice)) })
}

func passWireGuard(ctx context.Context, from, to *wireguardDevice) error {
	return from.batches(ctx, func(batch [][]byte) (bool, error) { return true, to.write(batch) })
}
