// SPDX-License-Identifier: MIT

package mytunev

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// What an inherited file is.
type inherited struct {
	backend  Backend
	attached bool   // to a network device:
	name     string // its name
	flags    uint16 // as TUNGETIFF tells: IFF_TUN or IFF_TAP, and more
}

// openFiles opens a device by files that somebody has opened. The first tells what it is.
func openFiles(c Config, files []*os.File) (*Device, error) {
	first, err := inspectFile(files[0])
	if err != nil {
		return nil, err
	}
	if c.Backend != BackendAuto && c.Backend != first.backend {
		return nil, opError("open", files[0].Name(), ErrNotSupported, fmt.Sprintf("it is a file of %v's, and Config.Backend is %v", first.backend, c.Backend))
	}
	if err := eachOnce(files); err != nil {
		return nil, err
	}
	if first.attached {
		c.Name, c.Mode = first.name, first.mode()
	}
	if first.backend == BackendTun {
		c.Name = c.tunName()
		if err := c.checkTunRings(c.Name); err != nil {
			return nil, err
		}
	}
	tun := &tunOpener{}
	c.Path = files[0].Name()
	return chosen(first.backend, files[0].Name()+" is a file of "+first.backend.String()+"'s", func(c Config) (*Device, error) {
		return openQueues(c, func(c Config, name string, exclusive bool) (port, string, error) {
			file := files[0]
			files = files[1:]
			return openInherited(file, first.backend, tun, c, name, exclusive)
		})
	}, c)
}

// eachOnce refuses a file that is there twice, as itself or as a duplicate: the two queues would have
// one pair of rings. A kernel that cannot tell lets it pass.
func eachOnce(files []*os.File) error {
	for i, file := range files {
		for _, before := range files[:i] {
			if sameFile(before, file) {
				return opError("open", file.Name(), unix.EINVAL, "it is there twice: each queue has a file of its own")
			}
		}
	}
	return nil
}

// sameFile reports whether two descriptors are of one open file.
func sameFile(a, b *os.File) (same bool) {
	const openFiles = 0 // KCMP_FILE of <linux/kcmp.h>
	if a == nil || b == nil {
		return false // which is refused later
	}
	withFD(a, func(fd int) error {
		return withFD(b, func(other int) error {
			process := uintptr(os.Getpid())
			order, _, errno := unix.Syscall6(unix.SYS_KCMP, process, process, openFiles, uintptr(fd), uintptr(other), 0)
			same = errno == 0 && order == 0
			return nil
		})
	})
	return same
}

// openInherited is openQueue for a file that somebody has opened.
func openInherited(file *os.File, backend Backend, tun *tunOpener, c Config, name string, exclusive bool) (port, string, error) {
	is, err := inspectFile(file)
	if err != nil {
		return port{}, "", err
	}
	if is.backend != backend {
		return port{}, "", opError("open", file.Name(), unix.EINVAL, fmt.Sprintf("it is a file of %v's, and that before is one of %v's", is.backend, backend))
	}
	if is.attached {
		if err := is.fits(c, name); err != nil {
			return port{}, "", opError("open", file.Name(), err, "it is a queue of "+is.name)
		}
	}
	fd, err := duplicate(file)
	if err != nil {
		return port{}, "", opError("duplicate", file.Name(), err, "")
	}
	if backend == BackendTun {
		return tun.setUpQueue(fd, c, func() (string, bool, error) {
			if is.attached {
				return is.name, is.flags&unix.IFF_VNET_HDR != 0, nil
			}
			attached, err := c.attachTun(fd, name, exclusive)
			return attached, c.Offload != 0, err
		})
	}
	return setUpQueue(fd, c, func() (string, error) {
		if is.attached {
			return is.name, nil
		}
		return attach(fd, c, name, attachFlags(c, exclusive))
	})
}

// inspectFile finds out what a file is.
func inspectFile(file *os.File) (is inherited, err error) {
	if file == nil {
		return is, errNoFile
	}
	err = withFD(file, func(fd int) error {
		is, err = inspect(fd)
		return err
	})
	if err != nil {
		return is, opError("open", file.Name(), err, "it is to be a file of /dev/net/mytun or /dev/net/tun")
	}
	return is, nil
}

func inspect(fd int) (is inherited, err error) {
	is.name, is.flags, err = attachment(fd)
	if err != nil && err != unix.EBADFD {
		return is, err
	}
	is.attached = err == nil
	is.backend = BackendTun
	if ioctl(fd, iocGetInfo, &abiInfo{}) == nil {
		is.backend = BackendMytun
	}
	return is, nil
}

func (is inherited) mode() Mode {
	if is.flags&unix.IFF_TAP != 0 {
		return TAP
	}
	return TUN
}

// fits tells why a queue cannot be one of the device with that name, if there is such already, as c
// wants it to be.
func (is inherited) fits(c Config, name string) error {
	onTun := is.backend == BackendTun
	switch {
	case name != "" && is.name != name:
		return fmt.Errorf("it is to be a queue of %s: %w", name, unix.EINVAL)
	case c.Offload != 0 && is.flags&unix.IFF_VNET_HDR == 0:
		return fmt.Errorf("Config.Offload needs a device with IFF_VNET_HDR: %w", ErrNotSupported)
	case onTun && is.flags&unix.IFF_NO_PI == 0:
		return fmt.Errorf("a device without IFF_NO_PI: %w", ErrNotSupported)
	case onTun && c.Backpressure && is.flags&tunBackpressure == 0:
		return fmt.Errorf("Config.Backpressure needs a device with IFF_BACKPRESSURE: %w", ErrNotSupported)
	}
	return nil
}

// duplicate makes a descriptor of the same file, which does not block.
func duplicate(file *os.File) (fd int, err error) {
	err = withFD(file, func(original int) error {
		if fd, err = unix.FcntlInt(uintptr(original), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
			return err
		}
		return nil
	})
	return fd, err
}

// withFD calls f with the descriptor of a file; unlike method Fd it leaves it as it is.
func withFD(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	failure := conn.Control(func(fd uintptr) { err = f(int(fd)) })
	return cmp.Or(failure, err)
}

// takeRings checks the rings that a file has already.
func (c Config) takeRings(info *abiInfo, name string) error {
	var problem string
	switch {
	case info.rx.size == 0 || info.tx.size == 0:
		problem = "a ring in one direction only"
	case int(info.rx.headroom) != c.Headroom || int(info.rx.tailroom) != c.Tailroom:
		problem = fmt.Sprintf("rings with room of %d and %d bytes: Config.Headroom and Config.Tailroom have to be that", info.rx.headroom, info.rx.tailroom)
	case uint64(c.WakeBytes) > uint64(info.rx.size/2):
		problem = fmt.Sprintf("an rx ring of %d bytes: Config.WakeBytes is at most half of that", info.rx.size)
	default:
		return info.validate(abiRingConfig{
			rxSize: info.rx.size, txSize: info.tx.size,
			rxHeadroom: uint32(info.rx.headroom), rxTailroom: uint32(info.rx.tailroom),
		})
	}
	return opError("take over the rings of", name, unix.EBUSY, "the file has "+problem)
}
