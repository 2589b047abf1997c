// SPDX-License-Identifier: MIT

//go:build mytun_device

package gvisor_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// What TestModuleQueues sends: so many flows, of each so many datagrams at a time, so often. They fit into the kernel's socket.
const flows, burst, rounds = 16, 4, 8

// TestModuleQueues: flows of gVisor's go by both queues of a device, each in its order. Which flow goes by which is always the same, as
// their addresses and ports are. Beside those of UDP, whose order can be seen, there is one of TCP for each family.
func TestModuleQueues(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		h := newHost(t, mytunev.Config{Offload: mytunev.OffloadTx, Queues: 2})
		for _, a := range addresses {
			kernel, err := net.ListenUDP("udp", udpAddress(a[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer kernel.Close()
			device.SetBuffers(t, kernel, 1<<20)
			kernel.SetReadDeadline(time.Now().Add(device.Deadline))
			carryInOrder(t, kernel, h.dialFlows(t, a[0], a[1]))
			near, far := h.dial(t, a[0], a[1])
			device.BothWays(t, near, far, streamSize/8)
			near.Close()
			far.Close()
		}
		device.WaitFor(t, "the queues to have counted what they have carried", func() bool {
			return h.sentBy(t, 0)+h.sentBy(t, 1) >= uint64(len(addresses)*flows*burst*rounds)
		})
		for i := range 2 {
			if n := h.sentBy(t, i); n < burst*rounds {
				t.Errorf("queue %d has carried %d packets, less than those of a flow", i, n)
			}
		}
		h.check(t)
	})
}

// dialFlows makes connections of gVisor's to the same address, from a port each.
func (h *host) dialFlows(t *testing.T, kernel, user netip.Addr) (users []*gonet.UDPConn) {
	t.Helper()
	for i := range flows {
		from, to := full(user), full(kernel)
		from.Port += uint16(i)
		conn, err := gonet.DialUDP(h.stack, from, to, protocolOf(to.Addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		users = append(users, conn)
	}
	return users
}

// carryInOrder sends datagrams with their numbers, and looks that those from each port come one after the other.
func carryInOrder(t *testing.T, kernel *net.UDPConn, users []*gonet.UDPConn) {
	t.Helper()
	next := map[uint16]byte{} // of each port
	for round := range rounds {
		for i := range burst * flows {
			if _, err := users[i%flows].Write([]byte{byte(round*burst + i/flows)}); err != nil {
				t.Fatal(err)
			}
		}
		for range burst * flows {
			var p [1]byte
			_, from, err := kernel.ReadFromUDPAddrPort(p[:])
			if err != nil {
				t.Fatal(err)
			}
			if p[0] != next[from.Port()] {
				t.Fatalf("datagram %d came from %v after %d others", p[0], from, next[from.Port()])
			}
			next[from.Port()]++
		}
	}
}

// sentBy is how many packets a queue of the device has carried to the kernel.
func (h *host) sentBy(t *testing.T, queue int) uint64 {
	t.Helper()
	s, err := h.dev.Queues()[queue].Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s.TxFrames
}
