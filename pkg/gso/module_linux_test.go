// SPDX-License-Identifier: MIT

//go:build mytun_device

package gso

// These tests need root and the module: the kernel's TCP and UDP judge what comes out
// of this package.

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A mirror sends back what it gets with the addresses exchanged, and the ports not:
// who connects to its side of the network reaches a listener on the other.
type mirror struct {
	mode  mytunev.Mode
	join  bool
	split Splitter
	c     *Coalescer
	slab  []byte

	supers, cut, joined int // super-packets that came, frames cut from them, super-packets sent
}

func (m *mirror) handle(b *mytunev.Batch) error {
	for f := range b.Frames() {
		if m.slab == nil || len(m.slab) < 1<<17 {
			m.slab = make([]byte, 1<<22)
		}
		if err := m.forward(b, f); err != nil {
			return err
		}
	}
	n := m.c.Len()
	if err := m.c.Flush(b); err != nil {
		return err
	}
	m.joined += n
	return nil
}

// forward cuts up one frame, and adds or sends the pieces as if they came off a wire.
func (m *mirror) forward(b *mytunev.Batch, f mytunev.Frame) error {
	if f.SegmentSize() != 0 {
		m.supers++
	}
	if err := m.split.Reset(m.mode, f.Data, f.VNet()); err != nil {
		return err
	}
	for {
		n, err := m.split.Next(m.slab)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		frame := m.slab[:n:n]
		m.slab = m.slab[n:]
		m.cut++
		m.exchange(frame)
		if m.join {
			m.c.Add(frame, mytunev.VNetHeader{})
		} else if err := b.Send(frame); err != nil {
			return err
		}
	}
}

// exchange swaps the addresses, which no checksum minds.
func (m *mirror) exchange(frame []byte) {
	if m.mode == mytunev.TAP {
		swap(frame[0:6], frame[6:12])
		frame = frame[14:]
	}
	switch {
	case frame[0]>>4 == 4:
		swap(frame[12:16], frame[16:20])
	case frame[0]>>4 == 6:
		swap(frame[8:24], frame[24:40])
	}
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

const (
	here4, there4 = "10.9.0.1", "10.9.0.2"
	here6, there6 = "fd09::1", "fd09::2"
)

// setUp gives d addresses and, on TAP, neighbours that need not be asked.
func setUp(t *testing.T, d *mytunev.Device) {
	t.Helper()
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{here4 + "/24", here6 + "/64"} {
		address, _ := netlink.ParseAddr(text)
		address.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	if d.Mode() != mytunev.TAP {
		return
	}
	for _, text := range []string{there4, there6} {
		neighbour := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: net.ParseIP(text), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}
		if err := netlink.NeighSet(neighbour); err != nil {
			t.Fatal(err)
		}
	}
}

// transfer sends megabytes over TCP, and wants them to arrive as they were.
func transfer(here, there string, size int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(here, "0"))
	if err != nil {
		return err
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	sent := pattern(size)
	errs := make(chan error, 1)
	go func() {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(there, port), watchdog.Bound)
		if err == nil {
			defer c.Close()
			_, err = c.Write(sent)
		}
		errs <- err
	}()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(watchdog.Bound))
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(watchdog.Bound))
	got, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return fmt.Errorf("%d bytes that are not the %d sent", len(got), len(sent))
	}
	return <-errs
}

// datagrams sends one super-packet of UDP, and wants its datagrams one by one.
func datagrams(here, there string) error {
	const size, count = 1000, 30
	server, err := net.ListenPacket("udp", net.JoinHostPort(here, "0"))
	if err != nil {
		return err
	}
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.LocalAddr().String())
	client, err := net.Dial("udp", net.JoinHostPort(there, port))
	if err != nil {
		return err
	}
	defer client.Close()
	raw, err := client.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	raw.Control(func(fd uintptr) { failure = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) })
	if failure != nil {
		return failure
	}
	sent := pattern(size*count - 1)
	if _, err := client.Write(sent); err != nil {
		return err
	}
	server.SetDeadline(time.Now().Add(watchdog.Bound))
	got := make([]byte, 2000)
	for i := range count {
		n, _, err := server.ReadFrom(got)
		if err != nil {
			return fmt.Errorf("datagram %d: %w", i, err)
		}
		if want := sent[:min(size, len(sent))]; !bytes.Equal(got[:n], want) {
			return fmt.Errorf("datagram %d: %d bytes that were not sent", i, n)
		} else {
			sent = sent[len(want):]
		}
	}
	return nil
}

func TestModuleMirror(t *testing.T) {
	for _, mode := range []mytunev.Mode{mytunev.TUN, mytunev.TAP} {
		for _, join := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, join %v", mode, join), func(t *testing.T) { testMirror(t, mode, join) })
		}
	}
}

func testMirror(t *testing.T, mode mytunev.Mode, join bool) {
	d, err := mytunev.Open(mytunev.Config{Mode: mode, Offload: mytunev.AllOffloads, Backpressure: true,
		RxRing: 4 << 20, TxRing: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	setUp(t, d)
	m := &mirror{mode: mode, join: join, c: NewCoalescer(mode)}
	result := make(chan error, 1)
	go func() { result <- d.Run(t.Context(), m.handle) }()
	for name, f := range map[string]func() error{
		"TCP over IPv4": func() error { return transfer(here4, there4, 8<<20) },
		"TCP over IPv6": func() error { return transfer(here6, there6, 8<<20) },
		"UDP over IPv4": func() error { return datagrams(here4, there4) },
		"UDP over IPv6": func() error { return datagrams(here6, there6) },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := d.Stats()
	if err != nil || s.Malformed+s.TxRefusedLength+s.TxRefusedFlags+s.TxRefusedVNet+s.TxRefusedProtocol != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	d.Close()
	if err := <-result; err != mytunev.ErrClosed {
		t.Errorf("Run: %v", err)
	}
	t.Logf("%d super-packets came, %d frames were cut, %d super-packets and frames sent", m.supers, m.cut, m.joined)
	// How many packets a super-packet stands for, is up to the sender and to the machine's speed.
	if m.supers == 0 || m.cut < 2*m.supers || join && m.joined >= m.cut {
		t.Error("nothing was cut up, or nothing joined: the test tests nothing")
	}
}

// TestModuleFlushWithoutOffload: datagrams that fit together get through a device that
// takes no super-packets, and a frame that no ring can carry keeps none of them back.
func TestModuleFlushWithoutOffload(t *testing.T) {
	d, err := mytunev.Open(mytunev.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	setUp(t, d)
	server, err := net.ListenPacket("udp", net.JoinHostPort(here4, "80"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := recipe{udp: true, port: 4000}
	frames := r.parts(100, 100, 50)
	c := NewCoalescer(mytunev.TUN)
	for _, frame := range frames {
		copy(frame[12:], net.ParseIP(there4).To4())
		copy(frame[16:], net.ParseIP(here4).To4())
		repair(r, frame)
		c.Add(frame, mytunev.VNetHeader{})
	}
	if c.Len() != 1 {
		t.Fatalf("%d frames are not joined: the test tests nothing", c.Len())
	}
	c.Add(make([]byte, 1<<26), mytunev.VNetHeader{})
	r.port++
	last := r.parts(60)[0]
	copy(last[12:20], frames[0][12:20])
	repair(r, last)
	c.Add(last, mytunev.VNetHeader{})
	err = d.Queues()[0].SendBatch(func(tx *mytunev.Tx) error { return c.Flush(tx) })
	if err != mytunev.ErrTooLong {
		t.Errorf("Flush: %v, want %v", err, mytunev.ErrTooLong)
	}
	server.SetDeadline(time.Now().Add(watchdog.Bound))
	got := make([]byte, 2000)
	for i, frame := range append(frames, last) {
		if n, _, err := server.ReadFrom(got); err != nil || !bytes.Equal(got[:n], frame[28:]) {
			t.Fatalf("datagram %d: %d bytes, %v, want %d", i, n, err, len(frame)-28)
		}
	}
}
