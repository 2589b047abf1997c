// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// literals are headers as the specification of virtio has them, byte by byte: struct virtio_net_hdr, num_buffers, hash_value,
// hash_report, padding, outer_th_offset, inner_nh_offset. They are those of datagrams of IPv4 in VXLAN.
var literals = []struct {
	name   string
	tap    bool
	tunnel device.Tunnel
	bytes  string
}{
	{"TUN", false, device.Tunnel{}, "01 25 4e00 e803 4600 0600 0000 00000000 0000 0000 1400 3200"},
	{"TUN with checksum", false, device.Tunnel{Checksum: true}, "09 25 4e00 e803 4600 0600 0000 00000000 0000 0000 1400 3200"},
	{"TAP over IPv6", true, device.Tunnel{IPv6: true}, "01 45 7000 e803 6800 0600 0000 00000000 0000 0000 3600 5400"},
	{"TAP over IPv6 with checksum", true, device.Tunnel{IPv6: true, Checksum: true}, "09 45 7000 e803 6800 0600 0000 00000000 0000 0000 3600 5400"},
}

// Places in a header.
const (
	headersLength = 2
	offsetsInVnet = 20
	vnetInFrame   = 12
	offsetsInRing = 24
)

func literal(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil || len(b) != device.TunnelVnetSize {
		t.Fatalf("%q: %d bytes, %v", text, len(b), err)
	}
	return b
}

// inRing is a frame's header in a ring with the fields of a vnet header in it.
func inRing(vnet []byte, length int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(length))
	b = append(b, make([]byte, 8)...) // flags, hash
	b = append(b, vnet[:vnetInFrame]...)
	b = append(b, vnet[offsetsInVnet:]...)
	return append(b, 0, 0, 0, 0)
}

// ofRing is the opposite. What belongs to a ring only is not in a vnet header.
func ofRing(t *testing.T, header []byte) []byte {
	t.Helper()
	if rest := header[offsetsInRing+4 : device.FrameHeader]; !bytes.Equal(rest, make([]byte, 4)) {
		t.Errorf("the end of the frame's header is % x", rest)
	}
	b := slices.Clone(header[vnetInFrame:offsetsInRing])
	b = append(b, make([]byte, offsetsInVnet-len(b))...)
	return append(b, header[offsetsInRing:offsetsInRing+4]...)
}

// A bare is a device to which frames go, and from which they come, with the bytes of their headers.
type bare struct {
	*device.Link
	file *device.File
	way  string
	buf  []byte
}

func newBare(t *testing.T, way string, tap bool) *bare {
	t.Helper()
	c := device.Config{TAP: tap, IPv6: true, Flags: device.Vnet, RxSize: 1 << 20, TxSize: 1 << 20}
	b := &bare{way: way, buf: make([]byte, 1<<17)}
	if way == "ring" {
		b.Link = device.NewLink(t, c)
		b.file = b.Queue().File
	} else {
		p := device.NewPort(t, device.Node, c)
		b.Link, b.file = p.Link, p.File
		if err := p.SetInt(unix.TUNSETVNETHDRSZ, device.TunnelVnetSize); err != nil {
			t.Fatalf("TUNSETVNETHDRSZ: %v", err)
		}
	}
	if way == "batch" {
		b.file.SetBatch(t, device.BatchRead|device.BatchWrite)
	}
	b.file.SetOffload(t, device.OffloadAll|device.OffloadTunnels)
	return b
}

// take is the next frame, if there is one, and its vnet header, or what would be in it.
func (b *bare) take(t *testing.T) (vnet, frame []byte) {
	t.Helper()
	if b.way == "ring" {
		q := b.Queue()
		h, frame, ok := q.Peek()
		if !ok {
			return nil, nil
		}
		vnet = ofRing(t, q.RxData[q.RxConsumer()&(q.Geometry.Rx.Size-1):])
		frame = slices.Clone(frame)
		q.Next(h)
		q.Release()
		return vnet, frame
	}
	n, err := unix.Read(b.file.FD, b.buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil, nil
	} else if err != nil {
		t.Fatalf("read: %v", err)
	}
	if b.way != "batch" {
		return b.buf[:device.TunnelVnetSize], b.buf[device.TunnelVnetSize:n]
	}
	// one that is to be cut, or the last
	for rest := b.buf[:n]; len(rest) > 0 && (vnet == nil || vnet[1] == 0); {
		length := int(binary.LittleEndian.Uint32(rest))
		vnet, frame = ofRing(t, rest), rest[device.FrameHeader:][:length]
		rest = rest[(device.FrameHeader+length+device.BatchAlign-1)/device.BatchAlign*device.BatchAlign:]
	}
	return vnet, frame
}

// give sends a frame.
func (b *bare) give(t *testing.T, vnet, frame []byte) error {
	t.Helper()
	switch b.way {
	case "ring":
		q := b.Queue()
		at := q.TxProducer() & (q.Geometry.Tx.Size - 1)
		copy(q.TxData[at:], append(inRing(vnet, len(frame)), frame...))
		q.SetTxProducer(q.TxProducer() + device.Footprint(len(frame)))
		q.Publish()
		q.WaitTaken(t)
		return nil
	case "batch":
		_, err := unix.Write(b.file.FD, append(inRing(vnet, len(frame)), frame...))
		return err
	}
	_, err := unix.Write(b.file.FD, slices.Concat(vnet, frame))
	return err
}

// onAllLiterals runs a test for each header, by each way.
func onAllLiterals(t *testing.T, f func(t *testing.T, b *bare, s *source, tunnel device.Tunnel, vnet []byte)) {
	for _, c := range literals {
		for _, way := range []string{"ring", "file", "batch"} {
			t.Run(c.name+", "+way, func(t *testing.T) {
				device.Sandbox(t)
				b := newBare(t, way, c.tap)
				f(t, b, newSource(t, b.Link, c.tunnel), c.tunnel, literal(t, c.bytes))
			})
		}
	}
}

// TestBytesOfHeadersThatAreRead: but for the length of the headers, which the kernel may say to be more.
func TestBytesOfHeadersThatAreRead(t *testing.T) {
	onAllLiterals(t, func(t *testing.T, b *bare, s *source, _ device.Tunnel, want []byte) {
		s.send(t)
		var vnet, frame []byte
		device.WaitFor(t, "a super-packet in a tunnel", func() bool {
			vnet, frame = b.take(t)
			return vnet != nil && vnet[1] != 0
		})
		shortest := binary.LittleEndian.Uint16(want[headersLength:])
		if n := binary.LittleEndian.Uint16(vnet[headersLength:]); n < shortest || int(n) > len(frame) {
			t.Errorf("headers of %d bytes, want %d or more of %d", n, shortest, len(frame))
		}
		copy(vnet[headersLength:], want[headersLength:headersLength+2])
		if !bytes.Equal(vnet, want) {
			t.Errorf("header % x\nwant   % x", vnet, want)
		}
	})
}

// TestBytesOfHeadersThatAreWritten: the super-packet arrives at the tunnel's end, and with any other offset it is refused.
func TestBytesOfHeadersThatAreWritten(t *testing.T) {
	onAllLiterals(t, func(t *testing.T, b *bare, s *source, tunnel device.Tunnel, vnet []byte) {
		payload := device.Pattern(2, batch)
		within := *b.Inner()
		within.Host4 = s.side.inside4
		frame := sent{Tunnel: tunnel, udp: true, payload: payload}.of(b.Link, &within).Data
		if err := b.give(t, vnet, frame); err != nil {
			t.Fatalf("% x: %v", vnet, err)
		}
		for want := range slices.Chunk(payload, segmentSize) {
			device.Expect(t, s.conn, want)
		}
		for at := offsetsInVnet; at < device.TunnelVnetSize; at++ {
			lie := slices.Clone(vnet)
			lie[at]++
			b.expectRefused(t, lie, frame)
		}
		bigEndian := slices.Clone(vnet)
		slices.Reverse(bigEndian[offsetsInVnet : offsetsInVnet+2])
		slices.Reverse(bigEndian[offsetsInVnet+2:])
		b.expectRefused(t, bigEndian, frame)
	})
}

// expectRefused: a frame whose header lies counts.
func (b *bare) expectRefused(t *testing.T, vnet, frame []byte) {
	t.Helper()
	before := b.file.Stats(t).TxRefusedVnet
	err := b.give(t, vnet, frame)
	if want := map[bool]error{true: unix.EINVAL}[b.way == "file"]; err != want {
		t.Errorf("% x: %v, want %v", vnet, err, want)
	}
	if !device.Until(deadline(), func() bool { return b.file.Stats(t).TxRefusedVnet == before+1 }) {
		t.Errorf("% x was not refused", vnet)
	}
}
