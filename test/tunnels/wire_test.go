// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/pkg/gso"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
)

// A wire is two devices in two namespaces, and a process that carries the frames of each to the other.
type wire struct {
	tap        bool
	ends       [2]device.End
	namespaces [2]netns.NsHandle
	complete   atomic.Bool // the process does what was left to do to a frame, and says that nothing is
	unfinished atomic.Int64
	supers     atomic.Int64
	tunneled   atomic.Int64 // of them, in UDP tunnels
	datagrams  atomic.Int64 // of these, of UDP
	done       atomic.Bool
	failure    atomic.Pointer[error] // the first frame that could not be sent on
	carrying   sync.WaitGroup
}

// newWire begins to carry frames, until the end of the test.
func newWire(t *testing.T, way device.Way, tap bool) *wire {
	return newWireOf(t, way, tap, [2]uintptr{})
}

// newWireOf is a wire whose ends have more offloads.
func newWireOf(t *testing.T, way device.Way, tap bool, offloads [2]uintptr) *wire {
	t.Helper()
	// with idle processors left, the runtime does not hand on the one of a goroutine that sleeps in a system call
	runtime.GOMAXPROCS(8)
	w := &wire{tap: tap, namespaces: [2]netns.NsHandle{device.Sandbox(t), device.NewNamespace(t)}}
	for i, ns := range w.namespaces {
		device.Inside(t, ns, func() {
			w.ends[i] = way.Open(t, device.Config{Name: "wire", TAP: tap, IPv6: true, Flags: device.Vnet, Mirror: i == 1, Offloads: offloads[i]})
		})
	}
	for i := range w.ends {
		w.carrying.Go(func() { w.carry(w.ends[i], w.ends[1-i]) })
	}
	t.Cleanup(w.stop)
	return w
}

func (w *wire) stop() {
	w.done.Store(true)
	w.carrying.Wait()
}

func (w *wire) carry(from, to device.End) {
	for !w.done.Load() {
		frames := from.Take()
		w.count(frames)
		frames, err := w.finished(frames)
		if err == nil && len(frames) > 0 {
			err = to.Give(frames)
		}
		if err != nil {
			w.failure.CompareAndSwap(nil, &err)
		}
	}
}

func (w *wire) count(frames []device.VnetFrame) {
	for _, f := range frames {
		if f.Vnet.Flags&device.VnetNeedsCsum != 0 {
			w.unfinished.Add(1)
		}
		if f.Vnet.GSOType != device.GSONone {
			w.supers.Add(1)
		}
		if f.Vnet.GSOType&(device.GSOTunnel4|device.GSOTunnel6) != 0 {
			w.tunneled.Add(1)
			if f.Vnet.GSOType&device.GSOUDPL4 == device.GSOUDPL4 {
				w.datagrams.Add(1)
			}
		}
	}
}

// finished are the frames as they are to be sent on.
func (w *wire) finished(frames []device.VnetFrame) (all []device.VnetFrame, err error) {
	if !w.complete.Load() {
		return frames, nil
	}
	for _, f := range frames {
		parts, err := w.split(f)
		if err != nil {
			return nil, fmt.Errorf("%+v, %d bytes: %w", f.Vnet, len(f.Data), err)
		}
		all = append(all, parts...)
	}
	return all, nil
}

// split cuts a super-packet up; of another frame it completes the checksum.
func (w *wire) split(f device.VnetFrame) (parts []device.VnetFrame, err error) {
	vnet := mytunev.VNetHeader{Flags: f.Vnet.Flags, GSOType: f.Vnet.GSOType, HdrLen: f.Vnet.HdrLen,
		GSOSize: f.Vnet.GSOSize, CsumStart: f.Vnet.CsumStart, CsumOffset: f.Vnet.CsumOffset,
		OuterTHOffset: f.Tunnel.OuterTH, InnerNHOffset: f.Tunnel.InnerNH}
	if f.Vnet.GSOType == device.GSONone {
		return []device.VnetFrame{{Data: f.Data}}, gso.Checksum(f.Data, vnet)
	}
	mode := mytunev.TUN
	if w.tap {
		mode = mytunev.TAP
	}
	var s gso.Splitter
	if err := s.Reset(mode, f.Data, vnet); errors.Is(err, errors.ErrUnsupported) {
		return []device.VnetFrame{f}, nil // two VLAN tags, for one
	} else if err != nil {
		return nil, err
	}
	for {
		b := make([]byte, s.Size())
		n, err := s.Next(b)
		if err == io.EOF {
			return parts, nil
		} else if err != nil {
			return nil, err
		}
		parts = append(parts, device.VnetFrame{Data: b[:n]})
	}
}

// problem is what has gone wrong so far: no device may refuse what the other has handed out.
func (w *wire) problem(t *testing.T) error {
	t.Helper()
	if err := w.failure.Load(); err != nil {
		return *err
	}
	for i, e := range w.ends {
		var n uint64
		device.Inside(t, w.namespaces[i], func() { n = e.Refusals(t) })
		if n != 0 {
			return fmt.Errorf("%v refused %d frames that the other had handed out", e.Device(), n)
		}
	}
	return nil
}
