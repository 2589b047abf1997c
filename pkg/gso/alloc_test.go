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

func TestAllocs(t *testing.T) {
	for _, r := range kinds() {
		super, v := superOf64K(r)
		frames, err := split(r.mode, super, v)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2000)
		var s Splitter
		c, tx, plain := NewCoalescer(r.mode), &sink{}, &sink{plain: true}
		for name, f := range map[string]func(){
			"Splitter": func() {
				s.Reset(r.mode, super, v)
				for _, err := s.Next(buf); err == nil; _, err = s.Next(buf) {
				}
			},
			"Splitter of garbage": func() { s.Reset(r.mode, super[:1000], v) },
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
			if n := testing.AllocsPerRun(50, f); n != 0 {
				t.Errorf("%v, %s: %v allocations, want 0", r, name, n)
			}
		}
	}
}

// BenchmarkSplit and BenchmarkCoalesce count a super-packet of 44 frames as one
// operation; ns/frame is what a frame costs.
func BenchmarkSplit(b *testing.B) {
	for _, r := range kinds()[:4] {
		b.Run(r.String(), func(b *testing.B) {
			super, v := superOf64K(r)
			buf := make([]byte, 2000)
			var s Splitter
			frames := 0
			b.SetBytes(int64(len(super)))
			for b.Loop() {
				if err := s.Reset(r.mode, super, v); err != nil {
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
		})
	}
}

func BenchmarkCoalesce(b *testing.B) {
	for _, r := range kinds()[:4] {
		for name, v := range map[string]mytunev.VNetHeader{"": {}, " valid": {Flags: mytunev.VNetDataValid}} {
			b.Run(r.String()+name, func(b *testing.B) {
				super, vnet := superOf64K(r)
				frames, err := split(r.mode, super, vnet)
				if err != nil {
					b.Fatal(err)
				}
				c, tx := NewCoalescer(r.mode), &sink{}
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
			})
		}
	}
}
