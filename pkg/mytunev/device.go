// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// A Device is an open network device. Its methods are safe for concurrent use.
// Read, Write, Send, the deadlines and SyscallConn are those of its first queue;
// Read needs the device to have no other, for the kernel spreads frames over all.
type Device struct {
	name    *atomic.Pointer[string] // the last that is known
	mode    Mode
	queues  []*Queue
	backend Backend
	why     string // it is that backend
	cleanup runtime.Cleanup
}

var (
	_ io.ReadWriteCloser = (*Device)(nil)
	_ syscall.Conn       = (*Device)(nil)
)

// Open creates the network device that c describes, or attaches to it if it
// exists, and maps the rings of its queues. The device is down and has no
// address: setting it up is netlink's business.
//
// Config.Backend, or MYTUN_BACKEND in the environment, chooses between the module and
// stock tun; see Device.Backend for which it became.
//
// Open fails with ErrNoModule where mytun was asked for and is not there, or neither is
// (modprobe mytun). All of its errors that come from the kernel wrap a syscall.Errno:
// EPERM without CAP_NET_ADMIN, EBUSY when the name
// is taken, EINVAL when the device exists with another mode, ENOMEM when the
// memory cgroup is at its limit. On systems other than Linux it returns
// ErrNotSupported, which ErrNoModule wraps.
//
// Close frees the device. One that is not closed is freed some time after the
// last reference to it is gone.
func Open(c Config) (*Device, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := open(c)
	if err != nil {
		return nil, err
	}
	d.setLoops(c)
	return d, nil
}

// OpenFile opens a device by files of /dev/net/mytun or /dev/net/tun, another for each queue, that
// somebody else has opened: a process that has the right to, a service manager, the program itself
// before it was restarted. The Device has duplicates: what the caller does with its files, which
// it may close at once, does not change the Device, but the network device lives until both
// are closed. Files become non-blocking.
//
// A file that is attached to a network device already (TUNSETIFF) takes no right. That device
// tells the name and the Mode; one of stock tun's has to have IFF_NO_PI, and Config.Offload needs
// IFF_VNET_HDR. One that is not attached is attached as Open does it, to the device of the files
// before it if there are any. Config.Queues and Config.Path mean nothing; Config.Backend, if it is not
// BackendAuto, has to be what the files are.
//
// A file of mytun's may have its rings already (MYTUN_IOC_SET_RINGS): they stay, whatever
// Config.RxRing, TxRing and FlowHash say, and with them the frames that nobody has taken, so that
// a program that is restarted loses none. Config.Headroom and Config.Tailroom have to be theirs.
// Who had them before must not use them any more.
//
// OpenFile fails as Open does, and with EINVAL, ENOTTY or another error of TUNGETIFF for other files.
func OpenFile(c Config, files ...*os.File) (*Device, error) {
	if len(files) == 0 {
		return nil, errNoFile
	}
	c.Queues = len(files)
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := openFiles(c, files)
	if err != nil {
		return nil, err
	}
	d.setLoops(c)
	return d, nil
}

func (d *Device) setLoops(c Config) {
	for i, q := range d.queues {
		q.loop = c.loop(i)
	}
}

// newDevice makes a Device of open ports. It owns them.
func newDevice(name string, mode Mode, ports []port) *Device {
	d := &Device{name: new(atomic.Pointer[string]), mode: mode}
	d.name.Store(&name)
	closers := make([]func() error, len(ports))
	for i, p := range ports {
		d.queues = append(d.queues, newQueue(d, i, p))
		closers[i] = p.close
	}
	d.cleanup = runtime.AddCleanup(d, closeAll, closers)
	return d
}

func closeAll(closers []func() error) {
	for _, c := range closers {
		c()
	}
}

// Name returns the name of the network device. It asks the kernel, for the device may have been
// renamed; after Close, and once the device is gone, it is the last that Name has returned,
// or that of Open.
func (d *Device) Name() string {
	if d.name == nil {
		return ""
	}
	if q := d.first(); q.port.file != nil {
		if name, err := q.port.file.deviceName(); err == nil {
			d.name.Store(&name)
		}
	}
	return *d.name.Load()
}

// Mode returns TUN or TAP.
func (d *Device) Mode() Mode { return d.mode }

// Queues returns the queues of d. The caller must not change the slice.
func (d *Device) Queues() []*Queue { return d.queues }

// first returns the queue that those methods are of that Device has of a Queue. That of
// the zero Device is closed.
func (d *Device) first() *Queue {
	if len(d.queues) == 0 {
		return &Queue{}
	}
	return d.queues[0]
}

// MTU asks the kernel for the device's MTU in bytes, Ethernet header excluded. It
// fails with ErrClosed after Close, with ErrDetached once the device is gone, and with ErrNotSupported
// of a device that is known to be in another network namespace.
func (d *Device) MTU() (int, error) {
	file, err := d.first().file()
	if err != nil {
		return 0, err
	}
	return file.mtu()
}

// SetMTU sets the device's MTU in bytes, Ethernet header excluded. It needs CAP_NET_ADMIN
// and fails with EPERM without, with EINVAL for an MTU that the device does not take, and
// else as MTU does. Frames that the process sends may be longer.
func (d *Device) SetMTU(mtu int) error {
	file, err := d.first().file()
	if err != nil {
		return err
	}
	return file.setMTU(mtu)
}

// Index asks the kernel for the device's index, by which netlink and package net know
// it. It stays what it is when the device is renamed. Index fails as MTU does.
func (d *Device) Index() (int, error) {
	file, err := d.first().file()
	if err != nil {
		return 0, err
	}
	return file.index()
}

// Run calls Run on every queue, each on a goroutine of its own, and returns when
// all have ended: the first that does ends the others. Its error is returned; it
// is never nil. A Handler that ends its goroutine (runtime.Goexit, testing.T.FailNow)
// ends Run, too. One that panics ends the program if d has several queues: the caller
// of Run cannot recover what another goroutine does.
func (d *Device) Run(ctx context.Context, h Handler) error {
	if len(d.queues) < 2 {
		return d.first().Run(ctx, h)
	}
	if err := checkRun(ctx, h); err != nil {
		return err
	}
	if _, err := letGo(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(d.queues))
	for _, q := range d.queues {
		go func() {
			err := errGoexit
			defer func() { errs <- err }()
			err = q.Run(ctx, h)
		}()
	}
	first := <-errs
	cancel()
	for range len(d.queues) - 1 {
		<-errs
	}
	return first
}

// Read is Queue.Read of the only queue. It fails if there are several.
func (d *Device) Read(p []byte) (int, error) {
	if n := len(d.queues); n > 1 {
		return 0, fmt.Errorf("mytunev: Read from %s, which has %d queues (read from each of Queues, or use Run)", d.Name(), n)
	}
	return d.first().Read(p)
}

// Write is Queue.Write of the first queue. What is sent so comes back on that queue:
// a device with several is sent to through each of Queues, or a Batch.
func (d *Device) Write(p []byte) (int, error) { return d.first().Write(p) }

// Send is Queue.Send of the first queue, with what Write says of several.
func (d *Device) Send(p []byte) error { return d.first().Send(p) }

// SetDeadline is Queue.SetDeadline of the first queue.
func (d *Device) SetDeadline(t time.Time) error { return d.first().SetDeadline(t) }

// SetReadDeadline is Queue.SetReadDeadline of the first queue.
func (d *Device) SetReadDeadline(t time.Time) error { return d.first().SetReadDeadline(t) }

// SetWriteDeadline is Queue.SetWriteDeadline of the first queue.
func (d *Device) SetWriteDeadline(t time.Time) error { return d.first().SetWriteDeadline(t) }

// SyscallConn is Queue.SyscallConn of the first queue.
func (d *Device) SyscallConn() (syscall.RawConn, error) { return d.first().SyscallConn() }

// Stats returns the sum of the counters of all queues. It fails as Queue.Stats does for the first
// of them that fails, and returns what there is.
func (d *Device) Stats() (Stats, error) {
	var sum Stats
	if len(d.queues) == 0 {
		return sum, ErrClosed
	}
	var failure error
	for _, q := range d.queues {
		s, err := q.Stats()
		if failure == nil {
			failure = err
		}
		sum.add(s)
	}
	return sum, failure
}

// Close closes every queue, as Queue.Close does: it waits for no function of the program. A
// device that is not persistent is gone from the system once Close and each Run, ReadBatch
// and SendBatch have returned: wait for them before you open another of the same name. A
// second Close returns ErrClosed.
func (d *Device) Close() error {
	d.cleanup.Stop()
	var open []*Queue
	for _, q := range d.queues {
		if q.shutdown() {
			open = append(open, q)
		}
	}
	if len(open) == 0 {
		return ErrClosed
	}
	var err error
	for _, q := range open {
		err = errors.Join(err, q.tearDown())
	}
	return err
}
