// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// SegmentsMax is how many datagrams one call can send with SetSegment on
	// the oldest kernel that is supported.
	SegmentsMax = 64
	// UDPMax is the longest payload of UDP over IPv4.
	UDPMax = 65507
)

// SetSegment makes each call that sends on conn send as many datagrams of that
// size as the bytes are enough for (UDP_SEGMENT).
func SetSegment(t testing.TB, conn syscall.Conn, size int) {
	t.Helper()
	SetOption(t, conn, unix.SOL_UDP, unix.UDP_SEGMENT, size)
}

// AskForGRO makes a socket receive several datagrams of a size at once.
func AskForGRO(t testing.TB, conn syscall.Conn) {
	t.Helper()
	SetOption(t, conn, unix.SOL_UDP, unix.UDP_GRO, 1)
}

// ReadBatch reads what a socket that asked for it received at once, and the
// size of the datagrams in it, of which the last may be shorter.
func ReadBatch(t testing.TB, conn *net.UDPConn) (data []byte, size int) {
	t.Helper()
	data, control := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	conn.SetReadDeadline(time.Now().Add(Deadline))
	n, controls, _, _, err := conn.ReadMsgUDPAddrPort(data, control)
	if err != nil {
		t.Fatalf("no batch of datagrams came: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:controls])
	if err != nil {
		t.Fatal(err)
	}
	size = n // a lone datagram has no message
	for _, m := range messages {
		if m.Header.Level == unix.SOL_UDP && m.Header.Type == unix.UDP_GRO {
			size = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return data[:n], size
}

// SetOption sets an option of a socket.
func SetOption(t testing.TB, conn syscall.Conn, level, option, value int) {
	t.Helper()
	control(t, conn, func(fd int) error { return unix.SetsockoptInt(fd, level, option, value) })
}

// Option is an option of a socket.
func Option(t testing.TB, conn syscall.Conn, level, option int) (value int) {
	t.Helper()
	control(t, conn, func(fd int) (err error) {
		value, err = unix.GetsockoptInt(fd, level, option)
		return err
	})
	return value
}

// Unsent is how many bytes a socket has sent that did not leave the stack yet.
func Unsent(t testing.TB, conn syscall.Conn) (bytes int) {
	t.Helper()
	control(t, conn, func(fd int) (err error) {
		bytes, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return bytes
}

func control(t testing.TB, conn syscall.Conn, f func(fd int) error) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if result != nil {
		t.Fatalf("socket: %v", result)
	}
}
