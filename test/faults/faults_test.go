// SPDX-License-Identifier: MIT

//go:build mytun_device

package faults

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const name = "myfault0"

// registering is how the making of a device may fail. Two are the stack's own
// words for want of memory: ENOBUFS is neigh_sysctl_register()'s, and EINVAL that of
// device_add() for a device whose name dev_set_name() had no memory for.
var registering = []syscall.Errno{unix.ENOMEM, unix.EFAULT, unix.ENOBUFS, unix.EINVAL}

// exists tells whether the device does.
func exists(t *testing.T) bool {
	t.Helper()
	_, err := netlink.LinkByName(name)
	if err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) {
		t.Fatalf("look for %s: %v", name, err)
	}
	return err == nil
}

// A file that could not be opened holds nothing.
func TestOpenFails(t *testing.T) {
	path, _ := unix.BytePtrFromString(device.Node)
	before, fd := device.ModuleReferences(t), -1
	sweep(t, func() func() syscall.Errno {
		return func() syscall.Errno {
			at := unix.AT_FDCWD
			r, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)),
				unix.O_RDWR|unix.O_CLOEXEC, 0, 0, 0)
			fd = int(r)
			return errno
		}
	}, func(errno syscall.Errno) {
		if errno == 0 {
			unix.Close(fd)
		}
		device.WaitFor(t, "the module to be held as before", func() bool { return device.ModuleReferences(t) == before })
	}, unix.ENOMEM, unix.EFAULT, unix.ENFILE)
}

// attach sweeps TUNSETIFF: afterwards there is a whole device or none, and the
// file of a failed call can still be attached.
func attach(t *testing.T, flags uint16) {
	device.Sandbox(t)
	var f *device.File
	var arg []byte
	sweep(t, func() func() syscall.Errno {
		f = device.Open(t)
		arg = device.Ifreq(name, flags)
		return func() syscall.Errno { return ioctl(f.FD, unix.TUNSETIFF, arg) }
	}, func(errno syscall.Errno) {
		if exists(t) != (errno == 0) {
			t.Errorf("%v, but the device exists: %v", errno, errno != 0)
		}
		if errno != 0 {
			f.Attach(t, name, flags)
		}
		f.SetRings(t, device.RingSizeMin, device.RingSizeMin)
		f.Close()
		device.WaitFor(t, "the device to go", func() bool { return !exists(t) })
	}, registering...)
}

func TestAttachFails(t *testing.T)           { attach(t, device.TUN) }
func TestAttachOfMultiTapFails(t *testing.T) { attach(t, device.TAP|device.Vnet|device.Multi) }

// A second queue that fails leaves the first as it is.
func TestAttachOfSecondQueueFails(t *testing.T) {
	device.Sandbox(t)
	first := device.NewQueue(t, name, device.TUN|device.Multi, device.RingSizeMin, device.RingSizeMin)
	before := first.Info(t)
	var f *device.File
	var arg []byte
	sweep(t, func() func() syscall.Errno {
		f = device.Open(t)
		arg = device.Ifreq(name, device.TUN|device.Multi)
		return func() syscall.Errno { return ioctl(f.FD, unix.TUNSETIFF, arg) }
	}, func(errno syscall.Errno) {
		if err := device.Ioctl(f.FD, unix.TUNGETIFF, device.Ifreq("", 0)); (err == nil) != (errno == 0) {
			t.Errorf("%v, but TUNGETIFF: %v", errno, err)
		}
		f.Close()
		if now := first.Info(t); now != before {
			t.Errorf("the first queue changed: %+v, was %+v", now, before)
		}
	}, unix.ENOMEM, unix.EFAULT)
}

// Rings are there, both, or as if nobody had asked.
func TestSetRingsFails(t *testing.T) {
	device.Sandbox(t)
	config := binary.NativeEndian.AppendUint32(nil, 4*device.RingSizeMin)
	config = binary.NativeEndian.AppendUint32(config, 2*device.RingSizeMin)
	config = append(config, make([]byte, device.RingsSize-len(config))...)
	var f *device.File
	sweep(t, func() func() syscall.Errno {
		f = device.Open(t)
		f.Attach(t, name, device.TUN)
		return func() syscall.Errno { return ioctl(f.FD, device.IocSetRings, config) }
	}, func(errno syscall.Errno) {
		info := f.Info(t)
		if has := info.Rx.Size != 0 || info.Tx.Size != 0; has != (errno == 0) {
			t.Errorf("%v, but rings of %d and %d bytes", errno, info.Rx.Size, info.Tx.Size)
		}
		if errno != 0 {
			f.SetRings(t, 4*device.RingSizeMin, 2*device.RingSizeMin)
		}
		device.MapQueue(t, f).Unmap()
		f.Close()
		device.WaitFor(t, "the device to go", func() bool { return !exists(t) })
	}, unix.ENOMEM, unix.EFAULT)
}

// The other commands change what they are for, or nothing.
func TestCommandsFail(t *testing.T) {
	for _, command := range []struct {
		name    string
		request uint
		arg     []byte
	}{
		{"TUNGETIFF", unix.TUNGETIFF, make([]byte, device.IfreqSize)},
		{"MYTUN_IOC_GET_INFO", device.IocGetInfo, make([]byte, device.InfoSize)},
		{"MYTUN_IOC_GET_STATS", device.IocGetStats, make([]byte, device.StatsSize)},
	} {
		t.Run(command.name, func(t *testing.T) { commandFails(t, command.request, command.arg) })
	}
}

func commandFails(t *testing.T, request uint, arg []byte) {
	device.Sandbox(t)
	q := device.NewQueue(t, name, device.TUN, device.RingSizeMin, device.RingSizeMin)
	before := q.Info(t)
	sweep(t, func() func() syscall.Errno {
		return func() syscall.Errno { return ioctl(q.FD, request, arg) }
	}, func(syscall.Errno) {
		if now := q.Info(t); now != before {
			t.Errorf("the queue changed: %+v, was %+v", now, before)
		}
	}, unix.ENOMEM, unix.EFAULT)
}

// Eventfds are replaced together or not at all: the old ones ring after a
// failure, the new ones after a success.
func TestSetEventfdsFails(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, name, device.TUN, device.RingSizeMin, device.RingSizeMin)
	q.SetPoll(t, 0)
	var arg []byte
	var fresh [3]int
	sweep(t, func() func() syscall.Errno {
		arg = arg[:0]
		for i := range fresh {
			fresh[i] = device.Eventfd(t)
			arg = binary.NativeEndian.AppendUint32(arg, uint32(fresh[i]))
		}
		arg = append(arg, make([]byte, device.EventfdsSize-len(arg))...)
		return func() syscall.Errno { return ioctl(q.FD, device.IocSetEventfds, arg) }
	}, func(errno syscall.Errno) {
		if errno == 0 {
			q.RxDoorbell, q.TxDoorbell, q.TxSpace = fresh[0], fresh[1], fresh[2]
		}
		// the kernel's side sleeps now: only the right doorbell wakes it
		device.WaitFor(t, "the kernel's side to sleep", func() bool {
			return atomic.LoadUint32(q.Words.TxNeedWakeup) == q.TxProducer()
		})
		q.Put(make([]byte, 1))
		q.Publish()
		q.WaitTaken(t)
	}, unix.ENOMEM, unix.EFAULT)
}

// Settings that neither take memory nor copy: there is nothing to fail.
func TestSettingsDoNotFail(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, name, device.TUN|device.Vnet)
	half := binary.NativeEndian.AppendUint32(nil, f.Info(t).PollUsecs/2)
	i := newInjector(t)
	for _, setting := range []struct {
		name string
		call func() syscall.Errno
	}{
		{"TUNSETPERSIST 1", func() syscall.Errno { return ioctlValue(f.FD, unix.TUNSETPERSIST, 1) }},
		{"TUNSETPERSIST 0", func() syscall.Errno { return ioctlValue(f.FD, unix.TUNSETPERSIST, 0) }},
		{"MYTUN_IOC_SET_POLL", func() syscall.Errno { return ioctl(f.FD, device.IocSetPoll, half) }},
	} {
		if errno, injected := i.fail(t, 1, setting.call); errno != 0 || injected {
			t.Errorf("%s: %v; it had something to fail: %v", setting.name, errno, injected)
		}
	}
}

// Offloads change with the device's features, of which others are told.
func TestSetOffloadFails(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, name, device.TUN|device.Vnet)
	sweep(t, func() func() syscall.Errno {
		f.SetOffload(t, 0)
		return func() syscall.Errno { return ioctlValue(f.FD, unix.TUNSETOFFLOAD, device.OffloadAll) }
	}, func(syscall.Errno) { f.SetOffload(t, device.OffloadAll) }, unix.ENOMEM)
}

// mmap maps all or nothing, and a failure leaves no reference behind.
func TestMapFails(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, name, device.TUN)
	f.SetRings(t, device.RingSizeMin, device.RingSizeMin)
	info := f.Info(t)
	for _, part := range []struct {
		name           string
		offset, length uint64
		prot           uintptr
	}{
		{"kernel page", info.KernelPageOffset, uint64(info.PageLength), unix.PROT_READ},
		{"user page", info.UserPageOffset, uint64(info.PageLength), unix.PROT_READ | unix.PROT_WRITE},
		{"rx area", info.Rx.DataOffset, info.Rx.DataLength, unix.PROT_READ | unix.PROT_WRITE},
		{"tx area", info.Tx.DataOffset, info.Tx.DataLength, unix.PROT_READ | unix.PROT_WRITE},
	} {
		var address uintptr
		sweep(t, func() func() syscall.Errno {
			return func() (errno syscall.Errno) {
				address, _, errno = unix.RawSyscall6(unix.SYS_MMAP, 0, uintptr(part.length), part.prot,
					unix.MAP_SHARED, uintptr(f.FD), uintptr(part.offset))
				return errno
			}
		}, func(errno syscall.Errno) {
			if errno != 0 {
				return
			}
			if _, _, errno := unix.RawSyscall(unix.SYS_MUNMAP, address, uintptr(part.length), 0); errno != 0 {
				t.Errorf("munmap of the %s: %v", part.name, errno)
			}
		}, unix.ENOMEM)
	}
	f.Close()
	device.WaitFor(t, "the device to go", func() bool { return !exists(t) })
}

// sendFails sweeps the sending of a datagram into the rx ring. The frame comes
// whole or not at all, and the next one comes.
func sendFails(t *testing.T, config device.Config) {
	device.Sandbox(t)
	l := device.NewLink(t, config)
	q := l.Queue()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(socket) })
	to := &unix.SockaddrInet4{Port: 9, Addr: l.Peer4.As4()}
	if err := unix.Connect(socket, to); err != nil {
		t.Fatal(err)
	}
	conn := l.ListenUDP(t, false, 0)
	sent := bytes.Repeat([]byte("mytun"), 100)
	last := append(bytes.Clone(sent), "last"...)
	sweep(t, func() func() syscall.Errno {
		return func() syscall.Errno {
			_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(socket),
				uintptr(unsafe.Pointer(unsafe.SliceData(sent))), uintptr(len(sent)), 0, 0, 0)
			return errno
		}
	}, func(syscall.Errno) {
		if _, err := conn.WriteToUDPAddrPort(last, l.PeerAddr(false, 9)); err != nil {
			t.Fatal(err)
		}
		receiveUntil(t, q, sent, last)
	}, unix.ENOMEM, unix.ENOBUFS, unix.EFAULT)
}

// receiveUntil takes frames until the last one, which must be that or sent.
func receiveUntil(t *testing.T, q *device.Queue, sent, last []byte) {
	t.Helper()
	for {
		_, frame := q.Receive(t, nil)
		if bytes.HasSuffix(frame, last) {
			return
		}
		if !bytes.HasSuffix(frame, sent) {
			t.Fatalf("a frame that nobody sent: %x", frame)
		}
	}
}

func TestFrameToTunFails(t *testing.T) { sendFails(t, device.Config{}) }
func TestFrameToTapFails(t *testing.T) { sendFails(t, device.Config{TAP: true}) }
