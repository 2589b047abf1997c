// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"fmt"
	"net"
	"path"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func deadline() time.Time { return time.Now().Add(device.Deadline) }

var marker = []byte("behind the super-packet")

// newShort is a device that hands out super-packets in tunnels, behind a vnet header of so many bytes, and a tunnel over it.
func newShort(t *testing.T, node string, size int) (*device.Port, *source) {
	t.Helper()
	p := device.NewPort(t, node, device.Config{Flags: device.Vnet})
	if err := p.TrySetOffload(device.OffloadAll | device.OffloadTunnels); err == unix.EINVAL && node == device.StockNode {
		t.Skip("this kernel's own tun knows nothing of tunnels")
	} else if err != nil {
		t.Fatalf("TUNSETOFFLOAD: %v", err)
	}
	setVnet(t, p, size)
	return p, newSource(t, p.Link, device.Tunnel{Checksum: true})
}

func setVnet(t *testing.T, p *device.Port, size int) {
	t.Helper()
	if err := p.SetInt(unix.TUNSETVNETHDRSZ, size); err != nil {
		t.Fatalf("TUNSETVNETHDRSZ %d: %v", size, err)
	}
}

// sendMarker sends a datagram to the process, outside of the tunnel.
func sendMarker(t *testing.T, l *device.Link) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.PeerAddr(false, device.PeerPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(marker); err != nil {
		t.Fatal(err)
	}
}

// read is one read of what has come.
func read(t *testing.T, p *device.Port) ([]byte, error) {
	t.Helper()
	device.WaitFor(t, "something to read", func() bool { return p.Events(t)&unix.POLLIN != 0 })
	b := make([]byte, 1<<17)
	n, err := device.Restart(func() (int, error) { return unix.Read(p.FD, b) })
	return b[:max(n, 0)], err
}

// expectMarker: what is read next is the marker, whole, and one frame before it was dropped.
func expectMarker(t *testing.T, p *device.Port, size int, before netlink.LinkStatistics) {
	t.Helper()
	b, err := read(t, p)
	if err != nil || len(b) < size || !bytes.HasSuffix(b, marker) || len(b) != size+28+len(marker) {
		t.Fatalf("read %d bytes % x..., %v, want the datagram behind the super-packet", len(b), b[:min(len(b), 64)], err)
	}
	if b[1] != device.GSONone {
		t.Errorf("header % x of a datagram", b[:size])
	}
	got := device.Counters(t, p.Name)
	if got.TxDropped != before.TxDropped+1 || got.TxPackets != before.TxPackets+1 {
		t.Errorf("counters before %+v, after %+v: want a frame dropped, and one sent", before, got)
	}
}

// TestHeadersWithoutRoomForOffsets: a super-packet that the process could not cut is not for it. It is dropped, and counts; the next
// frame comes, and with room for the offsets so does the next super-packet. With stock tun no frame comes at all.
func TestHeadersWithoutRoomForOffsets(t *testing.T) {
	for _, node := range device.Nodes {
		for _, size := range []int{10, 12, 20, device.TunnelVnetSize - 1} {
			t.Run(fmt.Sprintf("%s, %d bytes", path.Base(node), size), func(t *testing.T) {
				device.Sandbox(t)
				p, s := newShort(t, node, size)
				before := device.Counters(t, p.Name)
				s.send(t)
				sendMarker(t, p.Link)
				if node == device.StockNode {
					for range 2 {
						if b, err := read(t, p); err != unix.EFAULT {
							t.Errorf("stock tun: read %d bytes, %v, want %v", len(b), err, unix.EFAULT)
						}
					}
					return
				}
				expectMarker(t, p, size, before)
				setVnet(t, p, device.TunnelVnetSize)
				s.send(t)
				expectSuper(t, p, device.TunnelVnetSize)
			})
		}
	}
}

// expectSuper: what is read next is a super-packet in a tunnel, with its offsets.
func expectSuper(t *testing.T, p *device.Port, size int) {
	t.Helper()
	b, err := read(t, p)
	if err != nil || len(b) < size+batch {
		t.Fatalf("read %d bytes, %v, want a super-packet", len(b), err)
	}
	if b[1] != device.GSOUDPL4|device.GSOTunnel4 || b[offsetsInVnet] != 20 || b[offsetsInVnet+2] != 20+device.TunnelHeaders {
		t.Errorf("header % x of a super-packet in a tunnel", b[:size])
	}
}

// TestHeadersThatChangeSizeWhileAFrameWaits: what counts is the size when the frame is read.
func TestHeadersThatChangeSizeWhileAFrameWaits(t *testing.T) {
	for _, c := range []struct{ sent, read int }{
		{device.TunnelVnetSize, 12}, {64, 10}, {12, device.TunnelVnetSize}, {10, 64},
	} {
		t.Run(fmt.Sprintf("%d, then %d bytes", c.sent, c.read), func(t *testing.T) {
			device.Sandbox(t)
			p, s := newShort(t, device.Node, c.sent)
			before := device.Counters(t, p.Name)
			s.send(t)
			sendMarker(t, p.Link)
			setVnet(t, p, c.read)
			if c.read >= device.TunnelVnetSize {
				expectSuper(t, p, c.read)
				return
			}
			expectMarker(t, p, c.read, before)
		})
	}
}

// TestManyFramesACallHaveOffsets: their headers are of a ring's, whatever the size of a vnet header.
func TestManyFramesACallHaveOffsets(t *testing.T) {
	device.Sandbox(t)
	p, s := newShort(t, device.Node, 10)
	p.SetBatch(t, device.BatchRead)
	s.send(t)
	b, err := read(t, p)
	if err != nil {
		t.Fatal(err)
	}
	h, frame, _, ok := device.CutRecord(b)
	want := device.TunnelOffsets{OuterTH: 20, InnerNH: 20 + device.TunnelHeaders}
	if !ok || h.Vnet.GSOType != device.GSOUDPL4|device.GSOTunnel4 || h.Tunnel != want || len(frame) < batch {
		t.Errorf("%+v, %d bytes, want a super-packet with %+v", h, len(frame), want)
	}
}
