// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A netlinkWatch hears of a network device from rtnetlink, which tells of all devices of the
// network namespace. When it does not know what the device is like, at the beginning and after
// there was more to tell than the socket had room for, it asks.
type netlinkWatch struct {
	device *openFile // to find out why it is not there any more
	index  int

	file    *os.File // the socket, in the runtime's poller
	conn    syscall.RawConn
	unknown bool // what the device is like
	buffer  []byte
	waiting []syscall.NetlinkMessage // of the last datagram
}

// netlinkBuffer is more, in bytes, than the kernel has to say of a device at a time.
const netlinkBuffer = 64 << 10

// watchLink implements kernelFile.
func (o *openFile) watchLink() (linkWatch, error) {
	index, err := o.index()
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil, o.gone()
	case err != nil:
		return nil, err
	}
	w, err := newNetlinkWatch(o, index)
	if err != nil {
		return nil, opError("watch", fmt.Sprintf("network device %d", index), err, "")
	}
	return w, nil
}

func newNetlinkWatch(device *openFile, index int) (*netlinkWatch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	w := &netlinkWatch{device: device, index: index, file: os.NewFile(uintptr(fd), "netlink"), unknown: true, buffer: make([]byte, netlinkBuffer)}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	if err == nil {
		w.conn, err = w.file.SyscallConn()
	}
	if err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

// next implements linkWatch.
func (w *netlinkWatch) next() (Link, error) {
	for {
		for len(w.waiting) > 0 {
			m := w.waiting[0]
			w.waiting = w.waiting[1:]
			if link, ours, err := w.read(m); ours || err != nil {
				return link, err
			}
		}
		n, err := w.receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			w.unknown = true
		case err != nil:
			return Link{}, opError("hear of", fmt.Sprintf("network device %d", w.index), err, "")
		default:
			w.waiting, err = syscall.ParseNetlinkMessage(w.buffer[:n])
			w.unknown = w.unknown || err != nil
		}
	}
}

// receive waits for a datagram of the kernel's and returns its length. Before it waits it asks,
// if it has to: not sooner, for as long as a socket is full the answer would be lost too.
func (w *netlinkWatch) receive() (n int, err error) {
	failure := w.conn.Read(func(fd uintptr) bool {
		for {
			var from unix.Sockaddr
			n, from, err = unix.Recvfrom(int(fd), w.buffer, unix.MSG_TRUNC)
			switch {
			case isRetry(err):
				continue
			case err == unix.EAGAIN && w.unknown:
				w.unknown = false
				if err = w.ask(int(fd)); err != nil {
					return true
				}
				continue
			case err == unix.EAGAIN:
				return false
			case err == nil && n > len(w.buffer):
				err = unix.ENOBUFS
			case err == nil && !fromKernel(from):
				continue
			}
			return true
		}
	})
	if failure != nil {
		err = failure
	}
	return n, err
}

func fromKernel(from unix.Sockaddr) bool {
	netlink, ok := from.(*unix.SockaddrNetlink)
	return ok && netlink.Pid == 0
}

// ask has the kernel tell of the device.
func (w *netlinkWatch) ask(fd int) error {
	var m [unix.SizeofNlMsghdr + unix.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[unix.SizeofNlMsghdr+4:], uint32(w.index))
	return unix.Sendto(fd, m[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// read takes what the kernel says, if it is of the device: as whoever is in no bridge, for one that
// leaves a bridge is told of as deleted there.
func (w *netlinkWatch) read(m syscall.NetlinkMessage) (link Link, ours bool, err error) {
	if m.Header.Type == unix.NLMSG_ERROR {
		return Link{}, false, w.refused(m.Data)
	}
	isLink := m.Header.Type == unix.RTM_NEWLINK || m.Header.Type == unix.RTM_DELLINK
	if !isLink || len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC ||
		int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) != w.index {
		return Link{}, false, nil
	}
	if m.Header.Type == unix.RTM_DELLINK {
		return Link{}, false, w.device.gone()
	}
	link = Link{Index: w.index, Up: binary.NativeEndian.Uint32(m.Data[8:])&unix.IFF_UP != 0}
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return Link{}, false, opError("hear of", fmt.Sprintf("network device %d", w.index), err, "")
	}
	for _, a := range attributes {
		switch {
		case a.Attr.Type == unix.IFLA_IFNAME:
			link.Name = unix.ByteSliceToString(a.Value)
		case a.Attr.Type == unix.IFLA_MTU && len(a.Value) == 4:
			link.MTU = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return link, true, nil
}

// refused tells why the kernel did not answer.
func (w *netlinkWatch) refused(answer []byte) error {
	if len(answer) < 4 {
		return nil
	}
	switch errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer))); errno {
	case 0:
		return nil
	case unix.ENODEV:
		return w.device.gone()
	default:
		return opError("ask for", fmt.Sprintf("network device %d", w.index), errno, "")
	}
}

// gone tells why the device is not there, or not any more.
func (o *openFile) gone() error {
	name, err := o.deviceName()
	if err != nil {
		return err
	}
	return opError("watch", name, ErrNotSupported, "it is in another network namespace")
}

// cancel implements linkWatch.
func (w *netlinkWatch) cancel() { w.file.SetReadDeadline(time.Unix(1, 0)) }

// close implements linkWatch.
func (w *netlinkWatch) close() { w.file.Close() }
