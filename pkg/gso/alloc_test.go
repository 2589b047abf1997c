// SPDX-License-Identifier: MIT

package gso

import (
	"io"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A sink is a Sender with one slot.
type sink struct {
	slot [1 << 17]byte
	vnet mytunev.VNetHeader // the last one

	plain bool // is of a device without Config.Offload
}

func (s *sink) Reserve(n int) ([]byte, error) { return s.slot[:n:n], nil }

func (s *sink) WaitSpace(int) error { return nil }

func (s *sink) CommitVNet(_ int, v mytunev.VNetHeader) error {
	if s.plain && v != (mytunev.VNetHeader{}) {
		return mytunev.ErrNotSupported
	}
	s.vnet = v
	return nil
}

func (s *sink) CommitHash(n int, v mytunev.VNetHeader, _ uint32) error { return s.CommitVNet(n, v) }

// superOf64K is a super-packet of the usual size.
func superOf64K(r recipe) ([]byte, mytunev.VNetHeader) {
	r.payload, r.flags, r.seq, r.id = pattern(44*1448), header.TCPFlagAck, 0, 0
	return r.super(1448)
}

// tunnelOf64K is the same in a tunnel.
func tunnelOf64K(o overlay) ([]byte, mytunev.VNetHeader) {
	o.inner.payload, o.inner.flags, o.inner.seq, o.inner.id, o.outer.id = pattern(44*1448), header.TCPFlagAck, 0, 0, 0
	return o.super(1448)
}

func TestAllocs(t *testing.T) {
	for _, r := range kinds() {
		super, v := superOf64K(r)
		mustNotAllocate(t, r.String(), NewCoalescer(r.mode), super, v)
	}
	for _, o := range overlays() {
		super, v := tunnelOf64K(o)
		mustNotAllocate(t, o.String(), joiner(o.outer.mode), super, v)
	}
}

func mustNotAllocate(t *testing.T, what string, c *Coalescer, super []byte, v mytunev.VNetHeader) {
	t.Helper()
	frames, err := split(c.mode, super, v)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	var s Splitter
	tx, plain := &sink{}, &sink{plain: true}
	for name, f := range map[string]func(){
		"Splitter": func() {
			s.Reset(c.mode, super, v)
			for _, err := s.Next(buf); err == nil; _, err = s.Next(buf) {
			}
		},
		"Splitter of garbage": func() { s.Reset(c.mode, super[:1000], v) },
		"Coalescer": func() {
			for _, frame := range frames {
				c.Add(frame, mytunev.VNetHeader{})
			}
			c.Add(super[:1000], mytunev.VNetHeader{})
			if err := c.Flush(tx); err != nil {
				t.Fatal(err)
			}
		},
		"Coalescer without Offload": func() {
			for _, frame := range frames {
				c.Add(frame, mytunev.VNetHeader{})
			}
			c.Add(super, v)
			if err := c.Flush(plain); err != nil {
				t.Fatal(err)
			}
		},
		"Checksum": func() { Checksum(super, mytunev.VNetHeader{Flags: 1, CsumStart: v.CsumStart}) },
	} {
		if n := testing.AllocsPerRun(20, f); n != 0 {
			t.Errorf("%s, %s: %v allocations, want 0", what, name, n)
		}
	}
}

// BenchmarkSplit and BenchmarkCoalesce count a super-packet of 44 frames as one
// operation; ns/frame is what a frame costs.
func BenchmarkSplit(b *testing.B) {
	for _, r := range kinds()[:4] {
		super, v := superOf64K(r)
		b.Run(r.String(), func(b *testing.B) { benchmarkSplit(b, r.mode, super, v) })
	}
}

func BenchmarkSplitTunnel(b *testing.B) {
	for _, o := range benchmarked() {
		super, v := tunnelOf64K(o)
		b.Run(o.String(), func(b *testing.B) { benchmarkSplit(b, o.outer.mode, super, v) })
	}
}

// benchmarked are VXLAN over IPv4 and Geneve over IPv6, with and without checksum outside.
func benchmarked() (some []overlay) {
	for _, v6 := range []bool{false, true} {
		for _, sum := range []bool{false, true} {
			for _, udp := range []bool{false, true} {
				some = append(some, overlay{sum: sum, geneve: v6, outer: recipe{v6: v6, udp: true}, inner: recipe{udp: udp}})
			}
		}
	}
	return some
}

func benchmarkSplit(b *testing.B, mode mytunev.Mode, super []byte, v mytunev.VNetHeader) {
	buf := make([]byte, 2000)
	var s Splitter
	frames := 0
	b.SetBytes(int64(len(super)))
	for b.Loop() {
		if err := s.Reset(mode, super, v); err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := s.Next(buf); err == io.EOF {
				break
			}
			frames++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
}

func BenchmarkCoalesce(b *testing.B) {
	for _, r := range kinds()[:4] {
		for name, v := range map[string]mytunev.VNetHeader{"": {}, " valid": {Flags: mytunev.VNetDataValid}} {
			super, vnet := superOf64K(r)
			b.Run(r.String()+name, func(b *testing.B) { benchmarkCoalesce(b, NewCoalescer(r.mode), v, super, vnet) })
		}
	}
}

func BenchmarkCoalesceTunnel(b *testing.B) {
	for _, o := range benchmarked() {
		super, vnet := tunnelOf64K(o)
		for name, v := range map[string]mytunev.VNetHeader{"": {}, " valid": {Flags: mytunev.VNetDataValid | mytunev.VNetUDPTunnelChecksum}} {
			b.Run(o.String()+name, func(b *testing.B) { benchmarkCoalesce(b, joiner(o.outer.mode), v, super, vnet) })
		}
	}
}

// benchmarkCoalesce joins the frames of a super-packet, added with v.
func benchmarkCoalesce(b *testing.B, c *Coalescer, v mytunev.VNetHeader, super []byte, vnet mytunev.VNetHeader) {
	frames, err := split(c.mode, super, vnet)
	if err != nil {
		b.Fatal(err)
	}
	tx := &sink{}
	b.SetBytes(int64(len(super)))
	for b.Loop() {
		for _, frame := range frames {
			c.Add(frame, v)
		}
		if err := c.Flush(tx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(frames)), "ns/frame")
}
