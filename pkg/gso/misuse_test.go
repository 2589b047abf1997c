// SPDX-License-Identifier: MIT

package gso

import (
	"errors"
	"io"
	"testing"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// TestMisuse calls everything that is exported with nothing, too early, too late or with
// what makes no sense. All of it ends, without a panic, and with an error that says why.
func TestMisuse(t *testing.T) {
	r := recipe{flags: header.TCPFlagAck, payload: pattern(300)}
	super, v := r.super(100)
	for name, c := range map[string]struct {
		call func() error
		want error
	}{
		"Checksum of nothing": {func() error { return Checksum(nil, mytunev.VNetHeader{}) }, nil},
		"Checksum to be computed of nothing": {func() error {
			return Checksum(nil, mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum})
		}, ErrMalformed},
		"Next before Reset": {func() error {
			var s Splitter
			_, err := s.Next(nil)
			return errors.Join(err, wantZero(s.Size(), s.Frames()))
		}, io.EOF},
		"Next with no room": {func() error {
			var s Splitter
			n, err := 0, s.Reset(mytunev.TUN, super, v)
			if err == nil {
				n, err = s.Next(nil)
			}
			return errors.Join(err, wantZero(n, s.Frames()-3))
		}, io.ErrShortBuffer},
		"Next after the end": {func() error {
			var s Splitter
			err := s.Reset(mytunev.TUN, super, v)
			for err == nil {
				_, err = s.Next(make([]byte, 400))
			}
			n, again := s.Next(nil)
			return errors.Join(err, again, wantZero(n, s.Size(), s.Frames()))
		}, io.EOF},
		"Reset with nothing":         {func() error { return new(Splitter).Reset(0, nil, mytunev.VNetHeader{}) }, ErrMalformed},
		"Reset with no frame":        {func() error { return new(Splitter).Reset(0, nil, v) }, ErrMalformed},
		"Reset with an unknown mode": {func() error { return new(Splitter).Reset(7, super, v) }, ErrUnsupported},
		"Reset with a negative mode": {func() error { return new(Splitter).Reset(-1, super, v) }, ErrUnsupported},
		"Flush of nothing to nobody": {func() error { return new(Coalescer).Flush(nil) }, nil},
		"Flush to nobody":            {func() error { return flushed(new(Coalescer), nil, super) }, errNoSender},
		"Flush of the zero value":    {func() error { return flushed(new(Coalescer), &recorder{}, r.build()) }, nil},
		"Flush of nil":               {func() error { return flushed(new(Coalescer), &recorder{}, nil) }, ErrMalformed},
		"Flush to a Tx of nothing":   {func() error { return flushed(NewCoalescer(mytunev.TUN), &mytunev.Tx{}, r.build()) }, errAny},
		"Flush with an unknown mode": {func() error { return flushed(NewCoalescer(7), &recorder{}, r.build()) }, nil},
		"AddFrame of the zero value": {func() error { c := new(Coalescer); c.AddFrame(mytunev.Frame{}); return c.Flush(&recorder{}) }, ErrMalformed},
		"second Flush": {func() error {
			c := new(Coalescer)
			c.Add(super, v)
			return errors.Join(c.Flush(&recorder{}), c.Flush(nil))
		}, nil},
		"Len of the zero value":        {func() error { return wantZero(new(Coalescer).Len()) }, nil},
		"super-packet in unknown mode": {func() error { c := NewCoalescer(7); c.Add(super, v); return c.Flush(&recorder{plain: true}) }, ErrUnsupported},
	} {
		err := watchdog.InTime(t, name, c.call)
		if !errors.Is(err, c.want) && !(c.want == errAny && err != nil) || errors.Is(err, errNotZero) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

var (
	errAny     = errors.New("any error") // stands for one that is not this package's
	errNotZero = errors.New("a number is not 0")
)

func flushed(c *Coalescer, tx Sender, frame []byte) error {
	c.Add(frame, mytunev.VNetHeader{})
	err := c.Flush(tx)
	return errors.Join(err, wantZero(c.Len()))
}

func wantZero(numbers ...int) error {
	for _, n := range numbers {
		if n != 0 {
			return errNotZero
		}
	}
	return nil
}
