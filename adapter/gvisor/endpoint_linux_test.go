// SPDX-License-Identifier: MIT

package gvisor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nic = 1

// A host has a stack with a device, whose kernel the test plays.
type host struct {
	stack    *stack.Stack
	endpoint *Endpoint
	kernel   *mytuntest.Kernel
	addr     tcpip.FullAddress
	protocol tcpip.NetworkProtocolNumber
}

func newHost(t *testing.T, c mytunev.Config, addr tcpip.Address) *host {
	t.Helper()
	return newHostWith(t, c, addr, func(e *Endpoint) stack.LinkEndpoint { return e })
}

// newHostWith makes one whose stack has what link makes of the endpoint.
func newHostWith(t *testing.T, c mytunev.Config, addr tcpip.Address, link func(*Endpoint) stack.LinkEndpoint) *host {
	t.Helper()
	dev, kernel, err := mytuntest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := New(dev)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{endpoint: endpoint, kernel: kernel, addr: tcpip.FullAddress{NIC: nic, Addr: addr, Port: 7}, protocol: ipv4.ProtocolNumber}
	if addr.Len() == header.IPv6AddressSize {
		h.protocol = ipv6.ProtocolNumber
	}
	h.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	t.Cleanup(func() {
		endpoint.Close()
		h.stack.Destroy()
	})
	if err := h.stack.CreateNIC(nic, link(endpoint)); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: h.protocol, AddressWithPrefix: addr.WithPrefix()}
	if err := h.stack.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	h.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	return h
}

// A cable is what both kernels are: frames go from one host to the other as they are, by the same queue.
type cable struct {
	mu       sync.Mutex
	super    int // super-packets
	unsummed int // frames whose checksum nobody has computed
}

func connect(t *testing.T, a, b *host) *cable {
	c := &cable{}
	for _, way := range [][2]*host{{a, b}, {b, a}} {
		go func() {
			for {
				p, err := way[0].kernel.Receive(t.Context())
				if err != nil {
					return
				}
				c.count(p.VNet)
				if way[1].kernel.SendVNet(p.Queue, p.Data, p.VNet) != nil {
					return
				}
			}
		}()
	}
	return c
}

func (c *cable) count(v mytunev.VNetHeader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.GSOType != mytunev.GSONone {
		c.super++
	}
	if v.Flags&mytunev.VNetNeedsChecksum != 0 {
		c.unsummed++
	}
}

func (c *cable) counted() (super, unsummed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.super, c.unsummed
}

func pattern(length int) []byte {
	p := make([]byte, length)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

var (
	v4 = [2]tcpip.Address{tcpip.AddrFrom4([4]byte{10, 1, 0, 1}), tcpip.AddrFrom4([4]byte{10, 1, 0, 2})}
	v6 = [2]tcpip.Address{tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), tcpip.AddrFrom16([16]byte{0xfd, 15: 2})}
)

// TestTCP: a stream through two stacks, in super-packets where the device knows them, which go
// from one to the other whole, and in packets where it does not.
func TestTCP(t *testing.T) {
	for name, c := range map[string]struct {
		config  mytunev.Config
		addrs   [2]tcpip.Address
		offload bool
	}{
		"IPv4, offload":  {mytunev.Config{Offload: mytunev.OffloadTx}, v4, true},
		"IPv6, offload":  {mytunev.Config{Offload: mytunev.AllOffloads}, v6, true},
		"IPv4, queues":   {mytunev.Config{Offload: mytunev.OffloadTx, Queues: 3}, v4, true},
		"IPv4, complete": {mytunev.Config{}, v4, false},
		"IPv6, complete": {mytunev.Config{RxRing: 128 << 10, TxRing: 128 << 10}, v6, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newHost(t, c.config, c.addrs[0]), newHost(t, c.config, c.addrs[1])
			cable := connect(t, a, b)
			sent := pattern(3 << 20)
			if got := transfer(t, a, b, sent); !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes came of %d, or others", len(got), len(sent))
			}
			super, unsummed := cable.counted()
			if c.offload && (super == 0 || unsummed == 0) || !c.offload && super+unsummed != 0 {
				t.Errorf("%d super-packets, %d frames without a checksum", super, unsummed)
			}
		})
	}
}

// transfer sends bytes from a to b, and returns what comes back from there.
func transfer(t *testing.T, a, b *host, p []byte) []byte {
	t.Helper()
	listener, err := gonet.ListenTCP(b.stack, b.addr, b.protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), watchdog.Bound)
	defer cancel()
	conn, err := gonet.DialContextTCP(ctx, a.stack, b.addr, b.protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(watchdog.Bound))
	go func() {
		conn.Write(p)
		conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	return got
}

func TestUDP(t *testing.T) {
	a, b := newHost(t, mytunev.Config{Offload: mytunev.OffloadTx}, v4[0]), newHost(t, mytunev.Config{}, v4[1])
	connect(t, a, b)
	server, err := gonet.DialUDP(b.stack, &b.addr, nil, b.protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := gonet.DialUDP(a.stack, nil, &b.addr, a.protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, length := range []int{1, 1400, 4000} { // the last in fragments
		if _, err := client.Write(pattern(length)); err != nil {
			t.Fatal(err)
		}
		server.SetReadDeadline(time.Now().Add(watchdog.Bound))
		p := make([]byte, 5000)
		n, _, err := server.ReadFrom(p)
		if err != nil || !bytes.Equal(p[:n], pattern(length)) {
			t.Errorf("%d bytes, %v, want %d", n, err, length)
		}
	}
}

// TestChecksums: with offload the stack trusts what it gets, so what is wrong it does not get.
func TestChecksums(t *testing.T) {
	for _, config := range []mytunev.Config{{}, {Offload: mytunev.OffloadTx}} {
		for _, addrs := range [][2]tcpip.Address{v4, v6} {
			a, b := newHost(t, mytunev.Config{}, addrs[0]), newHost(t, config, addrs[1])
			server, err := gonet.DialUDP(b.stack, &b.addr, nil, b.protocol)
			if err != nil {
				t.Fatal(err)
			}
			client, err := gonet.DialUDP(a.stack, nil, &b.addr, a.protocol)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"wrong", "right"} {
				if _, err := client.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				p, err := a.kernel.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if text == "wrong" {
					p.Data[len(p.Data)-1] ^= 1
				}
				if err := b.kernel.Send(0, p.Data); err != nil {
					t.Fatal(err)
				}
			}
			server.SetReadDeadline(time.Now().Add(watchdog.Bound))
			got := make([]byte, 10)
			if n, _, err := server.ReadFrom(got); err != nil || string(got[:n]) != "right" {
				t.Errorf("%+v: %q, %v, want the one that is right", config, got[:n], err)
			}
			server.Close()
			client.Close()
		}
	}
}

// TestSoundness of what is malformed is the stack's to find.
func TestSoundness(t *testing.T) {
	for _, p := range [][]byte{{}, {0x45}, {0x60}, make([]byte, 40), append([]byte{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6}, make([]byte, 14)...),
		append([]byte{0x45, 0, 0, 22, 0, 0, 0, 0, 64, 17}, make([]byte, 12)...)} {
		if !isSound(p) {
			t.Errorf("% x is not sound", p)
		}
	}
}

// TestWhatIsNoPacket: the stack does not get it, and gets what is behind it.
func TestWhatIsNoPacket(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	for _, p := range [][]byte{{0}, {0xf0, 1, 2}, {0x45}} {
		if err := h.kernel.Send(0, p); err != nil {
			t.Fatal(err)
		}
	}
	other := newHost(t, mytunev.Config{}, v4[1])
	connect(t, h, other)
	if got := transfer(t, other, h, []byte("still here")); string(got) != "still here" {
		t.Errorf("%q", got)
	}
}

func TestClose(t *testing.T) {
	h := newHost(t, mytunev.Config{Queues: 2}, v4[0])
	if !h.endpoint.IsAttached() || h.endpoint.Err() != nil {
		t.Errorf("attached %v, %v", h.endpoint.IsAttached(), h.endpoint.Err())
	}
	actions := 0
	h.endpoint.SetOnCloseAction(func() { actions++ })
	h.endpoint.Close()
	h.endpoint.Wait()
	h.endpoint.Close()
	if err := h.endpoint.Err(); err != mytunev.ErrClosed || actions != 1 {
		t.Errorf("%v, %d actions", err, actions)
	}
	var packets stack.PacketBufferList
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 20})
	defer p.DecRef()
	packets.PushBack(p)
	if n, err := h.endpoint.WritePackets(packets); n != 0 || err == nil {
		t.Errorf("%d packets sent, %v", n, err)
	}
}

// TestDetach: a stack that lets go of the device and takes it again loses nothing but what came
// meanwhile and was not taken.
func TestDetach(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.endpoint.Attach(nil)
	if h.endpoint.IsAttached() {
		t.Error("attached still")
	}
	got := make(chan tcpip.NetworkProtocolNumber, 1)
	if err := h.kernel.Send(0, []byte{0x60, 1}); err != nil {
		t.Fatal(err)
	}
	h.endpoint.Attach(dispatcher{got: got})
	if protocol := <-got; protocol != ipv6.ProtocolNumber {
		t.Errorf("protocol %#x", protocol)
	}
}

// TestDetachWhileAPacketIsDelivered: the stack may hold what the packet waits for.
func TestDetachWhileAPacketIsDelivered(t *testing.T) {
	for name, detach := range map[string]func(h *host){
		"Attach": func(h *host) { h.endpoint.Attach(nil) },
		"Close":  func(h *host) { h.endpoint.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, mytunev.Config{}, v4[0])
			got, let := make(chan tcpip.NetworkProtocolNumber), make(chan struct{})
			defer close(let)
			h.endpoint.Attach(dispatcher{got: got, let: let})
			for range 2 {
				if err := h.kernel.Send(0, []byte{0x60, 1}); err != nil {
					t.Fatal(err)
				}
			}
			<-got // the second waits, or will
			detach(h)
			h.endpoint.Wait()
		})
	}
}

type dispatcher struct {
	stack.NetworkDispatcher
	got chan tcpip.NetworkProtocolNumber
	let chan struct{} // closed when nobody wants a packet any more
}

func (d dispatcher) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer) {
	select {
	case d.got <- protocol:
	case <-d.let:
	}
}

func TestProperties(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	e := h.endpoint
	e.SetMTU(1280)
	if mtu, err := e.dev.MTU(); mtu != 1280 || err != nil || e.MTU() != 1280 {
		t.Errorf("MTU %d, %v, %d", mtu, err, e.MTU())
	}
	if e.MaxHeaderLength() != 0 || e.LinkAddress() != "" || e.Capabilities() != 0 || e.SupportedGSO() != stack.GSONotSupported ||
		e.GSOMaxSize() != 65535 || e.ARPHardwareType() != header.ARPHardwareNone || !e.ParseHeader(nil) {
		t.Error("a TUN device without offload is another")
	}
	ethernet, _, err := mytuntest.New(mytunev.Config{Mode: mytunev.TAP})
	if err != nil {
		t.Fatal(err)
	}
	defer ethernet.Close()
	if _, err := New(ethernet); err == nil {
		t.Error("a TAP device was taken")
	}
	closed, _, err := mytuntest.New(mytunev.Config{})
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := New(closed); !errors.Is(err, net.ErrClosed) && !errors.Is(err, mytunev.ErrClosed) {
		t.Errorf("a closed device: %v", err)
	}
}
