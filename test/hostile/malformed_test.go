// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package hostile tests that a process which writes anything anywhere in what
// it maps harms nobody but itself.
package hostile

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
)

const (
	minRing  = device.RingSizeMin
	hostPort = device.HostPort
	peerPort = device.PeerPort
)

func TestMain(m *testing.M) { device.Main(m, children) }

// malformed is a frame that the kernel must refuse, and the counter it goes to.
type malformed struct {
	name    string
	header  device.Header
	payload []byte
	counter func(device.Stats) uint64
}

func byLength(s device.Stats) uint64   { return s.TxRefusedLength }
func byFlags(s device.Stats) uint64    { return s.TxRefusedFlags }
func byVnet(s device.Stats) uint64     { return s.TxRefusedVnet }
func byProtocol(s device.Stats) uint64 { return s.TxRefusedProtocol }

func plain(length int, payload ...byte) (device.Header, []byte) {
	return device.Header{Length: uint32(length)}, payload
}

func bad(name string, counter func(device.Stats) uint64, length int, payload ...byte) malformed {
	h, p := plain(length, payload...)
	return malformed{name, h, p, counter}
}

func badVnet(name string, vnet device.VnetHeader) malformed {
	return malformed{name, device.Header{Length: 100, Vnet: vnet}, []byte{0x45}, byVnet}
}

// badForAll are refused on every device.
func badForAll() []malformed {
	frames := []malformed{
		bad("empty", byLength, 0, 0x45),
		bad("longer than the maximum", byLength, device.FrameMax+1, 0x45),
		bad("much longer than the maximum", byLength, 100000, 0x45),
	}
	for bit := 1; bit < 32; bit++ { // the lowest is MYTUN_FRAME_HASH
		frames = append(frames, malformed{"unknown flag",
			device.Header{Length: 100, Flags: 1 << bit}, []byte{0x45}, byFlags})
	}
	for _, h := range []device.Header{
		{Length: 100, Reserved: 1 << 31}, {Length: 100, Tunnel: device.TunnelOffsets{OuterTH: 1}},
		{Length: 100, Tunnel: device.TunnelOffsets{InnerNH: 1 << 15}},
	} {
		frames = append(frames, malformed{"reserved field", h, []byte{0x45}, byFlags})
	}
	return frames
}

func badForTun() []malformed {
	return []malformed{
		bad("one byte of IPv4", byLength, 1, 0x45),
		bad("19 bytes of IPv4", byLength, 19, 0x45),
		bad("20 bytes of IPv6", byLength, 20, 0x60),
		bad("39 bytes of IPv6", byLength, 39, 0x60),
		bad("IP version 0", byProtocol, 100, 0x00),
		bad("IP version 5", byProtocol, 100, 0x55),
		bad("IP version 15", byProtocol, 100, 0xff),
		bad("one byte of nothing", byProtocol, 1, 0x00),
		bad("longest, IP version 1", byProtocol, device.FrameMax, 0x10),
	}
}

func badForTap() []malformed {
	return []malformed{
		bad("one byte", byLength, 1, 0x45),
		bad("13 bytes", byLength, 13, 2, 0, 0, 0, 0, 1),
	}
}

const (
	needsCsum = 1
	gsoTCPv4  = 1
)

func badVnets() []malformed {
	return []malformed{
		badVnet("unknown flag", device.VnetHeader{Flags: 0x80}),
		badVnet("checksum starts at the end", device.VnetHeader{Flags: needsCsum, CsumStart: 100}),
		badVnet("checksum starts far outside", device.VnetHeader{Flags: needsCsum, CsumStart: 0xffff}),
		badVnet("checksum ends one byte outside", device.VnetHeader{Flags: needsCsum, CsumStart: 20, CsumOffset: 79}),
		badVnet("checksum offset wraps 16 bits", device.VnetHeader{Flags: needsCsum, CsumStart: 0xffff, CsumOffset: 0xffff}),
		badVnet("headers longer than the frame", device.VnetHeader{HdrLen: 101}),
		badVnet("headers of 65535 bytes", device.VnetHeader{HdrLen: 0xffff}),
		badVnet("unknown segmentation", device.VnetHeader{GSOType: 0x7f, GSOSize: 10, HdrLen: 40}),
		badVnet("segments of no bytes", device.VnetHeader{Flags: needsCsum, GSOType: gsoTCPv4, CsumStart: 20, CsumOffset: 16, HdrLen: 40}),
	}
}

// withoutVnet: on a device without IFF_VNET_HDR every field must be zero.
func withoutVnet() []malformed {
	return []malformed{
		badVnet("flags", device.VnetHeader{Flags: needsCsum}),
		badVnet("gso_type", device.VnetHeader{GSOType: gsoTCPv4}),
		badVnet("hdr_len", device.VnetHeader{HdrLen: 1}),
		badVnet("gso_size", device.VnetHeader{GSOSize: 1}),
		badVnet("csum_start", device.VnetHeader{CsumStart: 1}),
		badVnet("csum_offset", device.VnetHeader{CsumOffset: 1}),
		badVnet("num_buffers", device.VnetHeader{NumBuffers: 1}),
	}
}

// checkRefused sends good frames with the malformed ones between them. Each of
// those must count once, for its reason, and the good ones arrive in order.
func checkRefused(t *testing.T, c device.Config, frames []malformed) {
	t.Helper()
	c.TxSize = 512 << 10
	refuse(t, device.NewLink(t, c), frames)
}

func refuse(t *testing.T, l *device.Link, frames []malformed) {
	t.Helper()
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	for i, frame := range frames {
		before := q.Stats(t)
		q.Put(numbered(l, 2*i))
		q.PutRaw(frame.header, frame.payload, device.Footprint(int(frame.header.Length)))
		q.Put(numbered(l, 2*i+1))
		q.Publish()
		device.Expect(t, conn, number(2*i))
		device.Expect(t, conn, number(2*i+1))
		q.WaitTaken(t)
		after := q.Stats(t)
		if after.Refused() != before.Refused()+1 || frame.counter(after) != frame.counter(before)+1 {
			t.Errorf("%s: counters before %+v, after %+v", frame.name, before, after)
		}
	}
	if got := device.Counters(t, l.Name).RxErrors; got != uint64(len(frames)) {
		t.Errorf("the device counts %d errors, want %d", got, len(frames))
	}
	if q.State() != 0 {
		t.Errorf("state %#x", q.State())
	}
}

func number(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

func numbered(l *device.Link, i int) []byte {
	return l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: number(i)})
}

func TestMalformedFramesOnTunAreCountedAndSkipped(t *testing.T) {
	device.Sandbox(t)
	checkRefused(t, device.Config{}, slices.Concat(badForAll(), badForTun(), withoutVnet()))
}

func TestMalformedFramesOnTapAreCountedAndSkipped(t *testing.T) {
	device.Sandbox(t)
	checkRefused(t, device.Config{TAP: true}, slices.Concat(badForAll(), badForTap(), withoutVnet()))
}

func TestMalformedVnetHeadersOnTunAreCountedAndSkipped(t *testing.T) {
	device.Sandbox(t)
	checkRefused(t, device.Config{Flags: device.Vnet}, slices.Concat(badForAll(), badForTun(), badVnets()))
}

func TestMalformedVnetHeadersOnTapAreCountedAndSkipped(t *testing.T) {
	device.Sandbox(t)
	checkRefused(t, device.Config{TAP: true, Flags: device.Vnet}, slices.Concat(badForAll(), badForTap(), badVnets()))
}

// TestOddButSoundFramesAreTaken: what nobody should refuse.
func TestOddButSoundFramesAreTaken(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []struct {
		tap     bool
		length  int
		payload []byte
	}{
		{false, 20, []byte{0x40}}, {false, 40, []byte{0x60}}, {false, device.FrameMax, []byte{0x4f}},
		{true, 14, nil}, {true, 15, []byte{0xff}}, {true, device.FrameMax, []byte{0x33, 0x33}},
	} {
		l := device.NewLink(t, device.Config{TAP: c.tap})
		q := l.Queue()
		h, payload := plain(c.length, c.payload...)
		q.PutRaw(h, payload, device.Footprint(c.length))
		q.Publish()
		device.WaitFor(t, "the frame", func() bool { return q.Stats(t).TxFrames == 1 })
		if s := q.Settled(t); s.Refused() != 0 || s.TxBytes != uint64(c.length) || q.State() != 0 {
			t.Errorf("%v, %d bytes: state %#x, %+v", l, c.length, q.State(), s)
		}
		q.Close()
		device.Delete(t, l.Name)
	}
}

func TestFramesToADownDeviceAreDropped(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	device.Down(t, l.Name)
	for i := range 10 {
		q.Send(t, numbered(l, i))
	}
	device.WaitFor(t, "ten drops", func() bool { return q.Stats(t).TxDroppedDown == 10 })
	if got := device.Counters(t, l.Name).RxDropped; got != 10 {
		t.Errorf("the device counts %d drops, want 10", got)
	}
	device.Up(t, l.Name)
	l.Exchange(t, false, 100)
}
