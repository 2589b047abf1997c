// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/pkg/eventfd"
	"golang.org/x/sys/unix"
)

// vhost is vhost-net on a stock tap: what virtual machines have, with this process in place of the machine.
var vhost = Peer{
	Name:     result.PeerVhost,
	Rings:    true,
	Ethernet: true,
	Open:     openVhost,
	Forward:  forwardVhost,
}

const (
	vhostPackets     = 1024 // of a queue whose packets are within the MTU
	vhostSuper       = 256  // of a queue with super-packets
	vhostPacketSize  = 2048
	vhostSuperSize   = 65536 + 256
	vhostHeader      = 12 // struct virtio_net_hdr_v1, in front of each packet
	vhostBatch       = 64 // packets that are shown to the device at once
	vhostRx, vhostTx = 0, 1
)

// Feature bits.
const (
	virtioEventIdx = 1 << 29
	virtioVersion1 = 1 << 32
)

// The ioctls of <linux/vhost.h>: _IOW and _IO of 0xAF.
const (
	vhostSetFeatures   = 0x4008AF00
	vhostGetFeatures   = 0x8008AF00
	vhostSetOwner      = 0x0000AF01
	vhostSetMemTable   = 0x4008AF03
	vhostSetVringNum   = 0x4008AF10
	vhostSetVringAddr  = 0x4028AF11
	vhostSetVringBase  = 0x4008AF12
	vhostSetVringKick  = 0x4008AF20
	vhostSetVringCall  = 0x4008AF21
	vhostNetSetBackend = 0x4008AF30
)

type vhostVringState struct{ index, num uint32 }

type vhostVringFile struct {
	index uint32
	fd    int32
}

type vhostVringAddr struct {
	index, flags           uint32
	desc, used, avail, log uint64
}

// vhostMemory is struct vhost_memory with one region.
type vhostMemory struct {
	regions, _              uint32
	guest, size, process, _ uint64
}

// A vhostDevice is a tap, a vhost-net on it, and two virtqueues. One goroutine each may receive and send.
type vhostDevice struct {
	tap    *tunDevice
	fd     int // of /dev/vhost-net
	memory []byte
	queues [2]*virtqueue
	kick   [2]*eventfd.EventFD
	call   [2]*eventfd.EventFD
	free   uint16 // descriptors of the tx queue that were never used yet
	rung   atomic.Uint64
	waits  atomic.Uint64
}

func openVhost(c Config) (Device, error) {
	if c.queues() > 1 {
		return nil, fmt.Errorf("this client of vhost-net has one pair of queues: %w", ErrUnable)
	}
	if c.Poller {
		return nil, fmt.Errorf("this client of vhost-net waits in poll: %w", ErrUnable)
	}
	c.TAP = true
	tap, err := openTun(tunPath, c, unix.IFF_VNET_HDR)
	if err != nil {
		return nil, err
	}
	d := &vhostDevice{tap: tap, fd: -1}
	if err := d.setUp(c); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *vhostDevice) setUp(c Config) error {
	if err := unix.IoctlSetPointerInt(d.tap.fds[0], unix.TUNSETVNETHDRSZ, vhostHeader); err != nil {
		return fmt.Errorf("set the header's size of %s: %w", c.Name, err)
	}
	n, size := uint16(vhostPackets), vhostPacketSize
	if c.Offload {
		n, size = vhostSuper, vhostSuperSize
		if err := setOffload(d.tap.fds[0]); err != nil {
			return fmt.Errorf("set the offloads of %s: %w", c.Name, err)
		}
	}
	const path = "/dev/vhost-net"
	var err error
	if d.fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s: %w (modprobe vhost_net)", path, err)
	}
	bytes := align(queueBytes(n, size))
	if d.memory, err = unix.Mmap(-1, 0, 2*bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("map %d bytes: %w", 2*bytes, err)
	}
	d.queues[vhostRx] = newVirtqueue(d.memory[:bytes], n, size, true)
	d.queues[vhostTx] = newVirtqueue(d.memory[bytes:], n, size, false)
	d.free = n
	if err := d.connect(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i := range n {
		d.queues[vhostRx].offer(i)
	}
	return d.show(vhostRx)
}

// TUN_F_* of <linux/if_tun.h>: super-packets of TCP, and those of UDP, which not every kernel has.
const (
	tcpOffloads = 0x01 | 0x02 | 0x04 // checksum, TSO4, TSO6
	udpOffloads = 0x20 | 0x40        // USO4, USO6
)

// setOffload lets the kernel hand over super-packets.
func setOffload(fd int) error {
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcpOffloads|udpOffloads) == nil {
		return nil
	}
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcpOffloads)
}

// HasUDPSuper reports whether this kernel's tun knows UDP super-packets: Linux 6.2 was the first.
func HasUDPSuper() (bool, error) {
	tap, err := openTun(tunPath, Config{Name: "probe%d", TAP: true}, unix.IFF_VNET_HDR)
	if err != nil {
		return false, err
	}
	defer tap.Close()
	return unix.IoctlSetInt(tap.fds[0], unix.TUNSETOFFLOAD, tcpOffloads|udpOffloads) == nil, nil
}

// connect tells vhost-net of the memory, the queues and the tap. It makes its thread first, which a signal would end with ENOMEM.
func (d *vhostDevice) connect() error {
	if err := WithoutSignals(func() error { return d.ioctl(vhostSetOwner, nil) }); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	var offered uint64
	features := uint64(virtioEventIdx | virtioVersion1)
	if err := d.ioctl(vhostGetFeatures, unsafe.Pointer(&offered)); err != nil || offered&features != features {
		return fmt.Errorf("it offers the features %#x and %#x are needed: %w", offered, features, err)
	}
	if err := d.ioctl(vhostSetFeatures, unsafe.Pointer(&features)); err != nil {
		return fmt.Errorf("set features: %w", err)
	}
	base := uint64(address(d.memory))
	table := vhostMemory{regions: 1, guest: base, size: uint64(len(d.memory)), process: base}
	if err := d.ioctl(vhostSetMemTable, unsafe.Pointer(&table)); err != nil {
		return fmt.Errorf("set memory: %w", err)
	}
	for i := range d.queues {
		if err := d.connectQueue(uint32(i)); err != nil {
			return fmt.Errorf("queue %d: %w", i, err)
		}
	}
	return nil
}

func (d *vhostDevice) connectQueue(i uint32) (err error) {
	if d.kick[i], err = eventfd.New(); err != nil {
		return err
	}
	if d.call[i], err = eventfd.New(); err != nil {
		return err
	}
	q := d.queues[i]
	steps := []struct {
		name    string
		request uintptr
		arg     unsafe.Pointer
	}{
		{"number", vhostSetVringNum, unsafe.Pointer(&vhostVringState{i, uint32(q.n)})},
		{"base", vhostSetVringBase, unsafe.Pointer(&vhostVringState{i, 0})},
		{"address", vhostSetVringAddr, unsafe.Pointer(&vhostVringAddr{
			index: i, desc: uint64(address(q.desc)), used: uint64(address(q.used)), avail: uint64(address(q.avail)),
		})},
		{"kick", vhostSetVringKick, unsafe.Pointer(&vhostVringFile{i, int32(d.kick[i].FD())})},
		{"call", vhostSetVringCall, unsafe.Pointer(&vhostVringFile{i, int32(d.call[i].FD())})},
		{"backend", vhostNetSetBackend, unsafe.Pointer(&vhostVringFile{i, int32(d.tap.fds[0])})},
	}
	for _, s := range steps {
		if err := d.ioctl(s.request, s.arg); err != nil {
			return fmt.Errorf("set its %s: %w", s.name, err)
		}
	}
	return nil
}

func (d *vhostDevice) ioctl(request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// show publishes what was offered and kicks the device if it wants that.
func (d *vhostDevice) show(queue int) error {
	if !d.queues[queue].publish() {
		return nil
	}
	d.rung.Add(1)
	return d.kick[queue].Signal()
}

func (d *vhostDevice) Name() string { return d.tap.name }

func (d *vhostDevice) Receive(ctx context.Context, _ int, visit Visitor) error {
	return d.batches(ctx, func(p []byte) (bool, error) { return visit(p[vhostHeader:]), nil }, func() error { return nil })
}

func (d *vhostDevice) Reflect(ctx context.Context, edit Visitor) error {
	return d.batches(ctx, func(p []byte) (bool, error) {
		if !edit(p[vhostHeader:]) {
			return true, nil
		}
		return true, d.put(p)
	}, func() error { return d.show(vhostTx) })
}

// batches calls f with each packet, header in front, until it returns false or ctx is done, and after after each batch.
func (d *vhostDevice) batches(ctx context.Context, f func(p []byte) (bool, error), after func() error) error {
	w, err := newWaiter(ctx, d.call[vhostRx].FD())
	if err != nil {
		return err
	}
	defer w.close()
	q := d.queues[vhostRx]
	for {
		for n := min(q.pending(), vhostBatch); n > 0; n-- {
			i, length := q.take()
			more, err := f(q.buffer(i)[:length])
			q.offer(i)
			if !more || err != nil {
				return errors.Join(err, after(), d.show(vhostRx))
			}
		}
		if err := errors.Join(after(), d.show(vhostRx)); err != nil {
			return err
		}
		if q.pending() == 0 && !q.arm(0) {
			if w.wait() != nil || ctx.Err() != nil {
				return w.err
			}
			d.drain(vhostRx)
		}
	}
}

// drain takes the calls that came from a queue's event.
func (d *vhostDevice) drain(queue int) {
	if n, err := d.call[queue].Drain(); err == nil {
		d.rung.Add(n)
	}
}

func (d *vhostDevice) Send(_ int, packet []byte, count int) error {
	framed := append(make([]byte, vhostHeader), packet...)
	for i := range count {
		if err := d.put(framed); err != nil {
			return err
		}
		if i%vhostBatch == vhostBatch-1 {
			if err := d.show(vhostTx); err != nil {
				return err
			}
		}
	}
	return d.show(vhostTx)
}

// put copies a packet, header in front, into the tx queue. It waits for room, having shown what is there.
func (d *vhostDevice) put(p []byte) error {
	q := d.queues[vhostTx]
	i, err := d.slot(q)
	if err != nil {
		return err
	}
	q.setLength(i, copy(q.buffer(i), p))
	q.offer(i)
	return nil
}

// slot is a descriptor of the tx queue that the device does not have.
func (d *vhostDevice) slot(q *virtqueue) (uint16, error) {
	if d.free > 0 {
		d.free--
		return d.free, nil
	}
	for q.pending() == 0 {
		if err := d.awaitRoom(q); err != nil {
			return 0, err
		}
	}
	i, _ := q.take()
	return i, nil
}

// awaitRoom sleeps until half of the queue is free.
func (d *vhostDevice) awaitRoom(q *virtqueue) error {
	if err := d.show(vhostTx); err != nil || q.arm(q.n/2) {
		return err
	}
	d.waits.Add(1)
	fds := []unix.PollFd{{Fd: int32(d.call[vhostTx].FD()), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
		return fmt.Errorf("poll: %w", err)
	}
	d.drain(vhostTx)
	return nil
}

func (d *vhostDevice) Counters() (Counters, error) {
	return Counters{Doorbells: d.rung.Load(), Waits: d.waits.Load()}, nil
}

func (d *vhostDevice) FDs() []int { return d.tap.fds }

// Close closes vhost-net first: until then it uses the memory.
func (d *vhostDevice) Close() error {
	var errs []error
	if d.fd >= 0 {
		errs = append(errs, unix.Close(d.fd))
	}
	for i := range d.queues {
		for _, e := range []*eventfd.EventFD{d.kick[i], d.call[i]} {
			if e != nil {
				errs = append(errs, e.Close())
			}
		}
	}
	if d.memory != nil {
		errs = append(errs, unix.Munmap(d.memory))
	}
	return errors.Join(append(errs, d.tap.Close())...)
}

// forwardVhost copies each packet once, from queue to queue, with its header.
func forwardVhost(ctx context.Context, a, b Device) error {
	return both(ctx, func(ctx context.Context) error { return passVhost(ctx, a.(*vhostDevice), b.(*vhostDevice)) },
		func(ctx context.Context) error { return passVhost(ctx, b.(*vhostDevice), a.(*vhostDevice)) })
}

func passVhost(ctx context.Context, from, to *vhostDevice) error {
	return from.batches(ctx, func(p []byte) (bool, error) { return true, to.put(p) }, func() error { return to.show(vhostTx) })
}
