// SPDX-License-Identifier: MIT

package wireguard

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/mytun/mytun/pkg/mytunev"

	"golang.zx2c4.com/wireguard/tun"
)

// batchSize is how many packets wireguard-go's own tun.Device and UDP sockets take at a
// time: conn.IdealBatchSize there.
const batchSize = 128

// A Device is a tun.Device over a mytunev.Device. Its methods are safe for concurrent use;
// Reads come one after another, and so do Writes.
type Device struct {
	dev    *mytunev.Device
	queue  *mytunev.Queue
	events *events

	reading, writing sync.Mutex
	buffers          bufferPlaces
	reader           reader
	writer           writer
}

var _ tun.Device = (*Device)(nil)

// CreateTUN opens the TUN device called name, creating it if there is none, and sets its
// MTU, as function CreateTUN of wireguard-go's package tun does. It takes
// CAP_NET_ADMIN. What fails is described by an error of [mytunev.Open].
func CreateTUN(name string, mtu int) (tun.Device, error) {
	dev, err := create(name, mtu)
	if err != nil {
		return nil, err
	}
	d, err := New(dev)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return d, nil
}

// CreateTUNFromFile makes a Device of a file of /dev/net/mytun or /dev/net/tun that somebody else has opened, and sets
// its MTU, as function CreateTUNFromFile of wireguard-go's package tun does. What kind of file it may be, and that it
// becomes non-blocking, [mytunev.OpenFile] says; one that is attached to no device yet makes one with a name of the kernel's
// choice. Writes are joined if its device has IFF_VNET_HDR. The Device has a duplicate of it, and it is closed, but if there
// is an error.
func CreateTUNFromFile(file *os.File, mtu int) (tun.Device, error) {
	dev, err := openFile(file)
	if err != nil {
		return nil, err
	}
	if err := dev.SetMTU(mtu); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	d, err := New(dev)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return d, nil
}

// openFile opens a device by a file, with what offloads there are for that.
func openFile(file *os.File) (*mytunev.Device, error) {
	dev, err := open(func(c mytunev.Config) (*mytunev.Device, error) { return mytunev.OpenFile(c, file) }, "")
	if errors.Is(err, mytunev.ErrNotSupported) { // without IFF_VNET_HDR there are none
		return mytunev.OpenFile(mytunev.Config{}, file)
	}
	return dev, err
}

// create opens a device for Writes that are joined, with that MTU.
func create(name string, mtu int) (*mytunev.Device, error) {
	dev, err := open(mytunev.Open, name)
	if err != nil {
		return nil, err
	}
	if err := dev.SetMTU(mtu); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

// open opens a device with all offloads that the kernel has for it: stock tun has those of
// UDP since Linux 6.2.
func open(open func(mytunev.Config) (*mytunev.Device, error), name string) (*mytunev.Device, error) {
	config := mytunev.Config{Name: name, Offload: mytunev.AllOffloads}
	dev, err := open(config)
	if !errors.Is(err, mytunev.ErrNotSupported) || errors.Is(err, mytunev.ErrNoModule) {
		return dev, err
	}
	config.Offload &^= mytunev.OffloadUSO4 | mytunev.OffloadUSO6
	return open(config)
}

// New makes a tun.Device of one that a program has opened itself, with what it wants of
// Config; it needs Config.Offload, of OffloadTx at least, for Writes to be joined. The
// Device has the first queue. It owns dev: Close closes it.
func New(dev *mytunev.Device) (*Device, error) {
	if dev.Mode() != mytunev.TUN {
		return nil, fmt.Errorf("mytun for wireguard: %s is a %v device and has to be a TUN device", dev.Name(), dev.Mode())
	}
	events, err := newEvents(dev)
	if err != nil {
		return nil, fmt.Errorf("mytun for wireguard: watch %s: %w", dev.Name(), err)
	}
	d := &Device{dev: dev, queue: dev.Queues()[0], events: events}
	d.reader.init()
	d.writer.init()
	return d, nil
}

// File returns nil: reading and writing the file of a queue with rings is not what wireguard-go
// would do with it.
func (d *Device) File() *os.File { return nil }

// Name returns the device's name, also after it was renamed.
func (d *Device) Name() (string, error) { return d.dev.Name(), nil }

// MTU asks the kernel for the device's MTU.
func (d *Device) MTU() (int, error) { return d.dev.MTU() }

// Backend tells what is at the kernel's end, and why: [mytunev.Device.Backend].
func (d *Device) Backend() (b mytunev.Backend, why string) { return d.dev.Backend() }

// BatchSize returns 128.
func (d *Device) BatchSize() int { return batchSize }

// Events returns the channel on which wireguard-go hears that the interface goes up or down, or
// changes its MTU. It is closed by Close. An interface that is moved to another network namespace
// counts as up from then on.
func (d *Device) Events() <-chan tun.Event { return d.events.channel }

// Close closes the device and ends Reads and Writes with an error that wraps [os.ErrClosed].
func (d *Device) Close() error {
	err := d.dev.Close()
	d.events.close()
	return err
}
