// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A VnetFrame is what a device handed out, and what it said of it.
type VnetFrame struct {
	Vnet   VnetHeader
	Tunnel TunnelOffsets
	Data   []byte
}

// Header is what goes in front of the frame in a ring.
func (f VnetFrame) Header() Header {
	return Header{Length: uint32(len(f.Data)), Vnet: f.Vnet, Tunnel: f.Tunnel}
}

// Written is the frame as a file takes it, behind a vnet header of so many bytes; the offsets are in one of TunnelVnetSize or more.
func (f VnetFrame) Written(vnetSize int) []byte {
	b := make([]byte, max(vnetSize, TunnelVnetSize))
	f.Vnet.Encode(b)
	f.Tunnel.Encode(b[vnetTunnel:])
	return append(b[:vnetSize:vnetSize], f.Data...)
}

// ReadFrame is the opposite of Written. What a header has no room for is zero.
func ReadFrame(b []byte, vnetSize int) VnetFrame {
	header := make([]byte, max(vnetSize, TunnelVnetSize))
	copy(header, b[:vnetSize])
	f := VnetFrame{Data: b[vnetSize:]}
	f.Vnet.Decode(header)
	f.Vnet.NumBuffers = 0 // before Linux 6.15 stock tun leaves what was there
	if f.Vnet.GSOType&(GSOTunnel4|GSOTunnel6) != 0 {
		f.Tunnel.Decode(header[vnetTunnel:])
	}
	return f
}

// An End is a device with offloads, and a process's way to its frames. One goroutine may take while another gives.
type End interface {
	Device() *Link
	// Take returns what waits, or waits for a short time for something to come.
	Take() []VnetFrame
	// Give sends frames. An error names one that the device does not take.
	Give(frames []VnetFrame) error
	// Refusals is how many it did not take, those included that no error tells of. Call it in the device's namespace.
	Refusals(t testing.TB) uint64
}

// takeTime is how long Take waits: whoever carries frames looks as often whether it is to end.
const takeTime = 50 * time.Millisecond

// A Way is how frames come and go. Open makes a device as Config says, whose Flags have Vnet, but for the sizes of rings.
type Way struct {
	Name string
	Open func(t testing.TB, c Config) End
}

// Ways are all that there are, the kernel's own tun first: nothing may get through there that does not get through by the others.
var Ways = []Way{
	{"stock", func(t testing.TB, c Config) End { return newFileEnd(t, StockNode, c) }},
	{"ring", newRingEnd},
	{"write", func(t testing.TB, c Config) End { return newFileEnd(t, Node, c) }},
	{"batch", newBatchEnd},
}

// A ringEnd sends by the tx ring.
type ringEnd struct {
	*Queue
	l *Link
}

func newRingEnd(t testing.TB, c Config) End {
	t.Helper()
	c.RxSize, c.TxSize = 1<<20, 1<<20
	l := NewLink(t, c)
	q := l.Queue()
	q.Complete = false
	q.SetOffload(t, offloads(t)|c.Offloads)
	return &ringEnd{q, l}
}

func (e *ringEnd) Device() *Link { return e.l }

func (e *ringEnd) Take() (frames []VnetFrame) {
	e.WaitFrames(time.Now().Add(takeTime))
	for h, data, ok := e.Peek(); ok; h, data, ok = e.Peek() {
		frames = append(frames, VnetFrame{h.Vnet, h.Tunnel, append([]byte(nil), data...)})
		e.Next(h)
	}
	e.Release()
	return frames
}

func (e *ringEnd) Give(frames []VnetFrame) error {
	for _, f := range frames {
		e.Publish() // what is to make room
		if !e.WaitSpace(len(f.Data), time.Now().Add(Deadline)) {
			return errors.New("the tx ring stays full")
		}
		e.PutRaw(f.Header(), f.Data, Footprint(len(f.Data)))
	}
	e.Publish()
	return nil
}

func (e *ringEnd) Refusals(t testing.TB) uint64 { return e.Stats(t).Refused() }

// A fileEnd reads and writes a frame a call.
type fileEnd struct {
	*Port
	b []byte
}

func newFileEnd(t testing.TB, node string, c Config) *fileEnd {
	t.Helper()
	p := NewPort(t, node, c)
	if err := p.SetInt(unix.TUNSETVNETHDRSZ, TunnelVnetSize); err != nil {
		t.Fatalf("TUNSETVNETHDRSZ: %v", err)
	}
	if err := p.TrySetOffload(offloads(t) | c.Offloads); err == unix.EINVAL && node == StockNode {
		t.Skipf("this kernel's own tun does not know the offloads %#x", c.Offloads)
	} else if err != nil {
		t.Fatalf("TUNSETOFFLOAD %#x: %v", offloads(t)|c.Offloads, err)
	}
	return &fileEnd{p, make([]byte, TunnelVnetSize+FrameMax)}
}

// offloads are all that this kernel's own tun knows, so that both devices hand out the same.
func offloads(t testing.TB) uintptr {
	t.Helper()
	if !KernelAtLeast(t, 6, 2) {
		return OffloadAll &^ OffloadUSO
	}
	return OffloadAll
}

func (e *fileEnd) Device() *Link { return e.Link }

// poll waits until there is something to read.
func (e *fileEnd) poll() bool {
	fds := []unix.PollFd{{Fd: int32(e.FD), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(takeTime/time.Millisecond))
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}

func (e *fileEnd) Take() (frames []VnetFrame) {
	if !e.poll() {
		return nil
	}
	for {
		n, err := unix.Read(e.FD, e.b)
		if err != nil || n < TunnelVnetSize {
			return frames
		}
		frames = append(frames, ReadFrame(append([]byte(nil), e.b[:n]...), TunnelVnetSize))
	}
}

func (e *fileEnd) Give(frames []VnetFrame) error {
	for _, f := range frames {
		if _, err := unix.Write(e.FD, f.Written(TunnelVnetSize)); err != nil {
			return fmt.Errorf("write %d bytes with %+v: %w", len(f.Data), f.Vnet, err)
		}
	}
	return nil
}

func (e *fileEnd) Refusals(t testing.TB) uint64 {
	t.Helper()
	return Counters(t, e.Name).RxErrors
}

// A batchEnd reads and writes many frames a call.
type batchEnd struct{ *fileEnd }

func newBatchEnd(t testing.TB, c Config) End {
	t.Helper()
	e := batchEnd{newFileEnd(t, Node, c)}
	e.SetBatch(t, BatchRead|BatchWrite)
	e.b = make([]byte, 1<<20)
	return e
}

func (e batchEnd) Take() (frames []VnetFrame) {
	if !e.poll() {
		return nil
	}
	n, err := unix.Read(e.FD, e.b)
	if err != nil {
		return nil
	}
	for rest := e.b[:n]; len(rest) > 0; {
		h, data, after, ok := CutRecord(rest)
		if !ok {
			return frames
		}
		frames, rest = append(frames, VnetFrame{h.Vnet, h.Tunnel, append([]byte(nil), data...)}), after
	}
	return frames
}

func (e batchEnd) Give(frames []VnetFrame) error {
	var b []byte
	for _, f := range frames {
		b = append(b, Record(f.Header(), f.Data)...)
	}
	n, err := unix.Write(e.FD, b)
	if err != nil || n != len(b) {
		return fmt.Errorf("write of %d frames took %d of %d bytes: %w", len(frames), n, len(b), err)
	}
	return nil
}

func (e batchEnd) Refusals(t testing.TB) uint64 { return e.Stats(t).Refused() }
