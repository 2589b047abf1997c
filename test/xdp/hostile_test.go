// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// TestSenselessLengths: what no program may see is refused before, and the longest
// and shortest frames are met.
func TestSenselessLengths(t *testing.T) {
	for _, verdict := range []int32{drop, pass} {
		device.Sandbox(t)
		p := newPort(t, "ring", device.Config{MTU: 65000})
		attach(t, p.Name, always(t, verdict))
		refused, met := uint64(0), uint64(0)
		before := p.count(t)
		for _, length := range []uint32{0, 1, 13, 14, 15, 59, 60, 1514, 3519, 3520, 3521, 3522, 4095, 4096, 65567, 65568, 65569} {
			p.Queue().WaitSpace(int(length), deadline())
			p.Queue().PutRaw(device.Header{Length: length}, make([]byte, length), device.Footprint(int(length)))
			p.Queue().Publish()
			if length < 14 || length > device.FrameMax {
				refused++
			} else {
				met++
			}
		}
		device.WaitFor(t, "all frames to be accounted for", func() bool {
			s, c := p.file.Stats(t), p.count(t).minus(before)
			if verdict == pass {
				return s.TxRefusedLength == refused && c.passed == met && c.taken == 0
			}
			return s.TxRefusedLength == refused && c.passed == 0 && c.taken == met
		})
		p.Queue().Close()
		p.Queue().Unmap()
		device.WaitGone(t, p.Name)
	}
}

// TestMalformedFramesMeetNoProgram: a header that does not fit its frame.
func TestMalformedFramesMeetNoProgram(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{Flags: device.Vnet})
	attach(t, p.Name, always(t, drop))
	frame := p.up(device.Pattern(1, 100))
	for i, v := range []device.VnetHeader{
		{HdrLen: 1000},
		{Flags: device.VnetNeedsCsum, CsumStart: 60000, CsumOffset: 6},
		{Flags: device.VnetNeedsCsum, CsumStart: 141, CsumOffset: 0},
		{Flags: 0x80},
		{GSOType: device.GSOTCPv4},
		{GSOType: 0x60},
	} {
		p.sendWith(t, v, frame)
		device.WaitFor(t, "the frame to be refused", func() bool { return p.file.Stats(t).TxRefusedVnet == uint64(i+1) })
	}
	if n := p.file.Stats(t).TxXDP; n != 0 {
		t.Errorf("the program met %d frames", n)
	}
}

// TestProgramSeesACopy: a byte that it has looked at does not change, whatever
// the process does to the ring.
func TestProgramSeesACopy(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "ring", device.Config{})
	// R7 is the byte, R5 counts how often it is looked at again
	attach(t, p.Name, load(t, concat(loadPacket(60), asm.Instructions{
		asm.LoadMem(asm.R7, asm.R2, 59, asm.Byte),
		asm.Mov.Imm(asm.R5, 200),
		asm.LoadMem(asm.R8, asm.R2, 59, asm.Byte).WithSymbol("again"),
		asm.JNE.Reg(asm.R7, asm.R8, "short"),
		asm.Sub.Imm(asm.R5, 1),
		asm.JNE.Imm(asm.R5, 0, "again"),
	}, ending(pass))...))

	var stop atomic.Bool
	var writer sync.WaitGroup
	data, size := p.Queue().TxData, int(p.Queue().Geometry.Tx.Size)
	frame := p.up(device.Pattern(1, 100))
	step := int(device.Footprint(len(frame)))
	writer.Go(func() {
		for n := byte(0); !stop.Load(); n++ {
			for at := device.FrameHeader + 59; at < size; at += step {
				data[at] = n
			}
		}
	})
	const frames = 20000
	for range frames {
		if !p.Queue().WaitSpace(len(frame), deadline()) {
			t.Fatal("the tx ring stayed full")
		}
		p.Queue().Put(frame)
		p.Queue().Publish()
	}
	p.Queue().WaitTaken(t)
	stop.Store(true)
	writer.Wait()
	device.WaitFor(t, "all frames to be accounted for", func() bool {
		s := p.file.Stats(t)
		return s.TxFrames+s.TxXDP+s.Refused() == frames
	})
	if s := p.file.Stats(t); s.TxXDP != 0 {
		t.Errorf("%d of %d frames changed under the program", s.TxXDP, frames)
	}
}

// TestManyWritersOfOneQueue: each with frames in its hands as the program changes.
func TestManyWritersOfOneQueue(t *testing.T) {
	device.Sandbox(t)
	p := newPort(t, "write", device.Config{})
	newVeth(t)
	out := redirectTo(t, near)
	frame := p.up(device.Pattern(1, 300))
	var stop atomic.Bool
	var sent atomic.Uint64
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for !stop.Load() {
				if n, err := unix.Write(p.file.FD, frame); n != len(frame) || err != nil {
					t.Errorf("write: %d, %v", n, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for range 15 {
		attach(t, p.Name, always(t, drop))
		attach(t, p.Name, always(t, pass))
		attach(t, p.Name, out)
		detach(t, p.Name)
	}
	stop.Store(true)
	writers.Wait()
	if s := p.file.Stats(t); s.TxFrames+s.TxXDP != sent.Load() {
		t.Errorf("%d frames passed, %d were taken, of %d", s.TxFrames, s.TxXDP, sent.Load())
	}
	expectFreed(t, out)
}
