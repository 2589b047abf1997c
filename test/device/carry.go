// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// Ping sends one ping with so many bytes of payload from the thread's namespace and waits for the
// answer. Of several, ping does not wait for all.
func Ping(t testing.TB, to netip.Addr, size int) {
	t.Helper()
	patience := strconv.Itoa(int(Deadline.Seconds()))
	out, err := exec.Command("ping", "-n", "-q", "-c", "1", "-W", patience, "-s", strconv.Itoa(size), to.String()).CombinedOutput()
	if err != nil {
		t.Fatalf("ping %v with %d bytes: %v\n%s", to, size, err, out)
	}
}

// Datagrams sends datagrams with payloads of those sizes from the thread's namespace to an address of
// another and back, one at a time. Call it on a locked thread.
func Datagrams(t testing.TB, to netns.NsHandle, address netip.Addr, sizes ...int) {
	t.Helper()
	a, b := DialUDP(t, to, address)
	defer a.Close()
	defer b.Close()
	Messages(t, a, b, sizes...)
}

// DialUDP is a pair of sockets that are connected with each other: one of the thread's namespace, and one of
// another with that address. The caller closes both. Call it on a locked thread.
func DialUDP(t testing.TB, to netns.NsHandle, address netip.Addr) (a, b *net.UDPConn) {
	t.Helper()
	dial := func(from, to *net.UDPAddr) *net.UDPConn {
		conn, err := net.DialUDP("udp", from, to)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	end := net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, PeerPort))
	a = dial(nil, end)
	Inside(t, to, func() { b = dial(end, a.LocalAddr().(*net.UDPAddr)) })
	return a, b
}

// Messages sends messages of those sizes from one end of a connection that keeps their bounds
// to the other and back, one at a time, and compares all.
func Messages(t testing.TB, a, b net.Conn, sizes ...int) {
	t.Helper()
	deadline := time.Now().Add(Deadline)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	for i, size := range sizes {
		message(t, a, b, Pattern(uint64(2*i), size))
		message(t, b, a, Pattern(uint64(2*i+1), size))
	}
}

func message(t testing.TB, from, to net.Conn, want []byte) {
	t.Helper()
	if _, err := from.Write(want); err != nil {
		t.Fatalf("send %d bytes to %v: %v", len(want), to.LocalAddr(), err)
	}
	got := make([]byte, len(want)+1)
	n, err := to.Read(got)
	if err != nil {
		t.Fatalf("no message of %d bytes came to %v: %v", len(want), to.LocalAddr(), err)
	}
	if !bytes.Equal(got[:n], want) {
		t.Fatalf("a message of %d bytes came to %v as %d others", len(want), to.LocalAddr(), n)
	}
}
