// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// Streams makes a TCP connection from the thread's namespace to an address of
// another, sends so many random bytes both ways at once and compares their
// sums. Call it on a locked thread.
func Streams(t testing.TB, to netns.NsHandle, address netip.Addr, size int) {
	t.Helper()
	a, b := DialTCP(t, to, address)
	defer a.Close()
	defer b.Close()
	BothWays(t, a, b, size)
}

// A Stream is a connection whose ways end one by one.
type Stream interface {
	net.Conn
	CloseWrite() error
}

// BothWays sends so many random bytes both ways at once between the two ends of a connection
// and compares their sums. Afterwards both ways have ended.
func BothWays(t testing.TB, a, b Stream, size int) {
	t.Helper()
	var ways sync.WaitGroup
	ways.Go(func() { OneWay(t, a, b, size) })
	ways.Go(func() { OneWay(t, b, a, size) })
	ways.Wait()
}

// OneWay sends so many random bytes from one end of a connection to the other and compares their
// sums. Afterwards that way has ended. Any goroutine may call it.
func OneWay(t testing.TB, from, to Stream, size int) {
	t.Helper()
	deadline := time.Now().Add(3 * Deadline)
	from.SetWriteDeadline(deadline)
	to.SetReadDeadline(deadline)
	data := Pattern(uint64(size), size)
	var sender sync.WaitGroup
	sender.Go(func() {
		_, err := io.Copy(from, bytes.NewReader(data))
		err = errors.Join(err, from.CloseWrite())
		if err != nil {
			t.Errorf("send: %v", err)
		}
	})
	sum := sha256.New()
	n, err := io.Copy(sum, to)
	want := sha256.Sum256(data)
	if err != nil || n != int64(size) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("received %d of %d bytes, %v, or others", n, size, err)
	}
	sender.Wait()
}

// DialTCP is a connection from the thread's namespace, with the end a, to an address of another, with the end b. The
// caller closes both. Call it on a locked thread.
func DialTCP(t testing.TB, to netns.NsHandle, address netip.Addr) (a, b *net.TCPConn) {
	t.Helper()
	var listener net.Listener
	Inside(t, to, func() {
		var err error
		listener, err = net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
		if err != nil {
			t.Fatal(err)
		}
	})
	defer listener.Close()
	near, err := (&net.Dialer{Timeout: Deadline}).DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near.(*net.TCPConn), far.(*net.TCPConn)
}
