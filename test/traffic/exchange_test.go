// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package traffic tests that frames arrive as they were sent, in order, and
// none twice, through rings of all sizes, full or empty, asleep or awake.
package traffic

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	minRing  = device.RingSizeMin
	maxRing  = device.RingSizeMax
	hostPort = device.HostPort
	peerPort = device.PeerPort
)

// checkMTU sends datagrams around the MTU's edge and the smallest, both ways.
func checkMTU(t *testing.T, tap bool, mtu int, ipv6 bool, flags uint16) {
	t.Helper()
	l := device.NewLink(t, device.Config{TAP: tap, MTU: mtu, IPv6: ipv6, Flags: flags})
	most := l.MaxPayload(ipv6)
	lengths := []int{0, 1, 2, 31, 32, 33, most / 2, most - 2, most - 1, most}
	l.Exchange(t, ipv6, lengths...)
	s := l.Queue().Settled(t)
	if s.TxFrames != uint64(len(lengths)) || s.Refused() != 0 || s.RxFrames < uint64(len(lengths)) || s.RxDropped != 0 {
		t.Errorf("%v: %+v", l, s)
	}
	device.Delete(t, l.Name)
	l.Queue().Close()
}

func TestFramesAtTheEdgesOfTheMTU(t *testing.T) {
	for _, flags := range []uint16{0, device.Vnet} {
		for _, tap := range []bool{false, true} {
			for _, mtu := range []int{68, 1280, 1500, 9000, 65535} {
				name := fmt.Sprintf("tap=%v,mtu=%d,flags=%#x", tap, mtu, flags)
				t.Run(name, func(t *testing.T) {
					device.Sandbox(t)
					checkMTU(t, tap, mtu, false, flags)
					if mtu >= 1280 {
						checkMTU(t, tap, mtu, true, flags)
					}
				})
			}
		}
	}
}

// TestLargestFrameOfAll: a TAP frame with everything in front of its payload.
func TestLargestFrameOfAll(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, MTU: 65535})
	fd := packetSocket(t, l)
	frame := device.Pattern(5, 65535+14)
	copy(frame, l.HostMAC)
	copy(frame[6:], l.PeerMAC)
	frame[12], frame[13] = 0x88, 0xb5 // an EtherType for experiments
	l.Queue().Send(t, frame)
	expectPacket(t, fd, frame)
	copy(frame, l.PeerMAC)
	copy(frame[6:], l.HostMAC)
	if _, err := unix.Write(fd, frame); err != nil {
		t.Fatalf("send %d bytes: %v", len(frame), err)
	}
	_, got := l.Queue().Receive(t, func(h device.Header, _ []byte) bool { return int(h.Length) == len(frame) })
	if string(got) != string(frame) {
		t.Error("the frame changed on its way")
	}
}

// packetSocket sees and sends raw frames of the experiments' EtherType.
func packetSocket(t *testing.T, l *device.Link) int {
	t.Helper()
	const protocol = 0xb588 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	index := device.LinkOf(t, l.Name).Attrs().Index
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	limit := unix.Timeval{Sec: int64(device.Deadline.Seconds())}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 64<<20); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func expectPacket(t *testing.T, fd int, want []byte) {
	t.Helper()
	b := make([]byte, len(want)+1)
	n, err := device.Restart(func() (int, error) { return unix.Read(fd, b) })
	if err != nil || string(b[:n]) != string(want) {
		t.Errorf("frame of %d bytes came as %d, %v", len(want), n, err)
	}
}

// TestChecksumLeftToTheKernel: a frame that says "compute the checksum" is
// taken on a device with IFF_VNET_HDR.
func TestChecksumLeftToTheKernel(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Flags: device.Vnet})
	conn := l.ListenUDP(t, false, hostPort)
	payload := device.Pattern(3, 1000)
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload})
	frame[26], frame[27] = 0, 0
	q := l.Queue()
	const needsCsum = 1
	vnet := device.VnetHeader{Flags: needsCsum, CsumStart: 20, CsumOffset: 6}
	q.PutRaw(device.Header{Length: uint32(len(frame)), Vnet: vnet}, frame, device.Footprint(len(frame)))
	q.Publish()
	device.Expect(t, conn, payload)
}
