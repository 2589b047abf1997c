// SPDX-License-Identifier: MIT

//go:build mytun_device

package gvisor_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// TestModuleMTU: an MTU that an administrator sets is gVisor's, which cuts its datagrams up for it; one that gVisor
// sets is the device's; and one that the device does not take is nobody's.
func TestModuleMTU(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		h := newHost(t, mytunev.Config{})
		kernel, user := h.datagrams(t)
		for _, mtu := range []int{1300, 1400, 9000} {
			device.SetMTU(t, h.name, mtu)
			device.WaitFor(t, "gVisor to know of the MTU", func() bool { return h.stack.NICInfo()[nic].MTU == uint32(mtu) })
			most := mtu - device.IPHeader(false) - 8
			before := reassembled(t)
			device.Messages(t, user, kernel, most)
			if n := reassembled(t) - before; n != 0 {
				t.Errorf("MTU %d: a datagram of %d bytes came in fragments", mtu, most)
			}
			device.Messages(t, user, kernel, most+1)
			if n := reassembled(t) - before; n != 1 {
				t.Errorf("MTU %d: a datagram of %d bytes did not come in fragments", mtu, most+1)
			}
		}
		if err := h.stack.SetNICMTU(nic, 1350); err != nil {
			t.Fatal(err)
		}
		h.checkMTU(t, 1350)
		h.endpoint.SetMTU(67)
		h.checkMTU(t, 1350)
		h.check(t)
	})
}

// reassembled is how many datagrams have come to the kernel in fragments.
func reassembled(t *testing.T) uint64 {
	t.Helper()
	return device.SNMP(t)["Ip.ReasmOKs"]
}

// datagrams connects a socket of the kernel's and one of gVisor's.
func (h *host) datagrams(t *testing.T) (kernel *net.UDPConn, user *gonet.UDPConn) {
	t.Helper()
	from, to := full(user4), full(kernel4)
	user, err := gonet.DialUDP(h.stack, from, to, protocolOf(to.Addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	kernel, err = net.DialUDP("udp", udpAddress(kernel4), udpAddress(user4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernel.Close() })
	return kernel, user
}

func (h *host) checkMTU(t *testing.T, want int) {
	t.Helper()
	mtu, err := h.dev.MTU()
	if err != nil || mtu != want || h.endpoint.MTU() != uint32(want) {
		t.Errorf("the device's MTU is %d, %v, gVisor's %d, want %d", mtu, err, h.endpoint.MTU(), want)
	}
}

// TestModuleDown: while the device is down, gVisor's packets are lost as on a wire that is cut, and no connection ends for it.
func TestModuleDown(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		h := newHost(t, configs["offload"])
		kernel, user := h.dial(t, kernel4, user4)
		defer kernel.Close()
		defer user.Close()
		device.Messages(t, user, kernel, 1000)
		device.Down(t, h.name)
		sent := []byte("sent into nothing")
		if _, err := user.Write(sent); err != nil {
			t.Fatal(err)
		}
		device.WaitFor(t, "the packet to be lost", func() bool {
			s, err := h.dev.Queues()[0].Stats()
			return err == nil && s.TxDroppedDown > 0
		})
		if err := h.endpoint.Err(); err != nil {
			t.Error(err)
		}
		device.Up(t, h.name)
		got := make([]byte, len(sent))
		kernel.SetReadDeadline(time.Now().Add(device.Deadline))
		if n, err := io.ReadFull(kernel, got); !bytes.Equal(got, sent) {
			t.Errorf("%q came when the device was up again, %v, want %q", got[:n], err, sent)
		}
		device.BothWays(t, kernel, user, 1000)
	})
}
