// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"errors"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// What a process does without rings: it reads and writes.

// vnetSize is what a virtio_net_hdr has before anybody asks for more:
// sizeof(struct virtio_net_hdr).
const vnetSize = 10

// port is an honest program's set-up without rings.
func (w *world) port(t *thread, a []uint64) error {
	err := errors.Join(w.open(t, a[:1]), w.attach(a[0], devices[a[1]], flagsOf(portkinds.enum[a[2]])))
	if err != nil {
		return err
	}
	return configure(a[1])
}

// inPieces is a buffer as an iovec of so many parts, the last of which has the
// rest.
func inPieces(b []byte, pieces uint64) [][]byte {
	each := len(b) / int(max(pieces, 1))
	var parts [][]byte
	for range max(pieces, 1) - 1 {
		parts = append(parts, b[:each:each])
		b = b[each:]
	}
	return append(parts, b)
}

func (w *world) read(_ *thread, a []uint64) (err error) {
	parts := inPieces(make([]byte, a[1]), a[2])
	for range a[3] {
		if _, err = unix.Readv(firstFile+int(a[0]), parts); err != nil {
			break
		}
	}
	return err
}

// framed is a frame as the file takes it, behind what it takes before a frame.
func (w *world) framed(file uint64, protocol uint16, f device.VnetFrame) []byte {
	flags := w.flags[file].Load()
	var b []byte
	if flags&unix.IFF_NO_PI == 0 {
		b = binary.BigEndian.AppendUint16(make([]byte, 2), protocol)
	}
	size := 0
	if flags&unix.IFF_VNET_HDR != 0 {
		size = int(max(w.vnet[file].Load()&0xfff, vnetSize))
	}
	return append(b, f.Written(size)...)
}

// protocolOf is what the process says of a packet's protocol.
func protocolOf(packet string) uint16 {
	switch packet {
	case "udp6", "tcp6", "vxlan6", "vxlan6_sum":
		return 0x86dd
	}
	return 0x0800
}

// write sends frames that are as they should be, each by a call.
func (w *world) write(_ *thread, a []uint64) (err error) {
	f := w.packet(a[0], packets[a[1]], claims[a[2]], int(a[3]))
	parts := inPieces(w.framed(a[0], protocolOf(packets[a[1]]), f), a[4])
	for range a[5] {
		_, err = unix.Writev(firstFile+int(a[0]), parts)
	}
	return err
}

// writeAny sends one frame with anything before it.
func (w *world) writeAny(_ *thread, a []uint64) error {
	f := w.packet(a[0], packets[a[1]], "plain", int(a[2]))
	f.Vnet = device.VnetHeader{
		Flags: uint8(a[4]), GSOType: uint8(a[5]), HdrLen: uint16(a[6]),
		GSOSize: uint16(a[7]), CsumStart: uint16(a[8]), CsumOffset: uint16(a[9]),
	}
	_, err := unix.Writev(firstFile+int(a[0]), inPieces(w.framed(a[0], uint16(a[3]), f), a[10]))
	return err
}

// writeMany sends frames by one call, as a file does that was asked for that. The
// last one's header may not be true, and its end may be missing.
func (w *world) writeMany(_ *thread, a []uint64) error {
	f := w.packet(a[0], packets[a[1]], claims[a[2]], int(a[3]))
	var b []byte
	for range a[4] {
		b = append(b, device.Record(f.Header(), f.Data)...)
	}
	h := f.Header()
	h.Length += uint32(a[5])
	b = append(b, device.Record(h, f.Data)...)
	_, err := unix.Write(firstFile+int(a[0]), b[:len(b)-int(min(a[6], uint64(len(b))))])
	return err
}

// wait asks whether there is anything, by both ways that wait for a ring.
func (w *world) wait(_ *thread, a []uint64) error {
	_, err := unix.Write(firstFile+int(a[0]), nil)
	return errors.Join(err, fileOf(a[0]).TryWait())
}

// block leaves a copy of the process that waits in a call, on a file of its own.
func (w *world) block(_ *thread, a []uint64) error {
	fd, err := unix.Open(device.Node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	f := &device.File{FD: fd}
	if _, err := f.TryAttach(devices[a[0]], flagsOf(portkinds.enum[a[1]])); err != nil {
		return err
	}
	b := make([]byte, 2000)
	switch blockers[a[2]] {
	case "read":
		return w.forkAnd(unix.SYS_READ, uintptr(fd), device.Address(b), uintptr(len(b)))
	case "write":
		f.SetInt(unix.TUNSETSNDBUF, 1)
		return w.forkAnd(unix.SYS_WRITE, uintptr(fd), device.Address(b), uintptr(len(b)))
	}
	return w.forkAnd(unix.SYS_IOCTL, uintptr(fd), device.IocWait, 0)
}
