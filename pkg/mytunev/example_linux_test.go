// SPDX-License-Identifier: MIT

package mytunev_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The examples do what they say: these tests give them a kernel to do it with.

func newPair(t *testing.T, c mytunev.Config) (*mytunev.Device, *mytuntest.Kernel) {
	t.Helper()
	watchdog.Watch(t, watchdog.Bound)
	d, k, err := mytuntest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, k
}

// ping is an echo request from 10.1.0.1 to 10.1.0.2 with an identifier.
func ping(ident uint16) []byte {
	p := make([]byte, header.IPv4MinimumSize+header.ICMPv4MinimumSize)
	header.IPv4(p).Encode(&header.IPv4Fields{TotalLength: uint16(len(p)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 1, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 1, 0, 2})})
	header.IPv4(p).SetChecksum(^header.IPv4(p).CalculateChecksum())
	icmp := header.ICMPv4(p[header.IPv4MinimumSize:])
	icmp.SetType(header.ICMPv4Echo)
	icmp.SetIdent(ident)
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, 0))
	return p
}

// checkAnswered has a kernel ask, and looks at the answer: with checksums that a change of the
// type runs past the end of, and others.
func checkAnswered(t *testing.T, k *mytuntest.Kernel) {
	t.Helper()
	for _, ident := range []uint16{0, 1, 0xefff, 0xf7fe, 0xf7ff, 0xf800, 0xffff} {
		checkAnswer(t, k, ident)
	}
}

func checkAnswer(t *testing.T, k *mytuntest.Kernel, ident uint16) {
	t.Helper()
	if err := k.Send(0, ping(ident)); err != nil {
		t.Fatal(err)
	}
	p, err := k.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ip := header.IPv4(p.Data)
	icmp := header.ICMPv4(ip.Payload())
	if ip.SourceAddress() != tcpip.AddrFrom4([4]byte{10, 1, 0, 2}) || !ip.IsChecksumValid() ||
		icmp.Type() != header.ICMPv4EchoReply || icmp.Ident() != ident || checksum.Checksum(icmp, 0) != 0xffff {
		t.Errorf("the answer is % x", p.Data)
	}
}

func TestExampleServe(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(cancel func(), d *mytunev.Device, k *mytuntest.Kernel)
		want string
	}{
		"told to":           {func(cancel func(), _ *mytunev.Device, _ *mytuntest.Kernel) { cancel() }, ""},
		"interface deleted": {func(_ func(), _ *mytunev.Device, k *mytuntest.Kernel) { k.Delete() }, "somebody has deleted mytun0"},
		"closed":            {func(_ func(), d *mytunev.Device, _ *mytuntest.Kernel) { d.Close() }, "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			d, k := newPair(t, mytunev.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- serve(ctx, d) }()
			checkAnswered(t, k)
			c.end(cancel, d, k)
			if err := <-ended; c.want == "" && err != nil || c.want != "" && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestExampleWire(t *testing.T) {
	left, leftKernel := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
	right, rightKernel := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
	ended := make(chan error, 1)
	go func() { ended <- wire(t.Context(), left, right) }()
	v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, GSOType: mytunev.GSOTCPv4, GSOSize: 1400, HdrLen: 40, CsumStart: 20, CsumOffset: 16}
	frame := bytes.Repeat([]byte{0x45}, 30000)
	for _, way := range [][2]*mytuntest.Kernel{{leftKernel, rightKernel}, {rightKernel, leftKernel}} {
		if err := way[0].SendVNet(0, frame, v); err != nil {
			t.Fatal(err)
		}
		if p, err := way[1].Receive(t.Context()); err != nil || p.VNet != v || !bytes.Equal(p.Data, frame) {
			t.Errorf("%v, %+v, %d bytes", err, p.VNet, len(p.Data))
		}
	}
	rightKernel.Delete()
	if err := <-ended; !errors.Is(err, mytunev.ErrDetached) {
		t.Errorf("%v, want ErrDetached", err)
	}
}

func TestExampleReadBatch(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	ended := make(chan error, 1)
	go func() { ended <- answerUntilQuiet(d.Queues()[0], time.Hour) }()
	checkAnswered(t, k)
	d.Close()
	if err := <-ended; err != mytunev.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
	d, _ = newPair(t, mytunev.Config{})
	if err := answerUntilQuiet(d.Queues()[0], time.Millisecond); err != nil {
		t.Errorf("%v: quiet is no error", err)
	}
}
