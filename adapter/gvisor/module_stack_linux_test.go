// SPDX-License-Identifier: MIT

//go:build mytun_device

package gvisor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// streamSize is how many bytes a stream carries.
var streamSize = device.Times(1 << 20)

// configs are those with which the stacks meet: super-packets without checksums, and packets with them.
var configs = map[string]mytunev.Config{"offload": {Offload: mytunev.OffloadTx}, "complete": {}}

func onEach(t *testing.T, test func(t *testing.T, h *host)) {
	device.OnBothBackends(t, func(t *testing.T) {
		for name, c := range configs {
			t.Run(name, func(t *testing.T) { test(t, newHost(t, c)) })
		}
	})
}

// TestModuleTCP: gVisor's TCP and the kernel's, either as the one that calls.
func TestModuleTCP(t *testing.T) {
	onEach(t, func(t *testing.T, h *host) {
		for _, a := range addresses {
			for _, dial := range []func(*testing.T, netip.Addr, netip.Addr) (*net.TCPConn, *gonet.TCPConn){h.dial, h.accept} {
				kernel, user := dial(t, a[0], a[1])
				device.BothWays(t, kernel, user, streamSize/2)
				kernel.Close()
				user.Close()
			}
		}
		h.superPackets(t)
		h.check(t)
	})
}

// dial connects gVisor to the kernel.
func (h *host) dial(t *testing.T, kernel, user netip.Addr) (*net.TCPConn, *gonet.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(kernel, device.PeerPort).String())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), device.Deadline)
	defer cancel()
	to := full(kernel)
	far, err := gonet.DialContextTCP(ctx, h.stack, *to, protocolOf(to.Addr))
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near.(*net.TCPConn), far
}

// accept connects the kernel to gVisor.
func (h *host) accept(t *testing.T, kernel, user netip.Addr) (*net.TCPConn, *gonet.TCPConn) {
	t.Helper()
	at := full(user)
	listener, err := gonet.ListenTCP(h.stack, *at, protocolOf(at.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := (&net.Dialer{Timeout: device.Deadline}).Dial("tcp", netip.AddrPortFrom(user, device.PeerPort).String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near.(*net.TCPConn), far.(*gonet.TCPConn)
}

// superPackets sends a stream each way, one after the other, and makes sure that packets were together if the device has
// offloads, and only then.
func (h *host) superPackets(t *testing.T) {
	t.Helper()
	kernel, user := h.dial(t, kernel4, user4)
	defer kernel.Close()
	defer user.Close()
	before := device.Counters(t, h.name)
	device.OneWay(t, kernel, user, streamSize)
	h.checkJoined(t, "to", device.Counters(t, h.name).TxPackets-before.TxPackets)
	before = device.Counters(t, h.name)
	device.OneWay(t, user, kernel, streamSize)
	h.checkJoined(t, "from", device.Counters(t, h.name).RxPackets-before.RxPackets)
}

// checkJoined: a stream needs more packets than that if each has a packet's size.
func (h *host) checkJoined(t *testing.T, direction string, packets uint64) {
	t.Helper()
	single := uint64(streamSize / h.mtu)
	t.Logf("%d packets %s gVisor, which would be %d of the MTU's size", packets, direction, single)
	if offload := h.endpoint.SupportedGSO() == stack.HostGSOSupported; offload != (packets < single) && !device.Slow() {
		t.Errorf("with offloads: %v; packets were joined: %v", offload, !offload)
	}
}

// check makes sure that neither stack found fault with a packet.
func (h *host) check(t *testing.T) {
	t.Helper()
	if c := device.Counters(t, h.name); c.RxErrors != 0 || c.TxErrors != 0 {
		t.Errorf("%d rx and %d tx errors", c.RxErrors, c.TxErrors)
	}
	s := h.stack.Stats()
	sums, segments, packets := s.TCP.ChecksumErrors.Value(), s.TCP.InvalidSegmentsReceived.Value(), s.IP.MalformedPacketsReceived.Value()
	if sums+segments+packets != 0 {
		t.Errorf("gVisor found %d checksums, %d segments and %d packets wrong", sums, segments, packets)
	}
}

// TestModuleUDP: datagrams of many sizes, the last in fragments.
func TestModuleUDP(t *testing.T) {
	onEach(t, func(t *testing.T, h *host) {
		for _, a := range addresses {
			to, from := full(a[0]), full(a[1])
			user, err := gonet.DialUDP(h.stack, from, to, protocolOf(to.Addr))
			if err != nil {
				t.Fatal(err)
			}
			defer user.Close()
			kernel, err := net.DialUDP("udp", udpAddress(a[0]), udpAddress(a[1]))
			if err != nil {
				t.Fatal(err)
			}
			defer kernel.Close()
			most := h.mtu - device.IPHeader(a[0].Is6()) - 8
			sizes := []int{1, 2, 3, most - 1, most, most + 1, 5000}
			for size := 50; size < most; size += 150 {
				sizes = append(sizes, size)
			}
			device.Messages(t, kernel, user, sizes...)
		}
	})
}

// TestModuleExample: what the example serves comes to a client of the kernel's stack.
func TestModuleExample(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		dev := openDevice(t, mytunev.Config{Offload: mytunev.OffloadTx})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		served := make(chan error, 1)
		go func() { served <- serve(ctx, dev, tcpipAddress(user4)) }()
		client := http.Client{Timeout: device.Deadline}
		defer client.CloseIdleConnections()
		var response *http.Response
		device.WaitFor(t, "the server to listen", func() (ok bool) {
			var err error
			response, err = client.Get("http://" + user4.String())
			return err == nil
		})
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasPrefix(string(body), "hello, "+kernel4.String()+":") {
			t.Errorf("%q, %v", body, err)
		}
		stop()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("served until %v", err)
		}
	})
}

// TestModuleDeleted: the device is deleted under traffic, and the endpoint says so.
func TestModuleDeleted(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		h := newHost(t, configs["offload"])
		kernel, user := h.dial(t, kernel4, user4)
		echoed := make(chan struct{})
		go func() {
			defer close(echoed)
			io.Copy(user, user)
		}()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			kernel.ReadFrom(endless{})
		}()
		if _, err := io.CopyN(io.Discard, kernel, int64(streamSize)); err != nil {
			t.Fatal(err)
		}
		device.Delete(t, h.name)
		h.endpoint.Wait()
		if err := h.endpoint.Err(); !errors.Is(err, mytunev.ErrDetached) {
			t.Errorf("%v, want %v", err, mytunev.ErrDetached)
		}
		user.SetDeadline(time.Now())
		kernel.SetDeadline(time.Now())
		<-echoed
		<-sent
		user.Close()
		kernel.SetLinger(0) // there is nobody who could take what was not sent
		kernel.Close()
	})
}

// endless is a stream of zeroes.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
