// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mytun/mytun/bench/result"
	"golang.org/x/sys/unix"
)

// TunSuper is stock tun for a program that takes and gives super-packets itself, without wireguard's package. It is for the native clock, and
// none of All's: it has no other packets.
var TunSuper = Peer{Name: result.PeerTun, Open: openTunSuper}

// tunVNetHeader is the length of struct virtio_net_hdr, which is in front of every packet.
const tunVNetHeader = 10

// A tunSuperDevice is stock tun with that header.
type tunSuperDevice struct {
	*tunDevice
}

func openTunSuper(c Config) (Device, error) {
	d, err := openTun(tunPath, c, unix.IFF_VNET_HDR)
	if err != nil {
		return nil, err
	}
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6
	for _, fd := range d.fds {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
			return nil, errors.Join(fmt.Errorf("set the offloads of %s: %w", c.Name, err), d.Close())
		}
	}
	return tunSuperDevice{d}, nil
}

// Receive keeps the header to itself.
func (d tunSuperDevice) Receive(ctx context.Context, queue int, visit Visitor) error {
	return d.tunDevice.Receive(ctx, queue, func(p []byte) bool { return visit(p[tunVNetHeader:]) })
}

// SendSuper sends super-packets as they are.
func (d tunSuperDevice) SendSuper(packet []byte, headers, segment, count int) error {
	return d.Send(0, append(tunSuperHeader(headers, segment), packet...), count)
}

func tunSuperHeader(headers, segment int) []byte {
	v := superHeader(headers, segment)
	h := []byte{v.Flags, v.GSOType}
	for _, field := range []uint16{v.HdrLen, v.GSOSize, v.CsumStart, v.CsumOffset} {
		h = binary.LittleEndian.AppendUint16(h, field)
	}
	return h
}
