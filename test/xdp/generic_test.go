// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
)

// Places in an IPv4 datagram behind an Ethernet header.
const (
	udpStart = 34
	csum     = 6 // in the UDP header
)

// super is a datagram that is to be cut into pieces of that size.
func super(size int) device.VnetHeader {
	return device.VnetHeader{
		Flags: device.VnetNeedsCsum, GSOType: device.GSOUDPL4, HdrLen: udpStart + 8,
		GSOSize: uint16(size), CsumStart: udpStart, CsumOffset: csum,
	}
}

// unfinished is a datagram whose checksum is to be filled in.
func unfinished() device.VnetHeader {
	return device.VnetHeader{Flags: device.VnetNeedsCsum, CsumStart: udpStart, CsumOffset: csum}
}

// partial makes a frame one whose checksum is to be filled in: there stands the
// sum of the pseudo-header.
func partial(frame []byte) []byte {
	frame = slices.Clone(frame)
	sum := uint32(17) + uint32(len(frame)-udpStart)
	for at := udpStart - 8; at < udpStart; at += 2 {
		sum += uint32(frame[at])<<8 | uint32(frame[at+1])
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	frame[udpStart+csum], frame[udpStart+csum+1] = byte(sum>>8), byte(sum)
	return frame
}

// TestSuperPackets meet the program whole, and keep what is to be done to them.
// What became of one that was taken is not told, as by stock tun.
func TestSuperPackets(t *testing.T) {
	onAll(t, device.Config{Flags: device.Vnet}, func(t *testing.T, p *port) {
		payload := device.Pattern(1, 20000)
		frame := partial(p.up(payload))
		conn := p.ListenUDP(t, false, hostPort)
		attach(t, p.Name, always(t, pass))
		before := p.count(t)
		p.sendWith(t, super(1000), frame)
		for at := 0; at < len(payload); at += 1000 {
			device.Expect(t, conn, payload[at:at+1000])
		}
		p.expectCounted(t, before, counted{passed: 1, received: 1})

		attach(t, p.Name, always(t, drop))
		before = p.count(t)
		p.sendWith(t, super(1000), frame, frame)
		p.expectCounted(t, before, counted{taken: 2})

		attach(t, p.Name, always(t, back))
		before = p.count(t)
		p.sendWith(t, super(1000), frame)
		v, got := p.receive(t)
		if !slices.Equal(got, frame) || v.GSOType != device.GSOUDPL4 || v.GSOSize != 1000 || v.CsumStart != udpStart {
			t.Errorf("%d bytes came, %+v, want %d", len(got), v, len(frame))
		}
		p.expectCounted(t, before, counted{taken: 1, sent: 1, sentToProcess: 1})
	})
}

// TestUnfinishedChecksumMoves: with the beginning of the frame.
func TestUnfinishedChecksumMoves(t *testing.T) {
	onAll(t, device.Config{Flags: device.Vnet}, func(t *testing.T, p *port) {
		payload := device.Pattern(2, 333)
		whole := p.up(payload)
		frame := partial(whole)
		conn := p.ListenUDP(t, false, hostPort)
		attach(t, p.Name, load(t, concat(head(4), ending(pass))...))
		v := unfinished()
		v.CsumStart += 4
		p.sendWith(t, v, append([]byte{9, 9, 9, 9}, frame...))
		device.Expect(t, conn, payload)

		attach(t, p.Name, load(t, concat(head(-4), ending(back))...))
		p.sendWith(t, unfinished(), frame)
		v, got := p.receive(t)
		if v.Flags != device.VnetNeedsCsum || v.CsumStart != udpStart+4 || v.CsumOffset != csum || !slices.Equal(got[4:], frame) {
			t.Errorf("%d bytes came, %+v", len(got), v)
		}
		// and is right when it is filled in
		if v.FillChecksum(got); !slices.Equal(got[4:], whole) {
			t.Errorf("checksum % x, want % x", got[4+udpStart+csum:][:2], whole[udpStart+csum:][:2])
		}
	})
}

// TestUnfinishedChecksumThatIsCutAway: there is no place left to fill it in.
func TestUnfinishedChecksumThatIsCutAway(t *testing.T) {
	onAll(t, device.Config{Flags: device.Vnet}, func(t *testing.T, p *port) {
		frame := partial(p.up(device.Pattern(2, 100)))
		for _, code := range []asm.Instructions{tail(-102), tail(-int32(len(frame) - 20)), head(udpStart + 1)} {
			attach(t, p.Name, load(t, concat(code, ending(pass))...))
			before := p.count(t)
			p.sendWith(t, unfinished(), frame)
			p.expectCounted(t, before, counted{taken: 1, dropped: 1})
		}
	})
}

// TestFramesLargerThanABuffer: jumbo frames meet the program too.
func TestFramesLargerThanABuffer(t *testing.T) {
	onAll(t, device.Config{MTU: 65000, NoAddresses: true}, func(t *testing.T, p *port) {
		stack := newTap(t, p.Name)
		for _, size := range []int{1400, 2000, 2100, 3400, 3500, 3600, 4000, 4096, 9000, 40000, 64900} {
			frame := p.up(device.Pattern(uint64(size), size))
			attach(t, p.Name, always(t, pass))
			before := p.count(t)
			p.send(t, frame)
			stack.expect(t, 1, frame)
			p.expectCounted(t, before, counted{passed: 1, received: 1})
			attach(t, p.Name, load(t, concat(head(4), ending(back))...))
			p.send(t, append([]byte{9, 9, 9, 9}, frame...))
			p.expect(t, 1, frame)
			attach(t, p.Name, always(t, drop))
			before = p.count(t)
			p.send(t, frame)
			device.WaitFor(t, "the frame to be taken", func() bool { return p.count(t).minus(before).taken == 1 })
		}
	})
}
