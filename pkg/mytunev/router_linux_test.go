// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
)

// A router is a program whose Handlers send at random on their own queues and on
// all others, in every way there is, over rings that are full all the time.
type router struct {
	t       *testing.T
	d       *Device
	kernels []*fakeKernel
	refused atomic.Int64 // sends that would have waited with a reservation open
	sent    []atomic.Int64
}

// The rings hold few of the frames.
const (
	routerRing     = 1 << 12
	routerMaxFrame = 1000
)

func newRouter(t *testing.T, queues int) *router {
	watchdog.Watch(t, watchdog.Bound)
	r := &router{t: t, sent: make([]atomic.Int64, queues)}
	var ports []port
	for range queues {
		k := newFakeKernel(t, heapRing(routerRing, 1<<32-4096), heapRing(routerRing, 1<<32-1024), new(atomic.Uint32))
		r.kernels = append(r.kernels, k)
		ports = append(ports, k.port(nil))
	}
	r.d = newDevice("fake0", TUN, ports)
	t.Cleanup(func() { r.d.Close() })
	return r
}

// routes are the ways to send p on to.
var routes = []func(b *Batch, to *Queue, p []byte) error{
	func(b *Batch, to *Queue, p []byte) error { return to.Send(p) },
	func(b *Batch, to *Queue, p []byte) error { return b.Send(p) },
	func(b *Batch, to *Queue, p []byte) error { return reserveAndCommit(&b.Tx, p) },
	func(b *Batch, to *Queue, p []byte) error {
		return to.SendBatch(func(tx *Tx) error { return reserveAndCommit(tx, p) })
	},
	func(b *Batch, to *Queue, p []byte) error { // two at once, the own one first
		if err := b.Send(p[:1]); err != nil {
			return err
		}
		return to.SendBatch(func(tx *Tx) error {
			if err := tx.Send(p[:1]); err != nil {
				return err
			}
			return b.Send(p)
		})
	},
	func(b *Batch, to *Queue, p []byte) error { // waits with a reservation open, perhaps
		slot, err := b.Reserve(len(p))
		if err != nil {
			return err
		}
		if err := to.Send(p); err != nil {
			return err
		}
		return b.Commit(copy(slot, p))
	},
}

func reserveAndCommit(tx *Tx, p []byte) error {
	slot, err := tx.Reserve(len(p))
	if err == ErrFull {
		if err = tx.WaitSpace(len(p)); err == nil {
			slot, err = tx.Reserve(len(p))
		}
	}
	if err != nil {
		return err
	}
	return tx.Commit(copy(slot, p))
}

// route is the Handler.
func (r *router) route(b *Batch) error {
	for f := range b.Frames() {
		to := r.d.queues[rand.IntN(len(r.d.queues))]
		err := routes[rand.IntN(len(routes))](b, to, f.Data)
		switch {
		case err == errReserved || err == ErrFull: // the frame is dropped
			r.refused.Add(1)
		case err != nil:
			return err
		}
		r.sent[b.Queue().Index()].Add(1)
	}
	return nil
}

// play is the kernel of one queue until end: it puts what fits, and takes what is
// there.
func (r *router) play(k *fakeKernel, end <-chan struct{}) {
	for seed := byte(0); ; seed++ {
		select {
		case <-end:
			return
		default:
		}
		for k.put(pattern(1+rand.IntN(routerMaxFrame), seed), 0) {
		}
		k.show()
		for p := k.take(); p != nil; p = k.take() {
			if string(p) != string(pattern(len(p), p[0])) {
				r.t.Errorf("a frame of %d bytes that is none of those sent", len(p))
				return
			}
		}
		k.giveBack()
		runtime.Gosched()
	}
}

// start begins to play and to route. stop ends the kernels.
func (r *router) start(ctx context.Context) (wait func() error, stop func()) {
	end := make(chan struct{})
	var group sync.WaitGroup
	for _, k := range r.kernels {
		group.Go(func() { r.play(k, end) })
	}
	return start(ctx, r.d, r.route), func() {
		close(end)
		group.Wait()
	}
}

// busy waits until every Handler has sent n frames. It is at work for as long as one
// more is sent now and then: all these goroutines share the processors that there are.
func (r *router) busy(n int64) {
	for i := range r.sent {
		seen := int64(-1)
		for seen < n {
			if now := r.sent[i].Load(); now != seen {
				seen = now
				watchdog.Watch(r.t, watchdog.Bound)
			}
			runtime.Gosched()
		}
	}
}

// TestRouters: Handlers that send on each other's queues all get on.
func TestRouters(t *testing.T) {
	for _, queues := range []int{2, 3, 8} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			r := newRouter(t, queues)
			ctx, cancel := context.WithCancel(t.Context())
			wait, stop := r.start(ctx)
			r.busy(500)
			cancel()
			if err := wait(); err != context.Canceled {
				t.Error(err)
			}
			stop()
			s, _ := r.d.Stats()
			if s.SpaceWaits == 0 {
				t.Error("no ring was ever full")
			}
			t.Logf("%d waits for room, %d refused with a reservation open", s.SpaceWaits, r.refused.Load())
		})
	}
}

// TestRoutersEnd: whatever ends a wait ends it in the middle of this as well.
func TestRoutersEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(r *router, cancel func())
		want error
	}{
		"Close":          {func(r *router, cancel func()) { r.d.Close() }, ErrClosed},
		"Close of one":   {func(r *router, cancel func()) { r.d.queues[1].Close() }, ErrClosed},
		"context":        {func(r *router, cancel func()) { cancel() }, context.Canceled},
		"write deadline": {func(r *router, cancel func()) { r.d.queues[1].SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"detached": {func(r *router, cancel func()) {
			for _, k := range r.kernels {
				k.fail(stateDetached)
			}
		}, ErrDetached},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, 4)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wait, stop := r.start(ctx)
			r.busy(100)
			c.end(r, cancel)
			if err := wait(); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			stop()
		})
	}
}

// rendezvous lets two Handlers go on when both have arrived.
type rendezvous struct{ arrived [2]chan struct{} }

func newRendezvous() *rendezvous {
	return &rendezvous{[2]chan struct{}{make(chan struct{}), make(chan struct{})}}
}

func (r *rendezvous) meet(i int) {
	close(r.arrived[i])
	<-r.arrived[1-i]
}

// crossing runs two Handlers, each of which has a part in its own ring when it calls
// other for the other's queue, and returns what the two calls return.
func crossing(t *testing.T, own func(b *Batch) error, other func(q *Queue) error) []error {
	watchdog.Watch(t, watchdog.Bound)
	d, kernels := newFakeDevice(t, 2)
	meet := newRendezvous()
	errs := make([]error, 2)
	var waits []func() error
	for i, q := range d.queues {
		waits = append(waits, start(t.Context(), q, func(b *Batch) error {
			err := own(b)
			if err != nil {
				t.Error(err)
			}
			meet.meet(i)
			errs[i] = other(d.queues[1-i])
			return errStop
		}))
		kernels[i].send([]byte{1})
	}
	for _, wait := range waits {
		if err := wait(); err != errStop {
			t.Error(err)
		}
	}
	return errs
}

// TestHandlersThatSendOnEachOther: each has taken its own ring before it wants the
// other's.
func TestHandlersThatSendOnEachOther(t *testing.T) {
	send := func(b *Batch) error { return b.Send([]byte{1}) }
	for name, other := range map[string]func(q *Queue) error{
		"Send": func(q *Queue) error { return q.Send([]byte{2}) },
		"SendBatch": func(q *Queue) error {
			return q.SendBatch(func(tx *Tx) error { return tx.Send([]byte{2}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range crossing(t, send, other) {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestHandlersWithReservationsThatSendOnEachOther: at least the one who comes last
// is told that waiting would be for ever.
func TestHandlersWithReservationsThatSendOnEachOther(t *testing.T) {
	errs := crossing(t,
		func(b *Batch) error { _, err := b.Reserve(10); return err },
		func(q *Queue) error { return q.Send([]byte{2}) })
	if errs[0] != errReserved && errs[1] != errReserved {
		t.Errorf("%v, want %v", errs, errReserved)
	}
}

// TestHandlersThatReadFromEachOther: neither waits for the other to return.
func TestHandlersThatReadFromEachOther(t *testing.T) {
	errs := crossing(t,
		func(b *Batch) error { return nil },
		func(q *Queue) error { _, err := q.Read(make([]byte, 10)); return err })
	if errs[0] != errNested && errs[1] != errNested {
		t.Errorf("%v, want %v", errs, errNested)
	}
}

// TestWaitsInsideAHandlerGiveItsRingUp: whatever a Handler waits for, others can send on
// its queue meanwhile.
func TestWaitsInsideAHandlerGiveItsRingUp(t *testing.T) {
	for name, c := range map[string]struct {
		queues int // of the other device
		wait   func(ctx context.Context, d *Device) error
		want   error
	}{
		"Run":         {1, func(ctx context.Context, d *Device) error { return d.Run(ctx, takeAll) }, context.Canceled},
		"Run of many": {2, func(ctx context.Context, d *Device) error { return d.Run(ctx, takeAll) }, context.Canceled},
		"Read":        {1, func(_ context.Context, d *Device) error { _, err := d.Read(make([]byte, 9)); return err }, ErrClosed},
		"Send, full":  {1, func(_ context.Context, d *Device) error { return sendForever(d.queues[0]) }, ErrClosed},
		"a reservation": {1, func(_ context.Context, d *Device) error {
			return d.queues[0].SendBatch(func(tx *Tx) error {
				if _, err := tx.Reserve(1); err != nil {
					return err
				}
				_, err := d.Read(make([]byte, 9))
				return err
			})
		}, errReserved},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFake(t)
			other, _ := newFakeDevice(t, c.queues)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			inside := make(chan struct{})
			k.send([]byte{1})
			wait := start(t.Context(), q, func(b *Batch) error {
				if err := b.Send([]byte{1}); err != nil {
					t.Error(err)
				}
				close(inside)
				if err := c.wait(ctx, other); err != c.want {
					t.Errorf("%v, want %v", err, c.want)
				}
				return errStop
			})
			<-inside
			if err := q.Send([]byte{2}); err != nil {
				t.Error(err)
			}
			if c.want == ErrClosed {
				other.Close()
			}
			cancel()
			if err := wait(); err != errStop {
				t.Error(err)
			}
		})
	}
}

func sendForever(q *Queue) error {
	for {
		if err := q.Send(make([]byte, 60000)); err != nil {
			return err
		}
	}
}
