// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fakeWatch tells what a test says.
type fakeWatch struct {
	states chan Link
	ended  chan struct{}
	closed bool
}

func newFakeWatch(states ...Link) *fakeWatch {
	w := &fakeWatch{states: make(chan Link, len(states)), ended: make(chan struct{})}
	for _, s := range states {
		w.states <- s
	}
	return w
}

func (w *fakeWatch) next() (Link, error) {
	select {
	case s := <-w.states:
		return s, nil
	default:
	}
	<-w.ended
	return Link{}, os.ErrDeadlineExceeded
}

func (w *fakeWatch) cancel() { close(w.ended) }

func (w *fakeWatch) close() { w.closed = true }

// A fileOfWatch is a fakeFile that can be watched.
type fileOfWatch struct {
	fakeFile
	w *fakeWatch
}

func (f fileOfWatch) watchLink() (linkWatch, error) { return f.w, nil }

// TestWatchLink: each new state once, also the first that is empty, until something ends it.
func TestWatchLink(t *testing.T) {
	up, down := Link{Name: "a", MTU: 1500, Up: true}, Link{Name: "a", MTU: 1500}
	states := []Link{{}, {}, down, down, up, up, down, {Name: "b", MTU: 1500}}
	want := []Link{{}, down, up, down, {Name: "b", MTU: 1500}}
	for name, c := range map[string]struct {
		end  func(d *Device, cancel func()) error // what h returns of the last state
		want error
	}{
		"h":       {func(*Device, func()) error { return errStop }, errStop},
		"context": {func(_ *Device, cancel func()) error { cancel(); return nil }, context.Canceled},
		"Close":   {func(d *Device, _ func()) error { return d.Close() }, ErrClosed},
	} {
		d, _ := newFakeDevice(t, 1)
		w := newFakeWatch(states...)
		d.queues[0].port.file = fileOfWatch{w: w}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []Link
		within(t, name, func() {
			err := d.WatchLink(ctx, func(l Link) error {
				if got = append(got, l); len(got) == len(want) {
					return c.end(d, cancel)
				}
				return nil
			})
			if err != c.want {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		})
		if !slices.Equal(got, want) || !w.closed {
			t.Errorf("%s: %+v, closed %v, want %+v", name, got, w.closed, want)
		}
	}
}

// TestWatchLinkTellsTheContextsError: as Run does, whatever the cause of the context's end.
func TestWatchLinkTellsTheContextsError(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	d.queues[0].port.file = fileOfWatch{w: newFakeWatch(Link{})}
	ctx, cancel := context.WithCancelCause(t.Context())
	within(t, "WatchLink", func() {
		if err := d.WatchLink(ctx, func(Link) error { cancel(errStop); return nil }); err != context.Canceled {
			t.Errorf("%v, want context.Canceled", err)
		}
	})
}

// TestWatchedDeviceIsNotLeaked keeps nothing of a device but a WatchLink that waits.
func TestWatchedDeviceIsNotLeaked(t *testing.T) {
	k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting, result := make(chan struct{}), make(chan error)
	go func() {
		d := newDevice("fake0", TUN, []port{k.port(nil)})
		d.queues[0].port.file = fileOfWatch{w: newFakeWatch(Link{})}
		result <- d.WatchLink(ctx, func(Link) error { close(waiting); return nil })
	}()
	<-waiting
	for range 10 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if k.unmapped.Load() {
		t.Error("freed while WatchLink waits")
	}
	cancel()
	if err := <-result; err != context.Canceled {
		t.Error(err)
	}
}

// TestWatchLinkLetsGo: inside a Handler that has sent, WatchLink waits without the ring; what cannot be
// given up it does not wait with.
func TestWatchLinkLetsGo(t *testing.T) {
	d, kernels := newFakeDevice(t, 1)
	d.queues[0].port.file = fileOfWatch{w: newFakeWatch(Link{})}
	ctx, cancel := context.WithCancel(t.Context())
	err := d.queues[0].SendBatch(func(tx *Tx) error {
		if _, err := tx.Reserve(1); err != nil {
			return err
		}
		if err := d.WatchLink(ctx, takeLink); err != errReserved {
			t.Errorf("%v, want %v", err, errReserved)
		}
		d.queues[0].port.file = fileOfWatch{w: newFakeWatch(Link{})}
		if err := tx.Send([]byte{1}); err != nil {
			return err
		}
		return d.WatchLink(ctx, func(Link) error {
			go func() {
				if err := d.Send([]byte{2}); err != nil {
					t.Error(err)
				}
				cancel()
			}()
			return tx.Send([]byte{3})
		})
	})
	if err != context.Canceled {
		t.Errorf("%v, want context.Canceled", err)
	}
	var sum byte
	for range 3 {
		sum += kernels[0].take()[0]
	}
	if sum != 6 {
		t.Error("the kernel has other frames")
	}
}

// message makes one of rtnetlink's of a device.
func message(kind uint16, family byte, index int32, flags uint32, attributes ...byte) syscall.NetlinkMessage {
	m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: make([]byte, unix.SizeofIfInfomsg, 100)}
	m.Data[0] = family
	binary.NativeEndian.PutUint32(m.Data[4:], uint32(index))
	binary.NativeEndian.PutUint32(m.Data[8:], flags)
	m.Data = append(m.Data, attributes...)
	m.Header.Len = uint32(unix.SizeofNlMsghdr + len(m.Data))
	return m
}

// attribute makes an attribute, padded.
func attribute(kind uint16, value ...byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	a = append(binary.NativeEndian.AppendUint16(a, kind), value...)
	return append(a, make([]byte, -len(a)&3)...)
}

// refusal makes an answer with an error number.
func refusal(errno unix.Errno) syscall.NetlinkMessage {
	return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.NLMSG_ERROR}, Data: binary.NativeEndian.AppendUint32(nil, -uint32(errno))}
}

// TestNetlinkMessages: what is of another device, of a bridge, or of no use is passed over.
func TestNetlinkMessages(t *testing.T) {
	const index = 7
	mtu := attribute(unix.IFLA_MTU, binary.NativeEndian.AppendUint32(nil, 1280)...)
	both := slices.Concat(attribute(unix.IFLA_IFNAME, 'v', 'p', 'n', 0), mtu)
	short := message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, 0)
	short.Data = short.Data[:unix.SizeofIfInfomsg-1]
	for name, c := range map[string]struct {
		m    syscall.NetlinkMessage
		want *Link // nil: nothing
		err  error
	}{
		"down":               {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, 0, both...), &Link{"vpn", index, 1280, false}, nil},
		"up":                 {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, unix.IFF_UP|unix.IFF_RUNNING, both...), &Link{"vpn", index, 1280, true}, nil},
		"running is not up":  {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, unix.IFF_RUNNING, mtu...), &Link{"", index, 1280, false}, nil},
		"MTU of two bytes":   {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, 0, attribute(unix.IFLA_MTU, 1, 2)...), &Link{"", index, 0, false}, nil},
		"another device":     {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index+1, unix.IFF_UP, both...), nil, nil},
		"another is deleted": {message(unix.RTM_DELLINK, unix.AF_UNSPEC, index+1, 0), nil, nil},
		"in a bridge":        {message(unix.RTM_NEWLINK, unix.AF_BRIDGE, index, unix.IFF_UP, both...), nil, nil},
		"out of a bridge":    {message(unix.RTM_DELLINK, unix.AF_BRIDGE, index, 0), nil, nil},
		"IPv6's view":        {message(unix.RTM_NEWLINK, unix.AF_INET6, index, unix.IFF_UP, both...), nil, nil},
		"an address":         {message(unix.RTM_NEWADDR, unix.AF_UNSPEC, index, 0), nil, nil},
		"too short":          {short, nil, nil},
		"empty":              {syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWLINK}}, nil, nil},
		"an empty error":     {syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.NLMSG_ERROR}}, nil, nil},
		"no error":           {refusal(0), nil, nil},
		"deleted":            {message(unix.RTM_DELLINK, unix.AF_UNSPEC, index, 0), nil, ErrClosed},
		"not there":          {refusal(unix.ENODEV), nil, ErrClosed},
		"refused":            {refusal(unix.EPERM), nil, unix.EPERM},
		"a cut attribute":    {message(unix.RTM_NEWLINK, unix.AF_UNSPEC, index, 0, mtu[:6]...), nil, syscall.EINVAL},
	} {
		w := &netlinkWatch{device: &openFile{closed: true}, index: index}
		got, ours, err := w.read(c.m)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || ours != (c.want != nil) || ours && got != *c.want {
			t.Errorf("%s: %+v, %v, %v", name, got, ours, err)
		}
	}
}

// TestNetlinkOfLoopback asks for a device that every network namespace has.
func TestNetlinkOfLoopback(t *testing.T) {
	w, err := newNetlinkWatch(&openFile{closed: true}, 1)
	if err != nil {
		t.Skipf("no rtnetlink: %v", err)
	}
	got, err := w.next()
	if err != nil || got.Name != "lo" || got.Index != 1 || got.MTU == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	result := make(chan error)
	go func() {
		_, err := w.next()
		result <- err
	}()
	w.cancel()
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	w.close()
	w.cancel()
	if l, err := w.next(); err == nil {
		t.Errorf("%+v after close", l)
	}
}

// TestNetlinkOfNoDevice: one that was deleted before it was asked for.
func TestNetlinkOfNoDevice(t *testing.T) {
	w, err := newNetlinkWatch(&openFile{closed: true}, 1<<30)
	if err != nil {
		t.Skipf("no rtnetlink: %v", err)
	}
	defer w.close()
	if _, err := w.next(); err != ErrClosed {
		t.Errorf("%v, want what the file says", err)
	}
}

// TestNetlinkFromOthers: what another process sends is not the kernel's word.
func TestNetlinkFromOthers(t *testing.T) {
	for _, from := range []unix.Sockaddr{nil, &unix.SockaddrNetlink{Pid: 1}, &unix.SockaddrUnix{}} {
		if fromKernel(from) {
			t.Errorf("%+v is taken for the kernel", from)
		}
	}
	if !fromKernel(&unix.SockaddrNetlink{Groups: unix.RTMGRP_LINK}) {
		t.Error("the kernel is not")
	}
}
