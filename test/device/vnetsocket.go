// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// A VnetSocket is a packet socket on a device, whose frames have metadata both ways.
type VnetSocket struct{ fd int }

// legacyVnetSize is sizeof(struct virtio_net_hdr), which packet sockets have.
const legacyVnetSize = 10

// NewVnetSocket is a socket that sends frames of any kind and receives those of one EtherType, or none if that is 0.
func NewVnetSocket(t testing.TB, name string, etherType uint16) *VnetSocket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	const packetVnetHeader = 15 // PACKET_VNET_HDR
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, packetVnetHeader, 1); err != nil {
		t.Fatalf("PACKET_VNET_HDR: %v", err)
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
	to := &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: LinkOf(t, name).Attrs().Index}
	if err := unix.Bind(fd, to); err != nil {
		t.Fatalf("packet socket on %s: %v", name, err)
	}
	return &VnetSocket{fd}
}

// Send makes the device transmit a frame.
func (s *VnetSocket) Send(t testing.TB, f VnetFrame) {
	t.Helper()
	b := make([]byte, VnetSize)
	f.Vnet.Encode(b)
	if err := unix.Send(s.fd, append(b[:legacyVnetSize], f.Data...), 0); err != nil {
		t.Fatalf("send %d bytes, %+v: %v", len(f.Data), f.Vnet, err)
	}
}

// Ready tells whether there is a frame to receive.
func (s *VnetSocket) Ready() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Receive is the next frame that the device received, or transmitted; it waits for one.
func (s *VnetSocket) Receive(t testing.TB) (f VnetFrame) {
	t.Helper()
	b := make([]byte, legacyVnetSize+FrameMax)
	n, err := Restart(func() (int, error) { return unix.Read(s.fd, b) })
	if err != nil || n < legacyVnetSize {
		t.Fatalf("no frame came: %d bytes, %v", n, err)
	}
	f.Vnet.Decode(append(b[:legacyVnetSize:legacyVnetSize], 0, 0))
	f.Data = b[legacyVnetSize:n]
	return f
}
