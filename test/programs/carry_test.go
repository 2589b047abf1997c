// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// streamSize is how many bytes go through a tunnel with each stream, each way.
const streamSize = 64 << 10

// carried is how many bytes certainly have gone through a tunnel, each way.
const carried = 2 * streamSize

// icmpHeader is how many bytes precede a ping's payload, with either family.
const icmpHeader = 8

// datagramSizes are payloads: the last is sent in fragments.
var datagramSizes = []int{0, 1, 3, 100, 1000, 1452, 1453, 5000, 20000}

// carry takes traffic of every kind through a tunnel, with both families, and checks all of it.
func carry(t *testing.T, ends [2]*end) {
	t.Helper()
	a, b := ends[0], ends[1]
	device.Enter(t, a.ns)
	a.waitFor(t, "an answer through the tunnel", func() bool {
		return command("ping", "-n", "-q", "-c", "1", "-W", "1", b.inner4.String()).Run() == nil
	})
	for _, address := range []netip.Addr{b.inner4, b.inner6} {
		most := device.LinkOf(t, a.name).Attrs().MTU - device.IPHeader(address.Is6()) - icmpHeader
		for _, size := range []int{56, most, most + 1} {
			ping(t, address, size)
		}
		datagrams(t, b, address)
		device.Streams(t, b.ns, address, streamSize)
	}
}

// ping sends one ping and waits for the answer. Of several, ping does not wait for all.
func ping(t *testing.T, to netip.Addr, size int) {
	t.Helper()
	patience := strconv.Itoa(int(device.Deadline.Seconds()))
	run(t, "ping", "-n", "-q", "-c", "1", "-W", patience, "-s", strconv.Itoa(size), to.String())
}

// datagrams sends datagrams to the other end and back, one at a time.
func datagrams(t *testing.T, to *end, address netip.Addr) {
	t.Helper()
	var server *net.UDPConn
	var err error
	device.Inside(t, to.ns, func() {
		server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	deadline := time.Now().Add(device.Deadline)
	client.SetDeadline(deadline)
	server.SetDeadline(deadline)
	from := client.LocalAddr().(*net.UDPAddr).AddrPort()
	for i, size := range datagramSizes {
		there, back := device.Pattern(uint64(2*i), size), device.Pattern(uint64(2*i+1), size)
		if _, err := client.Write(there); err != nil {
			t.Fatalf("send %d bytes to %v: %v", size, address, err)
		}
		receive(t, server, there)
		if _, err := server.WriteToUDPAddrPort(back, from); err != nil {
			t.Fatalf("send %d bytes from %v: %v", size, address, err)
		}
		receive(t, client, back)
	}
}

func receive(t *testing.T, conn *net.UDPConn, want []byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatalf("no datagram of %d bytes came: %v", len(want), err)
	}
	if !bytes.Equal(b[:n], want) {
		t.Fatalf("a datagram of %d bytes came as %d others", len(want), n)
	}
}
