// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sctpSum is where an SCTP header has its checksum, which is a CRC.
const sctpSum = 8

// TestChecksumThatIsACRC: another device's generic XDP program sends on what SCTP sends, whose CRC is to be filled in. A
// virtio_net_hdr can tell of no CRC, so it is complete on every device. By chance nothing fails here: SCTP sends its first packet until
// it is answered, which it never is.
func TestChecksumThatIsACRC(t *testing.T) {
	for _, flags := range []uint16{0, device.Vnet} {
		for _, way := range []string{"ring", "write"} {
			kind := map[uint16]string{0: "plain", device.Vnet: "IFF_VNET_HDR"}[flags]
			t.Run(kind+", "+way, func(t *testing.T) {
				device.Sandbox(t)
				p := newPort(t, way, device.Config{NoAddresses: true, Flags: flags})
				p.cutElsewhere(t, nil)
				associate(t)
				v, packet := p.receiveSCTP(t)
				if v != (device.VnetHeader{}) {
					t.Errorf("the frame comes with %+v", v)
				}
				expectCRC(t, packet)
			})
		}
	}
}

// associate makes SCTP send on the near device. It goes on until the end of the test.
func associate(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skip("this kernel has no SCTP")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	peer := netip.MustParseAddr("10.89.0.2")
	device.AddAddress(t, near, "10.89.0.1/24")
	if err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: device.LinkOf(t, near).Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: peer.AsSlice(), HardwareAddr: device.LinkOf(t, far).Attrs().HardwareAddr,
	}); err != nil {
		t.Fatalf("neighbour: %v", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: peer.As4()}); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: %v, want EINPROGRESS", err)
	}
}

// receiveSCTP is the next SCTP packet in a frame, without the headers in front of it.
func (p *port) receiveSCTP(t *testing.T) (device.VnetHeader, []byte) {
	t.Helper()
	const protocol = 14 + 9
	for {
		v, frame := p.receive(t)
		if len(frame) > udpStart+sctpSum+4 && frame[protocol] == unix.IPPROTO_SCTP {
			return v, frame[udpStart:]
		}
	}
}

func expectCRC(t *testing.T, packet []byte) {
	t.Helper()
	got := binary.LittleEndian.Uint32(packet[sctpSum:])
	clear(packet[sctpSum:][:4])
	if want := crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)); got != want {
		t.Errorf("CRC %#x, want %#x", got, want)
	}
}
