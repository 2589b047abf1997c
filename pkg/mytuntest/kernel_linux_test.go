// SPDX-License-Identifier: MIT

package mytuntest

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"
)

func newPair(t *testing.T, c mytunev.Config) (*mytunev.Device, *Kernel) {
	t.Helper()
	d, k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, k
}

// receive is Receive within the time of a test that hangs.
func receive(t *testing.T, k *Kernel) Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchdog.Bound)
	defer cancel()
	p, err := k.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run calls Run until the test says how it has to end.
func run(d *mytunev.Device, h mytunev.Handler) (end func() error) {
	result := make(chan error, 1)
	go func() { result <- d.Run(context.Background(), h) }()
	return func() error { return <-result }
}

func echo(b *mytunev.Batch) error {
	for f := range b.Frames() {
		if err := b.SendFrame(f); err != nil {
			return err
		}
	}
	return nil
}

func numbered(i, length int) []byte {
	p := make([]byte, max(length, 4))
	binary.BigEndian.PutUint32(p, uint32(i))
	return p
}

func number(p []byte) int { return int(binary.BigEndian.Uint32(p)) }

// TestEcho through rings that wrap many times, in frames of all sizes.
func TestEcho(t *testing.T) {
	d, k := newPair(t, mytunev.Config{RxRing: 128 << 10, TxRing: 128 << 10})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, echo) }()
	sizes := []int{4, 64, 1400, MaxFrame}
	const frames = 400
	go func() {
		for i := range frames {
			if err := k.Send(0, numbered(i, sizes[i%len(sizes)])); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range frames {
		if p := receive(t, k); number(p.Data) != i || len(p.Data) != sizes[i%len(sizes)] || p.Queue != 0 {
			t.Fatalf("frame %d came as %d, of %d bytes, by queue %d", i, number(p.Data), len(p.Data), p.Queue)
		}
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("%v, want context.Canceled", err)
	}
	if s, err := d.Stats(); err != nil || s.RxFrames != frames || s.TxFrames != frames {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCloseWhileAHandlerRuns: by a goroutine that the Handler waits for; what it has committed
// is sent.
func TestCloseWhileAHandlerRuns(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	if err := k.Send(0, []byte{1}); err != nil {
		t.Fatal(err)
	}
	err := d.Run(t.Context(), func(b *mytunev.Batch) error {
		slot, err := b.Reserve(1)
		if err != nil {
			t.Error(err)
		}
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		slot[0] = 2
		return b.Commit(1)
	})
	if err != mytunev.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
	if p, err := k.Receive(t.Context()); err != nil || string(p.Data) != "\x02" {
		t.Errorf("%x, %v", p.Data, err)
	}
}

// TestClose ends what waits.
func TestClose(t *testing.T) {
	d, _ := newPair(t, mytunev.Config{Queues: 2})
	end := run(d, echo)
	d.Close()
	if err := end(); err != mytunev.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestManyAtOnce: each queue has senders, and the frames of each sender come in order.
func TestManyAtOnce(t *testing.T) {
	const queues, senders, frames = 3, 2, 300
	d, k := newPair(t, mytunev.Config{Queues: queues})
	run(d, echo)
	var sending sync.WaitGroup
	for s := range queues * senders {
		sending.Go(func() {
			for i := range frames {
				if err := k.Send(s%queues, append(numbered(s, 4), numbered(i, 60)...)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, queues*senders)
	for range queues * senders * frames {
		p := receive(t, k)
		s, i := number(p.Data), number(p.Data[4:])
		if p.Queue != s%queues || i != next[s] {
			t.Fatalf("frame %d of sender %d by queue %d, want frame %d by queue %d", i, s, p.Queue, next[s], s%queues)
		}
		next[s]++
	}
	sending.Wait()
}

// TestReceivers: two who wait get a frame each.
func TestReceivers(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if _, err := k.Receive(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	err := d.Queues()[0].SendBatch(func(tx *mytunev.Tx) error { return errors.Join(tx.Send([]byte("one")), tx.Send([]byte("two"))) })
	if err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
}

func TestVNet(t *testing.T) {
	want := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, GSOType: mytunev.GSOUDPL4, HdrLen: 28, GSOSize: 100, CsumStart: 20, CsumOffset: 6}
	d, k := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
	run(d, echo)
	for _, v := range []mytunev.VNetHeader{want, {}, want} {
		if err := k.SendVNet(0, make([]byte, 1028), v); err != nil {
			t.Fatal(err)
		}
		if p := receive(t, k); p.VNet != v || len(p.Data) != 1028 {
			t.Errorf("%+v with %d bytes, want %+v", p.VNet, len(p.Data), v)
		}
	}
}

// TestRoom: what a program writes around a frame hits no other.
func TestRoom(t *testing.T) {
	for _, c := range []mytunev.Config{{Headroom: 16, Tailroom: 16}, {Headroom: 1, Offload: mytunev.OffloadTx}, {Tailroom: 256}} {
		d, k := newPair(t, c)
		for i := range 100 {
			if err := k.Send(0, numbered(i, 40+i)); err != nil {
				t.Fatal(err)
			}
		}
		run(d, func(b *mytunev.Batch) error {
			for f := range b.Frames() {
				all := f.Extend(c.Headroom, c.Tailroom)
				for i := range c.Headroom {
					all[i] = 0xff
				}
				for i := c.Headroom + len(f.Data); i < len(all); i++ {
					all[i] = 0xff
				}
				if err := b.Send(f.Data); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range 100 {
			if p := receive(t, k); number(p.Data) != i || len(p.Data) != 40+i {
				t.Fatalf("frame %d came as %d, of %d bytes", i, number(p.Data), len(p.Data))
			}
		}
	}
}

func TestReadAndWrite(t *testing.T) {
	d, k := newPair(t, mytunev.Config{Mode: mytunev.TAP, Name: "pair%d"})
	if d.Name() != "pair0" || d.Mode() != mytunev.TAP {
		t.Errorf("%s, %v", d.Name(), d.Mode())
	}
	if err := k.Send(0, []byte("question")); err != nil {
		t.Fatal(err)
	}
	if k.Waiting(0) != 1 {
		t.Errorf("%d frames wait", k.Waiting(0))
	}
	p := make([]byte, 100)
	n, err := d.Read(p)
	if err != nil || string(p[:n]) != "question" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if k.Waiting(0) != 0 {
		t.Errorf("%d frames wait", k.Waiting(0))
	}
	if _, err := d.Write([]byte("answer")); err != nil {
		t.Error(err)
	}
	if got := receive(t, k); string(got.Data) != "answer" {
		t.Errorf("%q", got.Data)
	}
}

// TestDeadline: a wait that nothing ends but its deadline.
func TestDeadline(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	d.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := d.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := k.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded", err)
	}
}

func TestDelete(t *testing.T) {
	d, k := newPair(t, mytunev.Config{Queues: 2})
	if err := d.SetMTU(1280); err != nil {
		t.Error(err)
	}
	if mtu, err := d.MTU(); mtu != 1280 || err != nil {
		t.Errorf("MTU %d, %v", mtu, err)
	}
	end := run(d, echo)
	k.Delete()
	if err := end(); err != mytunev.ErrDetached {
		t.Errorf("Run: %v, want ErrDetached", err)
	}
	if err := d.Send([]byte("late")); err != mytunev.ErrDetached {
		t.Errorf("Send: %v, want ErrDetached", err)
	}
	if err := k.Send(0, []byte("late")); !errors.Is(err, mytunev.ErrDetached) {
		t.Errorf("Send of the kernel: %v, want ErrDetached", err)
	}
	if _, err := d.MTU(); err != mytunev.ErrDetached {
		t.Errorf("MTU: %v, want ErrDetached", err)
	}
}

func TestErrors(t *testing.T) {
	for text, c := range map[string]mytunev.Config{
		"ring sizes of mytun0": {RxRing: 1 << 10}, "Config.RxRing": {RxRing: 3}, "Config.Queues": {Queues: -1},
		"Config.Queues is": {Queues: math.MaxInt}, "at most 15 bytes": {Name: "a-name-of-length"},
	} {
		if _, _, err := New(c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q in it", err, text)
		}
	}
	d, k := newPair(t, mytunev.Config{})
	for text, send := range map[string]func() error{
		"queue 1: the device has 1": func() error { return k.Send(1, []byte("x")) },
		"queue -1":                  func() error { return k.Send(-1, []byte("x")) },
		"of 0 bytes":                func() error { return k.Send(0, nil) },
		"of 65569 bytes":            func() error { return k.Send(0, make([]byte, MaxFrame+1)) },
		"Config.Offload":            func() error { return k.SendVNet(0, []byte("x"), mytunev.VNetHeader{GSOType: 1}) },
	} {
		if err := send(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q in it", err, text)
		}
	}
	conn, err := d.SyscallConn()
	if err == nil {
		err = conn.Control(func(uintptr) {})
	}
	if !errors.Is(err, mytunev.ErrNotSupported) {
		t.Errorf("%v, want ErrNotSupported: there is no descriptor", err)
	}
}

// TestDefaults: what Config leaves open is what Open makes of it.
func TestDefaults(t *testing.T) {
	for want, c := range map[string]mytunev.Config{
		"mytun0 mytun": {}, "mytap0 mytun": {Mode: mytunev.TAP}, "vpn0 mytun": {Name: "vpn%d", Backend: mytunev.BackendMytun},
		"a-name-as-long0 tun": {Name: "a-name-as-long%d", Backend: mytunev.BackendTun},
	} {
		d, _ := newPair(t, c)
		backend, why := d.Backend()
		if got := d.Name() + " " + backend.String(); got != want || why == "" {
			t.Errorf("%s, because %q, want %s", got, why, want)
		}
	}
}

// TestSetMTU: there are no other MTUs than those of a device.
func TestSetMTU(t *testing.T) {
	d, _ := newPair(t, mytunev.Config{})
	for mtu, want := range map[int]error{-1: syscall.EINVAL, 67: syscall.EINVAL, 68: nil, 65535: nil, 65536: syscall.EINVAL, math.MaxInt: syscall.EINVAL} {
		before, _ := d.MTU()
		err := d.SetMTU(mtu)
		if want == nil {
			before = mtu
		}
		if after, _ := d.MTU(); after != before || !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%d: %v, and the MTU is %d, want %v and %d", mtu, err, after, want, before)
		}
	}
}

// TestChangeLink: a program is told what becomes of its device, and asks for it too.
func TestChangeLink(t *testing.T) {
	d, k := newPair(t, mytunev.Config{Name: "vpn0"})
	first := mytunev.Link{Name: "vpn0", MTU: 1500, Up: true}
	down := mytunev.Link{Name: "vpn0", MTU: 1500}
	short := mytunev.Link{Name: "vpn0", MTU: 1280}
	renamed := mytunev.Link{Name: "vpn1", MTU: 1280, Up: true}
	var got []mytunev.Link
	steps := []func(){
		func() { k.ChangeLink(func(l *mytunev.Link) { l.Up = false }) },
		func() {
			if err := d.SetMTU(1280); err != nil {
				t.Error(err)
			}
		},
		func() { k.ChangeLink(func(l *mytunev.Link) { l.Name, l.Up, l.Index = "vpn1", true, 7 }) },
		k.Delete,
	}
	err := d.WatchLink(t.Context(), func(l mytunev.Link) error {
		got = append(got, l)
		if n := len(got); n <= len(steps) {
			steps[n-1]()
		}
		if name := d.Name(); len(got) == 3 && name != "vpn1" {
			t.Errorf("the name is %q", name)
		}
		return nil
	})
	if err != mytunev.ErrDetached || !slices.Equal(got, []mytunev.Link{first, down, short, renamed}) {
		t.Errorf("%+v, %v", got, err)
	}
	if name := d.Name(); name != "vpn1" {
		t.Errorf("the name of what was deleted is %q", name)
	}
}

// TestWatchLinkEnds: with Close from another goroutine, from the callback, and with its context.
func TestWatchLinkEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(d *mytunev.Device, cancel func()) error
		want error
	}{
		"Close":        {func(d *mytunev.Device, _ func()) error { go d.Close(); return nil }, mytunev.ErrClosed},
		"Close inside": {func(d *mytunev.Device, _ func()) error { return d.Close() }, mytunev.ErrClosed},
		"context":      {func(_ *mytunev.Device, cancel func()) error { cancel(); return nil }, context.Canceled},
	} {
		d, _ := newPair(t, mytunev.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		if err := d.WatchLink(ctx, func(mytunev.Link) error { return c.end(d, cancel) }); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		cancel()
	}
}
