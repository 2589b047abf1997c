// SPDX-License-Identifier: MIT

package gso

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// mixed adds one of everything that a Coalescer takes: frames that fit together, a
// super-packet, a frame without its checksum, one whose checksum is known to be right, and
// one of another kind. It returns what all of that is on a wire, in its order.
func mixed(t *testing.T, c *Coalescer, r recipe) (wire [][]byte) {
	t.Helper()
	for _, frame := range r.parts(100, 100, 50) {
		c.AddFrame(mytunev.Frame{Data: frame, Hash: 7, HashValid: true})
		wire = append(wire, frame)
	}
	r.port++
	r.payload = pattern(250)
	super, v := r.super(100)
	c.Add(super, v)
	cut, err := split(r.mode, super, v)
	if err != nil {
		t.Fatal(err)
	}
	r.port++
	undone, v := r.super(0)
	v.GSOType = mytunev.GSONone
	c.Add(undone, v)
	r.port += 2
	valid := r.build()
	c.Add(valid, mytunev.VNetHeader{Flags: mytunev.VNetDataValid})
	r.port--
	other := r.build()[:len(r.link())+3]
	c.Add(other, mytunev.VNetHeader{})
	wire = append(append(wire, cut...), r.withPort(r.port-1), valid, other)
	return wire
}

func (r recipe) withPort(port uint16) []byte {
	r.port = port
	return r.build()
}

// TestFlushWithoutOffload: a device that knows no VNetHeader gets every frame, complete,
// however many of them fit together.
func TestFlushWithoutOffload(t *testing.T) {
	for _, r := range kinds() {
		c := NewCoalescer(r.mode)
		for range 2 { // and again, for the Coalescer stays what it is
			wire := mixed(t, c, r)
			tx := &recorder{plain: true}
			if err := c.Flush(tx); err != nil || c.Len() != 0 {
				t.Errorf("%v: %v, %d frames left", r, err, c.Len())
			}
			mustBePlain(t, r, tx.all, wire)
			for i, s := range tx.all[:min(4, len(tx.all))] {
				if want := map[bool]uint32{true: 7}[i < 3]; s.hash != want {
					t.Errorf("%v: frame %d has hash %d, want %d", r, i, s.hash, want)
				}
			}
		}
		wire := mixed(t, c, r)
		tx := &recorder{}
		if err := c.Flush(tx); err != nil || len(tx.all) != 5 {
			t.Errorf("%v, a device with Config.Offload afterwards: %d frames of %d, %v, want 5", r, len(tx.all), len(wire), err)
		}
	}
}

// mustBePlain fails the test unless these frames were sent, with no VNetHeader.
func mustBePlain(t *testing.T, r recipe, all []sent, want [][]byte) {
	t.Helper()
	for i := range max(len(all), len(want)) {
		switch {
		case i >= len(all) || i >= len(want):
			t.Fatalf("%v: %d frames were sent, want %d", r, len(all), len(want))
		case all[i].vnet != (mytunev.VNetHeader{}):
			t.Errorf("%v: frame %d has %+v", r, i, all[i].vnet)
		case !bytes.Equal(all[i].data, want[i]):
			t.Errorf("%v: frame %d is\n%x, want\n%x", r, i, all[i].data, want[i])
		}
	}
}

// TestFlushToSmallRing: what is too long as a super-packet goes frame by frame; shorter
// super-packets stay what they are.
func TestFlushToSmallRing(t *testing.T) {
	for _, r := range kinds() {
		c := NewCoalescer(r.mode)
		r.port = 1
		long := r.parts(1000, 1000, 1000)
		r.port = 2
		short := r.parts(100, 100)
		for _, frame := range slices.Concat(long, short) {
			c.Add(frame, mytunev.VNetHeader{})
		}
		r.port, r.payload = 3, pattern(3000)
		super, v := r.super(1000)
		c.Add(super, v)
		cut, err := split(r.mode, super, v)
		if err != nil {
			t.Fatal(err)
		}
		tx := &recorder{longest: 2000}
		if err := c.Flush(tx); err != nil || len(tx.all) != 7 || tx.all[3].vnet.GSOSize != 100 {
			t.Fatalf("%v: %d frames, %v, want 7", r, len(tx.all), err)
		}
		mustBePlain(t, r, slices.Concat(tx.all[:3], tx.all[4:]), slices.Concat(long, cut))
	}
}

// TestFlushGoesOn: a frame that cannot be sent at all is all that is lost.
func TestFlushGoesOn(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck, payload: pattern(300)}
	super, v := r.super(100)
	noSize, far, ufo := v, v, v
	noSize.GSOSize, ufo.GSOType = 0, mytunev.GSOUDP
	far.GSOType, far.CsumStart = mytunev.GSONone, 0xFFFF
	for name, c := range map[string]struct {
		frame []byte
		vnet  mytunev.VNetHeader
		plain bool
		want  error
	}{
		"nothing":               {nil, mytunev.VNetHeader{}, false, ErrMalformed},
		"too long":              {make([]byte, 1<<17), mytunev.VNetHeader{}, false, mytunev.ErrTooLong},
		"nothing, plain":        {nil, mytunev.VNetHeader{}, true, ErrMalformed},
		"nothing with a header": {nil, v, true, ErrMalformed},
		"too long, plain":       {make([]byte, 1<<17), mytunev.VNetHeader{}, true, mytunev.ErrTooLong},
		"segments of 0 bytes":   {super, noSize, true, ErrMalformed},
		"checksum outside":      {super, far, true, ErrMalformed},
		"UFO":                   {super, ufo, true, ErrUnsupported},
	} {
		good := r.parts(100, 100, 100)
		coalescer := NewCoalescer(r.mode)
		coalescer.Add(good[0], mytunev.VNetHeader{})
		coalescer.Add(good[1], mytunev.VNetHeader{})
		coalescer.Add(c.frame, c.vnet)
		coalescer.Add(make([]byte, 1<<18), mytunev.VNetHeader{}) // its error is not the first
		coalescer.Add(good[2], mytunev.VNetHeader{})
		tx := &recorder{plain: c.plain}
		err := coalescer.Flush(tx)
		if !errors.Is(err, c.want) || coalescer.Len() != 0 {
			t.Errorf("%s: %v, want %v; %d frames left", name, err, c.want, coalescer.Len())
		}
		mustKeep(t, r.mode, good, tx.all)
	}
}

// TestFlushLetsGo: whatever came of Flush, nothing of the frames is kept, so that their
// memory can be freed, and nothing is joined to them.
func TestFlushLetsGo(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck}
	for _, tx := range []*recorder{{}, {plain: true}, {err: mytunev.ErrClosed}, {full: 1, err: mytunev.ErrClosed}} {
		c := NewCoalescer(r.mode)
		frames := r.parts(100, 100, 100)
		c.Add(frames[0], mytunev.VNetHeader{})
		c.Add(frames[1], mytunev.VNetHeader{})
		c.Flush(tx)
		for i, f := range c.frames[:cap(c.frames)] {
			if f.data != nil {
				t.Errorf("%+v: frame %d is kept", tx, i)
			}
		}
		if c.splitter.frame != nil || c.Len() != 0 || len(c.frames) != 0 {
			t.Errorf("%+v: the Splitter keeps a frame, or %d of %d are left", tx, c.Len(), len(c.frames))
		}
		all := coalesce(t, c, mytunev.VNetHeader{}, frames[2])
		mustKeep(t, r.mode, frames[2:], all)
	}
}

// TestFlushStops: when the queue is of no more use, nothing more is tried.
func TestFlushStops(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck}
	for _, plain := range []bool{false, true} {
		c := NewCoalescer(r.mode)
		for port := range uint16(3) {
			r.port = port
			for _, frame := range r.parts(100, 100) {
				c.Add(frame, mytunev.VNetHeader{})
			}
		}
		tx := &recorder{plain: plain, err: mytunev.ErrClosed}
		if err := c.Flush(tx); err != mytunev.ErrClosed || len(tx.all) != 1 || c.Len() != 0 {
			t.Errorf("plain %v: %v, %d sent, %d left", plain, err, len(tx.all), c.Len())
		}
	}
}
