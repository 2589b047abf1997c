// SPDX-License-Identifier: MIT

package mytunev

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The stock backend. There is no kernel behind its rings: they are the process's own
// memory, and a tunQueue plays the other side of both, on the goroutine that has the
// ring just then. See consumer.fill and producer.drain.

// Sizes that the module's rings can have, and the longest frame that they carry: with
// stock tun they are the same.
const (
	tunRingMin  = 128 << 10
	tunRingMax  = 64 << 20
	tunFrameMax = 65568
)

// tunHeader is the size in bytes of struct virtio_net_hdr_v1_hash_tunnel, which stands in
// front of each frame with IFF_VNET_HDR. A kernel that knows only the beginning of it
// skips the rest, or fills it with zeros.
const tunHeader = 24

// tunBackpressure is IFF_BACKPRESSURE of <linux/if_tun.h>, since Linux 7.3.
const tunBackpressure = 0x0080

// Bits of TUNSETOFFLOAD: the least that comes with segmentation of UDP, and of tunnels.
const (
	tunProbeUSO     = 0x01 | 0x20 | 0x40
	tunProbeTunnels = tunProbeUSO | 0x80 | 0x100
)

// A tunOpener opens the queues of one device of stock tun.
type tunOpener struct {
	probed       bool // the first queue has asked what the kernel takes:
	uso, tunnels bool // super-packets of UDP, and within UDP tunnels
}

func openTun(c Config) (*Device, error) {
	c.Name = c.tunName()
	if err := c.checkTunRings(c.Name); err != nil {
		return nil, err
	}
	return openQueues(c, (&tunOpener{}).openQueue)
}

// tunName is the name to ask stock tun for, which has another default.
func (c Config) tunName() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Mode == TAP:
		return "mytap%d"
	}
	return "mytun%d"
}

// checkTunRings refuses what the module would.
func (c Config) checkTunRings(name string) error {
	for _, size := range []int{c.RxRing, c.TxRing} {
		if size < tunRingMin || size > tunRingMax {
			return opError("set the ring sizes of", name, unix.EINVAL,
				fmt.Sprintf("a size is a power of two from %d to %d", tunRingMin, tunRingMax))
		}
	}
	return nil
}

// openQueue is the function openQueue for stock tun.
func (o *tunOpener) openQueue(c Config, name string, exclusive bool) (p port, attached string, err error) {
	fd, err := openNode(c.Path, tunError)
	if err != nil {
		return p, "", err
	}
	return o.setUpQueue(fd, c, func() (string, bool, error) {
		attached, err := c.attachTun(fd, name, exclusive)
		return attached, c.Offload != 0, err
	})
}

// attachTun is attach for stock tun.
func (c Config) attachTun(fd int, name string, exclusive bool) (string, error) {
	flags, err := c.tunFlags(fd, exclusive)
	if err != nil {
		return "", opError("configure", cmp.Or(name, "a new device"), err, "have mytun's module, or ask for less")
	}
	attached, err := attach(fd, c, name, flags)
	if err != nil {
		return "", err
	}
	return attached, c.checkJoined(fd, attached, flags)
}

// setUpQueue is the function setUpQueue for stock tun; attach also tells whether there is a
// vnet header in front of frames.
func (o *tunOpener) setUpQueue(fd int, c Config, attach func() (string, bool, error)) (p port, attached string, err error) {
	s := &setup{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	file := &openFile{fd: fd}
	s.add(file.close)
	attached, vnet, err := attach()
	if err != nil {
		return p, "", err
	}
	if err = o.configure(fd, c, attached, vnet); err != nil {
		return p, "", err
	}
	q := &tunQueue{fd: fd, tap: c.Mode == TAP, awaited: true, state: new(atomic.Uint32), readFD: unix.Read, writeFD: unix.Write}
	if vnet {
		q.header = tunHeader
	}
	if err = s.makeTunRings(q, c); err != nil {
		return p, "", opError("make the rings of", attached, err, memoryHint(err))
	}
	p = q.port(tunFile{file, q})
	p.unfit, p.vnet = o.unfit, c.Offload != 0
	if err = s.makeTunSleepers(fd, c.locked(), &p); err != nil {
		return p, "", err
	}
	p.close = sync.OnceValue(s.close)
	return p, attached, nil
}

// tunError is openError for stock tun.
func tunError(path string, err error) error { return opError("open", path, err, tunHint(err)) }

// tunHint says what to do about a node of stock tun that cannot be opened.
func tunHint(err error) string {
	switch err {
	case unix.ENOENT, unix.ENODEV, unix.ENXIO:
		return "stock tun: sudo modprobe tun, or hand the node to a container with --device /dev/net/tun"
	case unix.EACCES:
		return "the node's permissions do not allow it: run as root"
	case unix.EPERM:
		return "this container may not use the device: start it with --device /dev/net/tun"
	}
	return ""
}

// tunFlags returns the flags to attach with.
func (c Config) tunFlags(fd int, exclusive bool) (uint16, error) {
	flags := attachFlags(c, exclusive)
	if !c.Backpressure {
		return flags, nil
	}
	var features uint32
	if err := ioctl(fd, unix.TUNGETFEATURES, &features); err != nil || features&tunBackpressure == 0 {
		return 0, fmt.Errorf("this kernel's tun driver knows no Config.Backpressure, which is of Linux 7.3: %w", ErrNotSupported)
	}
	return flags | tunBackpressure, nil
}

// checkJoined refuses a device that others have open and that is of another kind. Stock
// tun lets a further queue join it whatever its flags, and goes by the first queue's: what
// stands in front of a frame would be taken for the frame.
func (c Config) checkJoined(fd int, name string, flags uint16) error {
	_, has, err := attachment(fd)
	if err != nil {
		return opError("get the flags of", name, err, "")
	}
	differ := has ^ flags
	switch {
	case differ&(unix.IFF_NO_PI|unix.IFF_VNET_HDR) != 0:
		return opError("attach to", name, unix.EINVAL, attachHint(unix.EINVAL, c))
	case c.Backpressure && differ&tunBackpressure != 0:
		return opError("attach to", name, unix.EINVAL, "others have it open without Config.Backpressure")
	}
	return nil
}

// configure is Config.configure for stock tun.
func (o *tunOpener) configure(fd int, c Config, name string, vnet bool) error {
	if vnet {
		if err := o.configureHeader(fd, c.Mode); err != nil {
			return opError("set the vnet header of", name, err, "")
		}
	}
	switch err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(c.Offload.kernelFlags())); {
	case err == unix.EINVAL:
		return opError("set the offloads of", name, ErrNotSupported,
			"this kernel's tun driver does not know all of Config.Offload "+c.Offload.String()+": USO is of Linux 6.2, UDPTunnel of 6.17")
	case err != nil:
		return opError("set the offloads of", name, err, "Config.Offload is "+c.Offload.String())
	}
	// With a bound a write can fail for no fault of the frame's.
	bound := uint32(math.MaxInt32)
	if err := ioctl(fd, unix.TUNSETSNDBUF, &bound); err != nil {
		return opError("set the send buffer of", name, err, "")
	}
	return nil
}

// configureHeader chooses the header in front of frames, and finds out what it can say:
// with the first queue, before there are frames that the offloads of a moment could do
// anything to. Tunnels' super-packets are for TAP devices alone: tun wants room for an
// Ethernet header in front of the tunnel's headers, and so refuses on a TUN device what it
// hands out there.
func (o *tunOpener) configureHeader(fd int, mode Mode) error {
	size, littleEndian := uint32(tunHeader), uint32(1)
	if err := ioctl(fd, unix.TUNSETVNETHDRSZ, &size); err != nil {
		return err
	}
	if err := ioctl(fd, unix.TUNSETVNETLE, &littleEndian); err != nil {
		return err
	}
	if !o.probed {
		o.probed = true
		known := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunProbeTunnels) == nil
		o.tunnels = known && mode == TAP
		o.uso = known || unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunProbeUSO) == nil
	}
	return nil
}

// unfit implements port.unfit.
func (o *tunOpener) unfit(kind byte) error {
	const tunnel = GSOUDPTunnelIPv4 | GSOUDPTunnelIPv6
	if kind&tunnel != 0 && !o.tunnels || kind&^(GSOECN|tunnel) == GSOUDPL4 && !o.uso {
		return errSegmentation
	}
	return nil
}

// makeTunRings gives q its rings, in memory of this process.
func (s *setup) makeTunRings(q *tunQueue, c Config) error {
	for _, r := range []struct {
		ring *ringMemory
		size int
	}{{&q.rx, c.RxRing}, {&q.tx, c.TxRing}} {
		data, unmap, err := mapTwice(r.size)
		if err != nil {
			return err
		}
		s.add(unmap)
		*r.ring = ringMemory{
			data: data, size: uint32(r.size),
			producer: new(atomic.Uint32), consumer: new(atomic.Uint32),
			needWakeup: new(atomic.Uint32), needSpace: new(atomic.Uint32),
		}
	}
	q.rx.headroom, q.rx.tailroom = uint32(c.Headroom), uint32(c.Tailroom)
	return nil
}

// makeTunSleepers makes what waits for frames, for goroutines that keep their threads or
// not, and for room.
func (s *setup) makeTunSleepers(fd int, locked bool, p *port) error {
	frames, err := newTunSleeper(fd, p.state, locked)
	if err != nil {
		return err
	}
	s.add(frames.close)
	p.frames = frames
	p.space = newIdleSleeper()
	return nil
}
