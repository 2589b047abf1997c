// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// eachLink runs a test on a TUN and a TAP device, with both families.
func eachLink(t *testing.T, c device.Config, f func(t *testing.T, l *device.Link, ipv6 bool)) {
	t.Helper()
	for _, tap := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("tap=%v,ipv6=%v", tap, ipv6), func(t *testing.T) {
				device.Sandbox(t)
				c.TAP, c.IPv6 = tap, true
				f(t, device.NewLink(t, c), ipv6)
			})
		}
	}
}

// TestSuperPacketsOfTCPAreReceived: whatever they are to be cut into.
func TestSuperPacketsOfTCPAreReceived(t *testing.T) {
	c := device.Config{Flags: device.Vnet, TxSize: 1 << 20}
	eachLink(t, c, func(t *testing.T, l *device.Link, ipv6 bool) {
		p := l.DialTCP(t, ipv6, 4000)
		for i, mss := range []int{88, 536, 1440, 9000} {
			for _, size := range []int{mss, mss + 1, 2 * mss, device.WindowMin} {
				data := device.Pattern(uint64(i), size)
				vnet, frame := p.Super(data, uint16(mss))
				l.Queue().SendVnet(t, vnet, frame)
				expectStream(t, p, data)
			}
		}
		expectRefused(t, l, 0)
	})
}

// expectStream reads as many bytes from the kernel's side and compares them.
func expectStream(t *testing.T, p *device.TCPPeer, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.Conn, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, or others: %v", n, len(want), err)
	}
	p.Link.Queue().DropAll()
}

func expectRefused(t *testing.T, l *device.Link, refused uint64) {
	t.Helper()
	if s := l.Queue().Settled(t); s.Refused() != refused || l.Queue().State() != 0 {
		t.Errorf("state %#x, stats %+v", l.Queue().State(), s)
	}
}

// TestSuperPacketsOfUDPAreReceived: a socket that does not know of them gets
// the datagrams, one that asked gets the whole.
func TestSuperPacketsOfUDPAreReceived(t *testing.T) {
	c := device.Config{Flags: device.Vnet, TxSize: 1 << 20}
	eachLink(t, c, func(t *testing.T, l *device.Link, ipv6 bool) {
		plain, whole := l.ListenUDP(t, ipv6, hostPort), l.ListenUDP(t, ipv6, hostPort+1)
		device.AskForGRO(t, whole)
		for i, size := range []int{1, 100, 1200, 1452} {
			count := min(device.SegmentsMax, 65000/size)
			data := device.Pattern(uint64(i), size*count-count/2)
			for port := uint16(hostPort); port <= hostPort+1; port++ {
				vnet, frame := l.SuperDatagram(ipv6,
					device.Datagram{SrcPort: peerPort, DstPort: port, Payload: data}, uint16(size))
				l.Queue().SendVnet(t, vnet, frame)
			}
			for at := 0; at < len(data); at += size {
				device.Expect(t, plain, data[at:min(at+size, len(data))])
			}
			got, segment := device.ReadBatch(t, whole)
			if !bytes.Equal(got, data) || segment != size {
				t.Errorf("%d bytes in pieces of %d came as %d in pieces of %d, or others",
					len(data), size, len(got), segment)
			}
		}
		expectRefused(t, l, 0)
	})
}

// TestPartialChecksumsAreTaken, and what is left of wrong ones is dropped by
// the receiver, not by us.
func TestPartialChecksumsAreTaken(t *testing.T) {
	c := device.Config{Flags: device.Vnet}
	eachLink(t, c, func(t *testing.T, l *device.Link, ipv6 bool) {
		conn := l.ListenUDP(t, ipv6, hostPort)
		for _, size := range []int{0, 1, 1000, l.MaxPayload(ipv6)} {
			data := device.Pattern(uint64(size), size)
			vnet, frame := l.SuperDatagram(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: data}, 0)
			vnet.GSOType = device.GSONone
			l.Queue().SendVnet(t, vnet, frame)
			device.Expect(t, conn, data)
		}
		checkErrors(t)
		good := l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("good")})
		bad := bytes.Clone(good)
		bad[len(bad)-1]++
		l.Queue().Send(t, bad)
		l.Queue().Send(t, good)
		device.Expect(t, conn, []byte("good"))
		name := "Udp.InCsumErrors"
		if ipv6 {
			name = "Udp6.InCsumErrors"
		}
		if n := device.SNMP(t)[name]; n != 1 {
			t.Errorf("%s is %d after one wrong checksum", name, n)
		}
		expectRefused(t, l, 0)
	})
}

// TestChecksumThatIsSaidToBeRightIsBelieved by ring and batch, and by write as little as by stock tun.
func TestChecksumThatIsSaidToBeRightIsBelieved(t *testing.T) {
	for _, way := range device.Ways {
		for _, tap := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,tap=%v", way.Name, tap), func(t *testing.T) {
				device.Sandbox(t)
				e := way.Open(t, device.Config{Flags: device.Vnet, TAP: tap, IPv6: true})
				for _, ipv6 := range []bool{false, true} {
					expectBelieved(t, e, ipv6, way.Name == "ring" || way.Name == "batch")
				}
			})
		}
	}
}

// expectBelieved: a datagram with a wrong checksum comes if that is said to be right, and a good one behind it in any case.
func expectBelieved(t *testing.T, e device.End, ipv6, believed bool) {
	t.Helper()
	l := e.Device()
	conn := l.ListenUDP(t, ipv6, hostPort)
	defer conn.Close()
	bad := l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("bad")})
	bad[len(bad)-1]++
	good := l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("good")})
	for _, v := range []device.VnetHeader{{Flags: device.VnetDataValid}, {}} {
		if err := e.Give([]device.VnetFrame{{Vnet: v, Data: bad}, {Data: good}}); err != nil {
			t.Fatal(err)
		}
		if believed && v.Flags != 0 {
			device.Expect(t, conn, []byte("bae"))
		}
		device.Expect(t, conn, []byte("good"))
	}
}

// TestSuperPacketsAreCutForADeviceWithoutOffloads: the kernel routes them to a
// device whose process did not ask for any, and does its work for it.
func TestSuperPacketsAreCutForADeviceWithoutOffloads(t *testing.T) {
	for _, ipv6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("ipv6=%v", ipv6), func(t *testing.T) {
			device.Sandbox(t)
			in := device.NewLink(t, device.Config{Flags: device.Vnet, IPv6: true, TxSize: 1 << 20})
			out := newRouted(t, in)
			const size, count = 1000, 40
			data := device.Pattern(6, size*count-1)
			vnet, frame := in.SuperDatagram(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: data}, size)
			in.Queue().SendVnet(t, vnet, frame)
			for at := 0; at < len(data); at += size {
				expectRouted(t, out, data[at:min(at+size, len(data))])
			}
			expectRefused(t, in, 0)
		})
	}
}

// newRouted makes a second device to which the kernel routes what comes from
// the peer of the first one to that one's host: the addresses are moved there.
func newRouted(t *testing.T, in *device.Link) *device.Link {
	t.Helper()
	out := device.NewLink(t, device.Config{IPv6: true, NoAddresses: true})
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		device.Sysctl(t, name, "1")
	}
	for _, ip := range []string{in.Host4.String() + "/24", in.Host6.String() + "/64"} {
		device.RemoveAddress(t, in.Name, ip)
	}
	device.AddRoute(t, out.Name, in.Host4.String()+"/32")
	device.AddRoute(t, out.Name, in.Host6.String()+"/128")
	device.Sysctl(t, "net/ipv4/conf/all/rp_filter", "0")
	device.Sysctl(t, "net/ipv4/conf/"+in.Name+"/rp_filter", "0")
	return out
}

// expectRouted takes the next frame of transport and checks all of it.
func expectRouted(t *testing.T, l *device.Link, want []byte) {
	t.Helper()
	h, frame := l.Queue().Receive(t, func(_ device.Header, frame []byte) bool { return l.IsTransport(frame) })
	if err := l.Check(h, frame); err != nil {
		t.Fatal(err)
	}
	if h.Vnet != (device.VnetHeader{}) || !bytes.HasSuffix(frame, want) || len(frame)-len(want) > 48 {
		t.Fatalf("frame of %d bytes, %+v, does not carry the %d expected", len(frame), h.Vnet, len(want))
	}
}
