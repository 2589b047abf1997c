// SPDX-License-Identifier: MIT

package mytunev

import (
	"sync"

	"golang.org/x/sys/unix"
)

// An openFile is the file behind one queue. It is not an os.File, which would
// join the runtime's poller and wake the runtime at every doorbell.
type openFile struct {
	mu sync.RWMutex // held for reading around every use of fd
	fd int          // -1 once closed
}

// use calls f with the descriptor, which stays open until f returns.
func (o *openFile) use(f func(fd int) error) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.fd < 0 {
		return ErrClosed
	}
	return f(o.fd)
}

// control implements kernelFile.
func (o *openFile) control(f func(fd uintptr)) error {
	return o.use(func(fd int) error {
		f(uintptr(fd))
		return nil
	})
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

// mtu implements kernelFile. The device may have been renamed: the file knows.
func (o *openFile) mtu() (int, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return 0, err
	}
	err = o.use(func(fd int) error { return unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr) })
	if err == ErrClosed {
		return 0, err
	} else if err != nil {
		return 0, opError("get the name of", "device", err, "")
	}
	return linkMTU(ifr.Name())
}

// linkMTU asks for the MTU of a network device of this network namespace.
func linkMTU(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, opError("get MTU of", name, err, "")
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, opError("get MTU of", name, err, "")
	}
	defer unix.Close(s)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFMTU, ifr); err != nil {
		return 0, opError("get MTU of", name, err, "")
	}
	return int(ifr.Uint32()), nil
}

func (o *openFile) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fd < 0 {
		return ErrClosed
	}
	fd := o.fd
	o.fd = -1
	if err := unix.Close(fd); err != nil {
		return opError("close", "queue", err, "")
	}
	return nil
}
