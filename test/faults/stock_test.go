// SPDX-License-Identifier: MIT

//go:build mytun_device

package faults

import (
	"bytes"
	"encoding/binary"
	"net"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// transfer is a raw read(2) or write(2), which has to move all bytes.
func transfer(call uintptr, fd int, b []byte) syscall.Errno {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno == 0 && int(n) != len(b) {
		return unix.EBADMSG
	}
	return errno
}

// A frame is written whole, or the call says that it was not; the next one comes
// in any case.
func writeFails(t *testing.T, batch bool, size int) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{MTU: 65535})
	conn := p.ListenUDP(t, false, device.HostPort)
	bytesOf := func(payload []byte) []byte {
		frame := p.Frame(false, device.Datagram{SrcPort: device.PeerPort, DstPort: device.HostPort, Payload: payload})
		if batch {
			return device.Record(device.Header{Length: uint32(len(frame))}, frame)
		}
		return frame
	}
	if batch {
		p.SetBatch(t, device.BatchWrite)
	}
	payload := device.Pattern(1, size)
	sent, last := bytesOf(payload), bytesOf([]byte("last"))
	sweep(t, func() func() syscall.Errno {
		return func() syscall.Errno { return transfer(unix.SYS_WRITE, p.FD, sent) }
	}, func(errno syscall.Errno) {
		if errno == 0 {
			receiveUntilLast(t, conn, payload, func() { mustWrite(t, p.File, last) })
			return
		}
		mustWrite(t, p.File, last)
		device.Expect(t, conn, []byte("last"))
	}, unix.ENOBUFS, unix.EFAULT)
}

func mustWrite(t *testing.T, f *device.File, b []byte) {
	t.Helper()
	if n, err := unix.Write(f.FD, b); n != len(b) {
		t.Fatalf("write of %d bytes without a failure: %d, %v", len(b), n, err)
	}
}

// receiveUntilLast takes the payload if it comes: a stack that has no memory for a
// frame that it was given drops it.
func receiveUntilLast(t *testing.T, conn *net.UDPConn, payload []byte, sendLast func()) {
	t.Helper()
	sendLast()
	if err := conn.SetReadDeadline(time.Now().Add(device.Deadline)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if string(b[:n]) == "last" {
			return
		}
		if !bytes.Equal(b[:n], payload) {
			t.Fatalf("a datagram of %d bytes that nobody sent", n)
		}
	}
}

func TestWriteFails(t *testing.T)        { writeFails(t, false, 600) }
func TestWriteOfPagesFails(t *testing.T) { writeFails(t, false, 20000) }
func TestWriteOfManyFails(t *testing.T)  { writeFails(t, true, 600) }

// A frame is read whole, or lost with an error; the next one comes.
func readFails(t *testing.T, batch bool) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{})
	if batch {
		p.SetBatch(t, device.BatchRead)
	}
	conn := p.ListenUDP(t, false, 0)
	b := make([]byte, 4096)
	send := func(payload string) {
		if _, err := conn.WriteToUDPAddrPort([]byte(payload), p.PeerAddr(false, device.PeerPort)); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, func() func() syscall.Errno {
		send("first")
		return func() syscall.Errno {
			_, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(p.FD), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
			return errno
		}
	}, func(errno syscall.Errno) {
		if errno == 0 && !bytes.Contains(b, []byte("first")) {
			t.Error("read returned another frame")
		}
		clear(b)
		send("second")
		if _, err := unix.Read(p.FD, b); err != nil || !bytes.Contains(b, []byte("second")) {
			t.Errorf("the next read: %v", err)
		}
		clear(b)
	}, unix.EFAULT)
}

func TestReadFails(t *testing.T)       { readFails(t, false) }
func TestReadOfManyFails(t *testing.T) { readFails(t, true) }

// A filter is there for all queues, or none is. Copies fail alone: what makes a
// program of it complains in the kernel's log when it has no memory.
func TestAttachFilterFails(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, name, device.TAP&^unix.IFF_NO_PI, device.RingSizeMin, device.RingSizeMin)
	memory := device.Reserved(t, 4096)
	program := device.Fprog(memory, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff})
	sweep(t, func() func() syscall.Errno {
		spareMemory(t)
		device.IoctlValue(q.FD, unix.TUNDETACHFILTER, 0)
		return func() syscall.Errno { return ioctl(q.FD, unix.TUNATTACHFILTER, program) }
	}, func(errno syscall.Errno) {
		if filtered := isFiltered(t, q.File); filtered != (errno == 0) {
			t.Errorf("%v, but the queue is filtered: %v", errno, filtered)
		}
	}, unix.EFAULT)
}

// A filter stays for all queues, or goes for all.
func TestDetachFilterFails(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, name, device.TAP&^unix.IFF_NO_PI, device.RingSizeMin, device.RingSizeMin)
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff}}
	sweep(t, func() func() syscall.Errno {
		if err := q.TryAttachFilter(filter); err != nil {
			t.Fatalf("TUNATTACHFILTER: %v", err)
		}
		return func() syscall.Errno { return ioctlValue(q.FD, unix.TUNDETACHFILTER, 0) }
	}, func(errno syscall.Errno) {
		if filtered := isFiltered(t, q.File); filtered != (errno != 0) {
			t.Errorf("%v, but the queue is filtered: %v", errno, filtered)
		}
	}, unix.ENOMEM)
}

// isFiltered asks the kernel whether the queue's frames pass a filter.
func isFiltered(t *testing.T, f *device.File) bool {
	t.Helper()
	arg := device.Ifreq("", 0)
	if err := device.Ioctl(f.FD, unix.TUNGETIFF, arg); err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint16(arg[unix.IFNAMSIZ:])&unix.IFF_NOFILTER == 0
}

// The addresses that pass are the new ones, or those before.
func TestSetTxFilterFails(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, name, device.TAP)
	filter := append([]byte{0, 0, 1, 0}, 2, 0, 0, 0, 0, 2)
	sweep(t, func() func() syscall.Errno {
		return func() syscall.Errno {
			n, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(f.FD), unix.TUNSETTXFILTER, uintptr(unsafe.Pointer(unsafe.SliceData(filter))))
			if errno == 0 && n != 1 {
				return unix.EBADMSG
			}
			return errno
		}
	}, func(syscall.Errno) {}, unix.ENOMEM, unix.EFAULT)
}

// A queue is detached, or attached again, whole.
func TestSetQueueFails(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, name, device.TUN|device.Multi)
	for _, flags := range []uint16{unix.IFF_DETACH_QUEUE, unix.IFF_ATTACH_QUEUE} {
		other := flags ^ unix.IFF_DETACH_QUEUE ^ unix.IFF_ATTACH_QUEUE
		sweep(t, func() func() syscall.Errno {
			device.Ioctl(f.FD, unix.TUNSETQUEUE, device.Ifreq("", other)) // EINVAL if it is so already
			arg := device.Ifreq("", flags)
			return func() syscall.Errno { return ioctl(f.FD, unix.TUNSETQUEUE, arg) }
		}, func(errno syscall.Errno) {
			arg := device.Ifreq("", 0)
			if err := device.Ioctl(f.FD, unix.TUNGETIFF, arg); err != nil {
				t.Fatal(err)
			}
			detached := binary.NativeEndian.Uint16(arg[unix.IFNAMSIZ:])&unix.IFF_DETACH_QUEUE != 0
			if want := (flags == unix.IFF_DETACH_QUEUE) == (errno == 0); detached != want {
				t.Errorf("TUNSETQUEUE %#x: %v, but the queue is detached: %v", flags, errno, detached)
			}
		}, unix.ENOMEM, unix.EFAULT)
	}
}
