// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"encoding/binary"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A SuperSender can send a packet that stands for many: the devices of contestants that were opened with Config.Offload.
type SuperSender interface {
	// SendSuper hands the same UDP super-packet to the kernel count times. Its payload begins after the headers and is to be cut into segments;
	// its checksum is that of the pseudo-header only.
	SendSuper(packet []byte, headers, segment, count int) error
}

const udpHeader = 8

// superHeader is what a contestant with a vnet header says of a UDP super-packet.
func superHeader(headers, segment int) mytunev.VNetHeader {
	const checksumOffset = 6 // in a UDP header
	return mytunev.VNetHeader{
		Flags: mytunev.VNetNeedsChecksum, GSOType: mytunev.GSOUDPL4, HdrLen: uint16(headers), GSOSize: uint16(segment),
		CsumStart: uint16(headers - udpHeader), CsumOffset: checksumOffset,
	}
}

// SendSuper sends super-packets as they are.
func (d *mytunDevice) SendSuper(packet []byte, headers, segment, count int) error {
	q, v := d.dev.Queues()[0], superHeader(headers, segment)
	for count > 0 {
		n := min(count, max(superBatch, d.ring/(4*maxPacket)))
		err := q.SendBatch(func(tx *mytunev.Tx) error {
			for range n {
				if err := tx.SendVNet(packet, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		count -= n
	}
	return nil
}

// superBatch is sendBatch for packets that fill a ring soon: a quarter of one of 1 MiB. A larger ring has more.
const superBatch = 4

// SendSuper sends super-packets as they are.
func (d *vhostDevice) SendSuper(packet []byte, headers, segment, count int) error {
	v := superHeader(headers, segment)
	framed := append(make([]byte, vhostHeader), packet...)
	framed[0], framed[1] = v.Flags, v.GSOType
	for i, field := range []uint16{v.HdrLen, v.GSOSize, v.CsumStart, v.CsumOffset} {
		binary.LittleEndian.PutUint16(framed[2+2*i:], field)
	}
	for i := range count {
		if err := d.put(framed); err != nil {
			return err
		}
		if i%superBatch == superBatch-1 {
			if err := d.show(vhostTx); err != nil {
				return err
			}
		}
	}
	return d.show(vhostTx)
}
