// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// farthest is up to where in a frame a checksum may be that is to be filled in: what lies
// before has to be in one piece of memory.
const farthest = 16 << 10

// A way is how the process's frames go to the kernel.
type way struct {
	name string
	open func(t *testing.T, c device.Config) *sender
}

// A sender is a device and its file, and how a frame is given to it. The error is
// what a write of one frame comes back with, and nil where frames are not answered.
type sender struct {
	*device.Link
	file *device.File
	send func(t *testing.T, v device.VnetHeader, frame []byte) error
}

var ways = []way{
	{"ring", func(t *testing.T, c device.Config) *sender {
		c.TxSize = 1 << 20
		l := device.NewLink(t, c)
		return &sender{l, l.Queue().File, func(t *testing.T, v device.VnetHeader, frame []byte) error {
			l.Queue().SendVnet(t, v, frame)
			l.Queue().WaitTaken(t)
			return nil
		}}
	}},
	{"write", func(t *testing.T, c device.Config) *sender {
		p := device.NewPort(t, device.Node, c)
		return &sender{p.Link, p.File, func(_ *testing.T, v device.VnetHeader, frame []byte) error {
			b := make([]byte, device.VnetSize)
			v.Encode(b)
			const written = 10 // sizeof(struct virtio_net_hdr)
			_, err := unix.Write(p.FD, append(b[:written], frame...))
			return err
		}}
	}},
	{"batch", func(t *testing.T, c device.Config) *sender {
		p := device.NewPort(t, device.Node, c)
		p.SetBatch(t, device.BatchWrite)
		return &sender{p.Link, p.File, func(t *testing.T, v device.VnetHeader, frame []byte) error {
			b := device.Record(device.Header{Length: uint32(len(frame)), Vnet: v}, frame)
			if n, err := unix.Write(p.FD, b); n != len(b) {
				t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
			}
			return nil
		}}
	}},
}

// onAllWays runs a test for TUN and TAP devices, once for each way, in a sandbox.
func onAllWays(t *testing.T, c device.Config, f func(t *testing.T, s *sender)) {
	for _, way := range ways {
		for _, tap := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tap=%v", way.name, tap), func(t *testing.T) {
				device.Sandbox(t)
				c.TAP = tap
				f(t, way.open(t, c))
			})
		}
	}
}

// farHeaders say of a frame of that length that its headers, or where its checksum
// begins or stands, are far behind its beginning: all within the frame.
func farHeaders(length int) (headers []device.VnetHeader) {
	places := []int{0, 14, 34, 254, 2046, 4094, farthest - 2, farthest, farthest + 2, 32768, 65280, 65406, 65470, 65480, 65520, 65533}
	for _, start := range places {
		for _, offset := range []int{0, 6, 16, 254, farthest - 2, farthest, 65280} {
			for _, kind := range []uint8{device.GSONone, device.GSOTCPv4, device.GSOUDPL4} {
				if start+offset+2 > length {
					continue
				}
				v := device.VnetHeader{Flags: device.VnetNeedsCsum, CsumStart: uint16(start), CsumOffset: uint16(offset), GSOType: kind}
				if kind != device.GSONone {
					v.GSOSize = 1400
				}
				headers = append(headers, v)
				v.HdrLen = uint16(min(start+offset+20, length, 0xffff))
				headers = append(headers, v)
			}
		}
	}
	for _, n := range places {
		headers = append(headers, device.VnetHeader{HdrLen: uint16(n)}, device.VnetHeader{HdrLen: uint16(n), GSOType: device.GSOTCPv4, GSOSize: 1400})
	}
	return headers
}

// isFar tells whether a header asks for a checksum too far behind. How long the headers
// are is only a hint, for which nothing is moved.
func isFar(v device.VnetHeader) bool {
	return v.Flags&device.VnetNeedsCsum != 0 && int(v.CsumStart)+int(v.CsumOffset)+2 > farthest
}

// TestChecksumsFarBehindTheBeginningAreRefused: the kernel would need all before them in
// one piece, for which it would ask for much memory at once, and say so where it has no
// number for the place. Nothing is said, in no part of the log, and no such memory is taken.
func TestChecksumsFarBehindTheBeginningAreRefused(t *testing.T) {
	onAllWays(t, device.Config{Flags: device.Vnet, IPv6: true}, func(t *testing.T, s *sender) {
		log, trace := device.ReadKernelLog(t), device.TraceLargePages(t)
		for _, length := range []int{device.FrameMax, 65540, 65473} {
			frame := slices.Concat(s.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort}), make([]byte, length))[:length]
			for _, v := range farHeaders(length) {
				s.checkFar(t, v, frame)
			}
		}
		if lines := log.News(t); len(lines) > 0 {
			t.Errorf("the kernel said %d lines, the first: %s", len(lines), lines[0])
		}
		if n := trace.Events(t); n != 0 {
			t.Errorf("%d times more than eight pages in a row were asked for", n)
		}
	})
}

// checkFar sends a frame, which must be refused if its header reaches too far.
func (s *sender) checkFar(t *testing.T, v device.VnetHeader, frame []byte) {
	t.Helper()
	before := s.file.Stats(t).TxRefusedVnet
	err := s.send(t, v, frame)
	if !isFar(v) {
		return
	}
	if s.file.Stats(t).TxRefusedVnet == before && err == nil {
		t.Errorf("%+v: a frame of %d bytes was not refused", v, len(frame))
	}
	if err != nil && err != unix.EINVAL {
		t.Errorf("%+v: write: %v, want EINVAL", v, err)
	}
}
