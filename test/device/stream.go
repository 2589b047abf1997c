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
	a, b := dialTCP(t, to, address)
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(3 * Deadline)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	var streams sync.WaitGroup
	for i, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		data := Pattern(uint64(i), size)
		streams.Go(func() {
			_, err := io.Copy(pair[0], bytes.NewReader(data))
			err = errors.Join(err, pair[0].(*net.TCPConn).CloseWrite())
			if err != nil {
				t.Errorf("send: %v", err)
			}
		})
		streams.Go(func() {
			sum := sha256.New()
			n, err := io.Copy(sum, pair[1])
			want := sha256.Sum256(data)
			if err != nil || n != int64(size) || !bytes.Equal(sum.Sum(nil), want[:]) {
				t.Errorf("received %d of %d bytes, %v, or others", n, size, err)
			}
		})
	}
	streams.Wait()
}

func dialTCP(t testing.TB, to netns.NsHandle, address netip.Addr) (a, b net.Conn) {
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
	a, err := (&net.Dialer{Timeout: Deadline}).DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}
