// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

const (
	segmentSize  = 1000
	datagramPort = 2
	etherHeader  = 14
	udpHeader    = 8
	udpChecksum  = 6 // in the UDP header
)

// A sent is a frame in a tunnel that a process sends, of a kind that the names of its fields say.
type sent struct {
	device.Tunnel
	inner6, udp bool
	payload     []byte
}

func (s sent) String() string {
	return fmt.Sprintf("outer IPv6 %v, checksum %v, inner IPv6 %v, UDP %v, %d bytes", s.IPv6, s.Checksum, s.inner6, s.udp, len(s.payload))
}

// allSent are all kinds with so many bytes of payload.
func allSent(size int) (all []sent) {
	for kind := range 16 {
		all = append(all, sent{
			device.Tunnel{IPv6: kind&1 != 0, Checksum: kind&2 != 0}, kind&4 != 0, kind&8 != 0, device.Pattern(uint64(size+kind), size),
		})
	}
	return all
}

// of is the frame as the process's side of a link sends it, with a packet of another link in it.
func (s sent) of(l, within *device.Link) device.VnetFrame {
	if s.udp {
		d := device.Datagram{SrcPort: 1, DstPort: datagramPort, Payload: s.payload}
		vnet, inner := within.SuperDatagram(s.inner6, d, segmentSize)
		return l.InTunnel(s.Tunnel, vnet, inner)
	}
	peer := &device.TCPPeer{Link: within, IPv6: s.inner6}
	vnet, inner := peer.Super(s.payload, segmentSize)
	return l.InTunnel(s.Tunnel, vnet, inner)
}

// transportHeader is that of the packet within.
func (s sent) transportHeader() int {
	if s.udp {
		return udpHeader
	}
	return 20
}

// TestForwardedSuperPackets: what a process sends in a tunnel, and is routed to a device that can do nothing, leaves it in
// segments that are right in all headers and checksums. One that has no more than a segment is no exception.
func TestForwardedSuperPackets(t *testing.T) {
	for _, size := range []int{10 * segmentSize, 2*segmentSize + 1, segmentSize, segmentSize - 1, 1} {
		for _, tap := range []bool{false, true} {
			for _, way := range (kind{tap: tap}).waysOfSupers() {
				t.Run(fmt.Sprintf("%d bytes, TAP %v, %s", size, tap, way.Name), func(t *testing.T) {
					device.Sandbox(t)
					end := way.Open(t, device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, Offloads: device.OffloadTunnels})
					far := newBeyond(t)
					for _, s := range allSent(size) {
						if way.Name == "stock" && s.Checksum && size <= segmentSize {
							continue // it leaves the outer checksum to nobody
						}
						far.forward(t, end, s)
					}
				})
			}
		}
	}
}

// beyond are sockets at the far end of a plain wire, of IPv4 and of IPv6.
type beyond [2]*device.VnetSocket

func newBeyond(t *testing.T) beyond {
	t.Helper()
	device.PlainWire(t)
	return beyond{device.NewVnetSocket(t, device.PlainFar, 0x0800), device.NewVnetSocket(t, device.PlainFar, 0x86dd)}
}

// next is a frame that has come, if there is one. The kernel's own, of IPv6, are for many.
func (b beyond) next(t *testing.T, ipv6 bool) (f device.VnetFrame, ok bool) {
	t.Helper()
	socket := b[map[bool]int{false: 0, true: 1}[ipv6]]
	for socket.Ready() {
		if f = socket.Receive(t); f.Data[0]&1 == 0 {
			return f, true
		}
	}
	return f, false
}

// forward sends a frame over the wire and looks at what comes out.
func (b beyond) forward(t *testing.T, end device.End, s sent) {
	t.Helper()
	l := end.Device().Beyond()
	f := s.of(l, l.Inner())
	before := end.Refusals(t)
	if err := end.Give([]device.VnetFrame{f}); err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	for i := range (len(s.payload) + segmentSize - 1) / segmentSize {
		var got device.VnetFrame
		device.WaitFor(t, fmt.Sprintf("segment %d of %v", i, s), func() (ok bool) {
			if n := end.Refusals(t); n != before {
				t.Fatalf("%v: refused", s)
			}
			got, ok = b.next(t, s.IPv6)
			return ok
		})
		if err := s.check(f, got, i); err != nil {
			t.Errorf("%v: segment %d: %v", s, i, err)
		}
	}
	if _, more := b.next(t, s.IPv6); more {
		t.Errorf("%v: more segments than there should be", s)
	}
}

// check compares the i-th segment with the frame that was sent.
func (s sent) check(f, got device.VnetFrame, i int) error {
	if got.Vnet.Flags&device.VnetNeedsCsum != 0 || got.Vnet.GSOType != device.GSONone {
		return fmt.Errorf("%+v is left to do", got.Vnet)
	}
	th, tunnel := etherHeader+device.IPHeader(s.IPv6), device.TunnelHeaders
	payload := s.payload[i*segmentSize : min((i+1)*segmentSize, len(s.payload))]
	headers := th + tunnel + device.IPHeader(s.inner6) + s.transportHeader()
	if len(got.Data) != headers+len(payload) || !bytes.Equal(got.Data[headers:], payload) {
		return fmt.Errorf("%d bytes with another payload, want %d", len(got.Data), headers+len(payload))
	}
	outer, inner := got.Data[th:], got.Data[th+tunnel:]
	if sent := f.Data[f.Tunnel.OuterTH:]; !bytes.Equal(outer[:4], sent[:4]) || !bytes.Equal(outer[udpHeader:tunnel], sent[udpHeader:tunnel]) {
		return fmt.Errorf("tunnel's headers % x, want % x", outer[:tunnel], sent[:tunnel])
	}
	if err := s.checkOuter(got.Data, th); err != nil {
		return fmt.Errorf("outer packet: %w", err)
	}
	if err := (&device.Link{MTU: len(inner)}).Check(device.Header{}, inner); err != nil {
		return fmt.Errorf("inner packet: %w", err)
	}
	return s.checkSequence(f.Data[int(f.Vnet.CsumStart):], inner[device.IPHeader(s.inner6):], i)
}

// checkOuter looks at the lengths and checksums of the tunnel's packet. One without a checksum is looked at with the right one.
func (s sent) checkOuter(frame []byte, th int) error {
	if !s.Checksum {
		if sum := binary.BigEndian.Uint16(frame[th+udpChecksum:]); sum != 0 {
			return fmt.Errorf("checksum %#x, and there should be none", sum)
		}
		addresses := frame[etherHeader+12 : th]
		if s.IPv6 {
			addresses = frame[etherHeader+8 : th]
		}
		const protocol = 17
		pseudo := checksum.Checksum(addresses, checksum.Combine(protocol, uint16(len(frame)-th)))
		frame = bytes.Clone(frame)
		binary.BigEndian.PutUint16(frame[th+udpChecksum:], pseudo)
		device.VnetHeader{CsumStart: uint16(th), CsumOffset: udpChecksum}.FillChecksum(frame)
	}
	return (&device.Link{TAP: true, MTU: len(frame)}).Check(device.Header{}, frame)
}

// checkSequence: a segment of TCP tells its place.
func (s sent) checkSequence(sent, got []byte, i int) error {
	if !bytes.Equal(sent[:4], got[:4]) {
		return fmt.Errorf("ports % x, want % x", got[:4], sent[:4])
	}
	if s.udp {
		return nil
	}
	want := binary.BigEndian.Uint32(sent[4:]) + uint32(i*segmentSize)
	if n := binary.BigEndian.Uint32(got[4:]); n != want {
		return fmt.Errorf("sequence number %d, want %d", n, want)
	}
	return nil
}
