// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// streamSize is how many bytes of TCP go through a tunnel each way, enough for super-packets.
const streamSize = 64 << 10

// slice is how long a receiver waits before it looks if a frame was refused.
const slice = 50 * time.Millisecond

// traffic goes through the tunnel with a family, both ways, and all of it is compared at the far end.
func (w *wire) traffic(t *testing.T, from, to netip.Addr) {
	t.Helper()
	a, b := w.listen(t, from, to)
	defer a.Close()
	defer b.Close()
	largest := mtu - device.IPHeader(to.Is6()) - 8
	for i, size := range []int{1, 2, 100, largest, largest + 1} {
		w.datagram(t, a, b, device.Pattern(uint64(2*i), size))
		w.datagram(t, b, a, device.Pattern(uint64(2*i+1), size))
	}
	device.Streams(t, w.namespaces[1], to, streamSize)
}

// listen is a socket at each end, which the caller closes.
func (w *wire) listen(t *testing.T, from, to netip.Addr) (a, b *net.UDPConn) {
	t.Helper()
	a = listen(t, from)
	device.Inside(t, w.namespaces[1], func() { b = listen(t, to) })
	return a, b
}

func listen(t *testing.T, address netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// datagram sends one, which must come.
func (w *wire) datagram(t *testing.T, from, to *net.UDPConn, want []byte) {
	t.Helper()
	address := to.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := from.WriteToUDPAddrPort(want, address); err != nil {
		t.Fatalf("send %d bytes to %v: %v", len(want), address, err)
	}
	w.expect(t, to, want)
}

// expect receives a datagram. That a device refused a frame ends the wait.
func (w *wire) expect(t *testing.T, to *net.UDPConn, want []byte) {
	t.Helper()
	address, b := to.LocalAddr(), make([]byte, len(want)+1)
	for deadline := time.Now().Add(device.Deadline); ; {
		to.SetReadDeadline(time.Now().Add(slice))
		n, err := to.Read(b)
		if err == nil {
			if !bytes.Equal(b[:n], want) {
				t.Fatalf("a datagram of %d bytes came as %d others", len(want), n)
			}
			return
		}
		if err := w.problem(t); err != nil {
			t.Fatalf("a datagram of %d bytes to %v did not come: %v", len(want), address, err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("a datagram of %d bytes to %v did not come, and no frame was refused", len(want), address)
		}
	}
}
