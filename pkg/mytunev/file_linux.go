// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// An openFile is the file behind one queue. It is not an os.File, which would
// join the runtime's poller and wake the runtime at every doorbell.
type openFile struct {
	mu       sync.RWMutex // held for reading around this package's uses of fd
	fd       int
	closed   bool
	controls int // functions of the program that are using fd
}

// use calls f with the descriptor, which stays open until f returns. f is of this
// package.
func (o *openFile) use(f func(fd int) error) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return ErrClosed
	}
	return f(o.fd)
}

// control implements kernelFile. No lock is held while f runs.
func (o *openFile) control(f func(fd uintptr)) error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return ErrClosed
	}
	o.controls++
	o.mu.Unlock()
	defer o.endControl()
	f(uintptr(o.fd))
	return nil
}

func (o *openFile) endControl() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.controls--
	if o.closed && o.controls == 0 {
		unix.Close(o.fd)
	}
}

// stats implements kernelFile.
func (o *openFile) stats() (KernelStats, error) {
	var s abiStats
	err := o.use(func(fd int) error {
		if err := ioctl(fd, iocGetStats, &s); err != nil {
			return opError("get the statistics of", "queue", err, "")
		}
		return nil
	})
	return s.KernelStats, err
}

// mtu implements kernelFile.
func (o *openFile) mtu() (int, error) { return o.link(linkMTU) }

// index implements kernelFile.
func (o *openFile) index() (int, error) { return o.link(linkIndex) }

// setOffload implements kernelFile.
func (o *openFile) setOffload(offload Offload) error {
	err := o.use(func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(offload.kernelFlags())) })
	switch err {
	case nil, ErrClosed:
		return err
	case unix.EBADFD:
		return ErrDetached
	case unix.EINVAL:
		err = ErrNotSupported
	}
	name, unnamed := o.deviceName()
	if unnamed != nil {
		name = "device"
	}
	return opError("set the offloads of", name, err, "they are to be "+offload.String())
}

// setMTU implements kernelFile.
func (o *openFile) setMTU(mtu int) error {
	_, err := o.link(func(name string) (int, error) { return setLinkMTU(name, mtu) })
	return err
}

// link calls f with the device's name. The device may have been renamed: the file knows. In another
// network namespace the name is that of another device.
func (o *openFile) link(f func(name string) (int, error)) (int, error) {
	name, err := o.deviceName()
	if err != nil {
		return 0, err
	}
	if o.elsewhere() {
		return 0, opError("find", name, ErrNotSupported, "it is in another network namespace")
	}
	value, err := f(name)
	if err != nil {
		// Gone, or renamed once more?
		if now, e := o.deviceName(); e != nil {
			return 0, e
		} else if now != name {
			return f(now)
		}
	}
	return value, err
}

// elsewhere reports whether the device is in another network namespace than the calling thread. Who
// has no right there is not told, and it is false.
func (o *openFile) elsewhere() (other bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o.use(func(fd int) error {
		namespace, err := unix.IoctlRetInt(fd, unix.TUNGETDEVNETNS)
		if err != nil {
			return err
		}
		defer unix.Close(namespace)
		var here, there unix.Stat_t
		err = errors.Join(unix.Stat("/proc/thread-self/ns/net", &here), unix.Fstat(namespace, &there))
		other = err == nil && (here.Dev != there.Dev || here.Ino != there.Ino)
		return err
	})
	return other
}

func (o *openFile) deviceName() (name string, err error) {
	err = o.use(func(fd int) (err error) {
		name, _, err = attachment(fd)
		return err
	})
	switch err {
	case nil:
		return name, nil
	case ErrClosed:
		return "", err
	case unix.EBADFD:
		return "", ErrDetached
	default:
		return "", opError("get the name of", "device", err, "")
	}
}

// linkMTU asks for the MTU of a network device of this network namespace.
func linkMTU(name string) (int, error) { return linkIoctl("get MTU of", name, unix.SIOCGIFMTU, 0, nil) }

// linkIndex asks for its index.
func linkIndex(name string) (int, error) {
	return linkIoctl("get the index of", name, unix.SIOCGIFINDEX, 0, nil)
}

// setLinkMTU sets its MTU, and returns it.
func setLinkMTU(name string, mtu int) (int, error) {
	if int(int32(mtu)) != mtu {
		mtu = -1 // which the kernel refuses too
	}
	return linkIoctl("set MTU of", name, unix.SIOCSIFMTU, uint32(mtu), mtuHint)
}

// The MTUs that a device takes.
const mtuMin, mtuMax = 68, 65535

func mtuHint(err error) string {
	switch err {
	case unix.EPERM:
		return "CAP_NET_ADMIN is needed: run as root"
	case unix.EINVAL:
		return fmt.Sprintf("the device takes an MTU from %d to %d", mtuMin, mtuMax)
	}
	return ""
}

// linkIoctl calls an ioctl of network devices that takes or returns a number.
func linkIoctl(op, name string, request uint, value uint32, hint func(error) string) (int, error) {
	if hint == nil {
		hint = func(error) string { return "" }
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, opError(op, name, err, "")
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, opError(op, name, err, "")
	}
	defer unix.Close(s)
	ifr.SetUint32(value)
	if err := unix.IoctlIfreq(s, request, ifr); err != nil {
		return 0, opError(op, name, err, hint(err))
	}
	return int(ifr.Uint32()), nil
}

// close closes the file, or leaves that to the last control that is using it.
func (o *openFile) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	o.closed = true
	if o.controls != 0 {
		return nil
	}
	if err := unix.Close(o.fd); err != nil {
		return opError("close", "queue", err, "")
	}
	return nil
}

// attachment tells the name of the network device that a file is attached to, and the flags of its
// TUNSETIFF. It fails with EBADFD for a file that is attached to none.
func attachment(fd int) (name string, flags uint16, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	return ifr.Name(), ifr.Uint16(), err
}
