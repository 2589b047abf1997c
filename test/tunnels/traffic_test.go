// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
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

// expect receives datagrams, in whatever order: on their way through a tunnel's end each waits on the processor that it came to.
// That a device refused a frame ends the wait.
func (w *wire) expect(t *testing.T, to *net.UDPConn, want ...[]byte) {
	t.Helper()
	for len(want) > 0 {
		got := w.receive(t, to, len(want[0]))
		at := slices.IndexFunc(want, func(b []byte) bool { return bytes.Equal(got, b) })
		if at < 0 {
			t.Fatalf("a datagram of %d bytes came, which is none of the %d that were to come, the first of %d bytes", len(got), len(want), len(want[0]))
		}
		want = slices.Delete(want, at, at+1)
	}
}

// receive is the next datagram, of which about so many bytes are expected.
func (w *wire) receive(t *testing.T, to *net.UDPConn, size int) []byte {
	t.Helper()
	address, b := to.LocalAddr(), make([]byte, size+1)
	for deadline := time.Now().Add(device.Deadline); ; {
		to.SetReadDeadline(time.Now().Add(slice))
		n, err := to.Read(b)
		if err == nil {
			return b[:n]
		}
		if err := w.problem(t); err != nil {
			t.Fatalf("a datagram of %d bytes to %v did not come: %v", size, address, err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("a datagram of %d bytes to %v did not come, and no frame was refused", size, address)
		}
	}
}
