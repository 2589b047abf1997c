// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"testing"
	"time"
)

// An allocRig is a queue, its kernel and what the cases of the tests below share.
type allocRig struct {
	t       *testing.T
	q       *Queue
	k       *fakeKernel
	b       *Batch
	payload []byte
	read    []byte
}

func newAllocRig(t *testing.T) *allocRig {
	if raceEnabled {
		t.Skip("the race detector makes system calls allocate")
	}
	q, k := newFake(t)
	return &allocRig{t, q, k, newBatch(q, t.Context()), pattern(1400, 1), make([]byte, 2000)}
}

// measure runs f again and again, and drains the tx ring in between.
func (r *allocRig) measure(name string, want float64, f func()) {
	n := testing.AllocsPerRun(200, func() {
		f()
		r.k.txConsumer = r.k.tx.producer.Load()
		r.k.giveBack()
	})
	if n > want {
		r.t.Errorf("%s: %v allocations, want %v", name, n, want)
	}
}

// deliver hands 16 frames to h.
func (r *allocRig) deliver(h Handler) {
	for range 16 {
		r.k.put(r.payload, 0)
	}
	r.k.rx.needWakeup.Store(r.k.rxProducer + 1<<31)
	r.k.show()
	if idle, err := r.q.deliver(r.b, h); idle || err != nil {
		r.t.Fatal(idle, err)
	}
}

// receive reads one frame that the kernel has just shown.
func (r *allocRig) receive() {
	if _, err := r.q.Read(r.read); err != nil {
		r.t.Fatal(err)
	}
}

func TestAllocsOfHandlers(t *testing.T) {
	r := newAllocRig(t)
	sum := 0
	r.measure("Reserve and Commit", 0, func() {
		r.deliver(func(b *Batch) error {
			for f := range b.Frames() {
				sum += int(f.Data[0]) + int(f.VNet().Flags)
				slot, err := b.Reserve(len(f.Data))
				if err != nil {
					return err
				}
				if err := b.Commit(copy(slot, f.Data)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	r.measure("SendFrame and CommitHash", 0, func() {
		r.deliver(func(b *Batch) error {
			for f := range b.Frames() {
				if err := b.SendFrame(f); err != nil {
					return err
				}
				slot, err := b.Reserve(len(f.Data))
				if err != nil {
					return err
				}
				if err := b.CommitHash(copy(slot, f.Data), f.VNet(), f.Hash); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func TestAllocsOfSending(t *testing.T) {
	r := newAllocRig(t)
	r.measure("Send", 0, func() { r.q.Send(r.payload) })
	r.measure("SendVNet", 0, func() { r.q.SendVNet(r.payload, VNetHeader{Flags: VNetDataValid}) })
	r.measure("Send with doorbell", 0, func() {
		r.k.doze()
		r.q.Send(r.payload)
	})
	r.measure("SendBatch until full", 1, func() { // the Tx
		err := r.q.SendBatch(func(tx *Tx) error {
			for {
				if _, err := tx.Reserve(60000); err != nil {
					return err
				}
				tx.Commit(60000)
			}
		})
		if err != ErrFull {
			t.Fatal(err)
		}
	})
}

func TestAllocsOfWaiting(t *testing.T) {
	r := newAllocRig(t)
	// A signal from before the queue is armed may be forgotten.
	arm := func(*Queue, context.Context, *deadline, uint32) (bool, error) { return false, r.k.rxBell.Signal() }
	r.measure("sleep", 0, func() {
		if err := r.q.sleep(r.b.s.ctx, &r.q.framesGate, nil, arm, 0); err != nil {
			t.Fatal(err)
		}
	})
	r.measure("Read", 0, func() {
		r.k.put(r.payload, 0)
		r.k.show()
		r.receive()
	})
	r.measure("ReadBatch", 0, func() {
		r.k.put(r.payload, 0)
		r.k.show()
		if err := r.q.ReadBatch(func(b *Batch) error {
			f, _ := b.Next()
			return b.SendFrame(f)
		}); err != nil {
			t.Fatal(err)
		}
	})
	r.q.SetReadDeadline(time.Unix(1, 0))
	r.measure("ReadBatch of nothing", 0, func() {
		if err := r.q.ReadBatch(takeAll); err == nil {
			t.Fatal("a frame in an empty ring")
		}
	})
	r.q.SetReadDeadline(time.Time{})
	r.measure("busy poll", 0, func() {
		r.q.loop.busyPoll = time.Microsecond
		if r.q.lookOn(r.b.s.ctx, r.q.readDeadline) {
			t.Fatal("a frame in an empty ring")
		}
		r.k.put(r.payload, 0)
		r.k.show()
		r.q.loop.busyPoll = time.Hour
		if !r.q.lookOn(r.b.s.ctx, r.q.readDeadline) {
			t.Fatal("no frame")
		}
		r.receive()
	})
}
