// SPDX-License-Identifier: MIT

package mytunev

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// Classes of sentinel errors.
const (
	errAgain   = unix.EAGAIN
	errMsgSize = unix.EMSGSIZE
)

// openQueues opens the queues one by one. The first creates the device and so settles
// its name; the others attach to it.
func openQueues(c Config, openQueue func(c Config, name string, exclusive bool) (port, string, error)) (*Device, error) {
	var ports []port
	name, exclusive := c.Name, c.Exclusive
	for range c.Queues {
		p, attached, err := openQueue(c, name, exclusive)
		if err != nil {
			for _, p := range ports {
				p.close()
			}
			return nil, err
		}
		ports = append(ports, p)
		name, exclusive = attached, false
	}
	return newDevice(name, c.Mode, ports), nil
}

// A setup collects what one queue consists of, in the order in which it is made,
// and frees it in the reverse order.
type setup struct {
	undo []func() error
}

func (s *setup) add(undo func() error) { s.undo = append(s.undo, undo) }

func (s *setup) close() error {
	var err error
	for i := len(s.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, s.undo[i]())
	}
	return err
}

// openQueue opens one queue and returns the name of the device it belongs to.
func openQueue(c Config, name string, exclusive bool) (p port, attached string, err error) {
	fd, err := openNode(c.Path, openError)
	if err != nil {
		return p, "", err
	}
	return setUpQueue(fd, c, func() (string, error) { return attach(fd, c, name, attachFlags(c, exclusive)) })
}

// setUpQueue makes a port of a file of the module's, which it owns, once attach has made it
// a queue of the device whose name that returns.
func setUpQueue(fd int, c Config, attach func() (string, error)) (p port, attached string, err error) {
	s := &setup{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	file := &openFile{fd: fd}
	s.add(file.close)
	if attached, err = attach(); err != nil {
		return p, "", err
	}
	info, err := makeRings(fd, c, attached)
	if err != nil {
		return p, "", err
	}
	if err = c.configure(fd, info.features, attached); err != nil {
		return p, "", err
	}
	p = port{maxFrame: info.frameMax, file: file}
	p.vnet = c.Offload != 0
	p.hash = info.features&featureTxHash != 0
	p.ahead = c.ahead()
	if err = s.mapRings(fd, info, &p); err != nil {
		return p, "", opError("map the rings of", attached, err, memoryHint(err))
	}
	if err = s.makeEvents(fd, c.locked(), &p); err != nil {
		return p, "", opError("set up the events of", attached, err, "")
	}
	p.close = sync.OnceValue(s.close)
	return p, attached, nil
}

func openNode(path string, failure func(path string, err error) error) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &nodeError{failure(path, err)}
		}
	}
}

const nameHint = "a name has at most 15 bytes"

// attach makes fd a queue of the network device and returns the device's name.
func attach(fd int, c Config, name string, flags uint16) (string, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return "", opError("attach to", name, err, nameHint)
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return "", opError("attach to", cmp.Or(name, "a new device"), err, attachHint(err, c))
	}
	return ifr.Name(), nil
}

func attachFlags(c Config, exclusive bool) uint16 {
	flags := uint16(unix.IFF_NO_PI | unix.IFF_TUN)
	if c.Mode == TAP {
		flags = unix.IFF_NO_PI | unix.IFF_TAP
	}
	if c.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if c.Offload != 0 {
		flags |= unix.IFF_VNET_HDR
	}
	if exclusive {
		flags |= unix.IFF_TUN_EXCL
	}
	return flags
}

func attachHint(err error, c Config) string {
	switch err {
	case unix.EPERM, unix.EACCES:
		return "CAP_NET_ADMIN is needed: run as root, or make the user the device's owner"
	case unix.EBUSY, unix.EEXIST:
		return "the name is taken: by another process, or by a device of another kind"
	case unix.EINVAL:
		return "the name is not valid, or such a device exists and is not " + c.describe()
	case unix.ENOTTY:
		return notOurs(c)
	case unix.E2BIG:
		return "the device has as many queues as it can have"
	}
	return ""
}

// describe names the kind of device that c asks for.
func (c Config) describe() string {
	text := c.Mode.String()
	if c.Queues > 1 {
		text += " with many queues"
	}
	if c.Offload != 0 {
		text += " with offload"
	} else {
		text += " without offload"
	}
	return text
}

// makeRings chooses the sizes of the rings and what is in them, and learns where they are. A
// file that somebody has used before may have its rings already.
func makeRings(fd int, c Config, name string) (*abiInfo, error) {
	info := &abiInfo{}
	if ioctl(fd, iocGetInfo, info) == nil { // else ringHint says why
		if err := c.check(info.features, name); err != nil {
			return nil, err
		}
	}
	if info.rx.size != 0 || info.tx.size != 0 {
		return info, c.takeRings(info, name)
	}
	rings := c.rings(info.features)
	if err := ioctl(fd, iocSetRings, &rings); err != nil {
		return nil, opError("set the ring sizes of", name, err, ringHint(fd, c, err))
	}
	if err := ioctl(fd, iocGetInfo, info); err != nil {
		return nil, opError("get the layout of", name, err, "")
	}
	return info, info.validate(rings)
}

// rings is what to ask of a module with these features.
func (c Config) rings(features uint64) abiRingConfig {
	r := abiRingConfig{
		rxSize: uint32(c.RxRing), txSize: uint32(c.TxRing),
		rxHeadroom: uint32(c.Headroom), rxTailroom: uint32(c.Tailroom),
	}
	if c.FlowHash && features&featureRingsHash != 0 {
		r.flags = ringsHash
	}
	return r
}

func ringHint(fd int, c Config, err error) string {
	var info abiInfo
	switch {
	case err != unix.EINVAL && err != unix.ENOTTY:
		return memoryHint(err)
	case ioctl(fd, iocGetInfo, &info) != nil: // stock tun calls what it does not know invalid
		return notOurs(c)
	}
	return fmt.Sprintf("a size is a power of two from %d to %d", info.ringSizeMin, info.ringSizeMax)
}

func notOurs(c Config) string {
	return c.Path + " is not mytun's device node; Config.Backend chooses stock tun"
}

func memoryHint(err error) string {
	if err == unix.ENOMEM {
		return "choose smaller rings, or raise the limit of the memory cgroup"
	}
	return ""
}

// mapRings maps the two index pages and the two data areas.
func (s *setup) mapRings(fd int, info *abiInfo, p *port) error {
	const readOnly, readWrite = unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE
	kernel, err := s.mmap(fd, info.kernelPageOffset, uint64(info.pageLength), readOnly)
	if err != nil {
		return err
	}
	user, err := s.mmap(fd, info.userPageOffset, uint64(info.pageLength), readWrite)
	if err != nil {
		return err
	}
	rx, err := s.mmap(fd, info.rx.dataOffset, info.rx.dataLength, readWrite)
	if err != nil {
		return err
	}
	tx, err := s.mmap(fd, info.tx.dataOffset, info.tx.dataLength, readWrite)
	if err != nil {
		return err
	}
	p.state = wordAt(kernel, info.state)
	p.rx = info.rx.memory(rx, kernel, user)
	p.tx = info.tx.memory(tx, user, kernel)
	return nil
}

// memory makes ringMemory of a ring's mappings: its data and the pages that the
// producer and the consumer write.
func (r *abiRingInfo) memory(data, producer, consumer []byte) ringMemory {
	return ringMemory{
		data:       data,
		size:       r.size,
		producer:   wordAt(producer, r.producer),
		needSpace:  wordAt(producer, r.needSpace),
		consumer:   wordAt(consumer, r.consumer),
		needWakeup: wordAt(consumer, r.needWakeup),
		headroom:   uint32(r.headroom),
		tailroom:   uint32(r.tailroom),
	}
}

func (s *setup) mmap(fd int, offset, length uint64, prot int) ([]byte, error) {
	if int64(offset) < 0 || length > uint64(maxInt) {
		return nil, unix.EOVERFLOW
	}
	b, err := unix.Mmap(fd, int64(offset), int(length), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	s.add(func() error { return unix.Munmap(b) })
	return b, nil
}

const maxInt = int(^uint(0) >> 1)

// makeEvents creates the three eventfds, hands them to the kernel and makes the
// sleepers that wait for two of them, for goroutines that keep their threads or not.
func (s *setup) makeEvents(fd int, locked bool, p *port) error {
	var events [3]*eventfd.EventFD
	for i := range events {
		e, err := eventfd.New()
		if err != nil {
			return err
		}
		s.add(e.Close)
		events[i] = e
	}
	rxDoorbell, txDoorbell, txSpace := events[0], events[1], events[2]
	fds := abiEventFDs{
		rxDoorbell: int32(rxDoorbell.FD()),
		txDoorbell: int32(txDoorbell.FD()),
		txSpace:    int32(txSpace.FD()),
	}
	if err := ioctl(fd, iocSetEventFDs, &fds); err != nil {
		return err
	}
	p.doorbell = txDoorbell
	var err error
	if p.frames, err = s.sleeper(rxDoorbell, locked); err != nil {
		return err
	}
	p.space, err = s.sleeper(txSpace, locked)
	return err
}

func (s *setup) sleeper(bell *eventfd.EventFD, locked bool) (sleeper, error) {
	e, err := newSleeper(bell, locked)
	if err != nil {
		return nil, err
	}
	s.add(e.close)
	return e, nil
}

func newSleeper(bell *eventfd.EventFD, locked bool) (sleeper, error) {
	if locked {
		return newEpollSleeper(bell)
	}
	return newPollSleeper(bell)
}
