// SPDX-License-Identifier: MIT

package mytunev

import "context"

// A Tx puts frames into the tx ring of one queue. The kernel sees them all at
// once, when the function that got the Tx returns or when it waits for room.
// From its first Reserve on a Tx has the ring for itself: whoever else sends on
// the queue waits until the function returns. For that reason the function must
// not call Send, Write or SendBatch of the same queue: it would wait for itself.
// A Tx belongs to one goroutine and allocates nothing.
type Tx struct {
	q    *Queue
	ctx  context.Context
	open bool // the function that got the Tx has not returned
	held bool // this Tx holds txMu
}

// Reserve returns n bytes of ring memory to write a frame into, with the content
// undefined. Commit makes it a frame. Without a Commit, the next Reserve and the
// end of the function drop it. The slice must not be touched after any of these.
//
// Reserve does not wait: it fails with ErrFull if there is no room, which
// WaitSpace waits for, with ErrTooLong if there never will be, and with
// ErrClosed, ErrDetached or ErrRingBroken when the queue is of no more use.
func (t *Tx) Reserve(n int) ([]byte, error) {
	if !t.held {
		if err := t.lock(); err != nil {
			return nil, err
		}
	}
	return t.q.tx.reserve(n)
}

// Commit makes a frame of the first n bytes of what Reserve returned. A Commit
// of 0 drops the reservation; one of more than was reserved does too, and fails.
func (t *Tx) Commit(n int) error {
	return t.commit(n, nil)
}

// CommitVNet is Commit for a frame whose checksum or segmentation is left to the
// kernel, as v says. It fails with ErrNotSupported, and drops the reservation,
// if v is not zero and the device was opened without Config.Offload.
func (t *Tx) CommitVNet(n int, v VNetHeader) error {
	m := vnetMetadata(v)
	return t.commit(n, &m)
}

// CommitHash is CommitVNet for a frame whose flow has this hash: the kernel
// spreads flows over CPUs by it and need not compute its own. Frames of one flow
// must have one hash. A module that takes no hashes gets none.
func (t *Tx) CommitHash(n int, v VNetHeader, hash uint32) error {
	m := vnetMetadata(v)
	m.flags, m.hash = flagHash, hash
	return t.commit(n, &m)
}

func (t *Tx) commit(n int, m *metadata) error {
	if !t.held {
		return errNoReservation
	}
	if m != nil {
		if m.vnet != [vnetSize]byte{} && !t.q.port.vnet {
			t.q.tx.reserved = 0
			return ErrNotSupported
		}
		if !t.q.port.hash {
			m.flags, m.hash = 0, 0
		}
	}
	return t.q.tx.commit(n, m)
}

// Send copies p into the ring as one frame. Unlike Reserve it waits for room, as
// WaitSpace does.
func (t *Tx) Send(p []byte) error {
	return t.send(p, nil)
}

// SendVNet is Send for a frame whose checksum or segmentation is left to the
// kernel, as v says. It fails as CommitVNet does.
func (t *Tx) SendVNet(p []byte, v VNetHeader) error {
	m := vnetMetadata(v)
	return t.send(p, &m)
}

// SendFrame is Send for a frame that came from a queue, of this device or another:
// with its VNetHeader and its hash, so that a super-packet stays one. It fails as
// CommitVNet does.
func (t *Tx) SendFrame(f Frame) error {
	var m metadata
	if f.vnet != nil {
		m.vnet = *f.vnet
	}
	if f.HashValid {
		m.flags, m.hash = flagHash, f.Hash
	}
	return t.send(f.Data, &m)
}

func (t *Tx) send(p []byte, m *metadata) error {
	slot, err := t.Reserve(len(p))
	if err == ErrFull {
		if err = t.WaitSpace(len(p)); err == nil {
			slot, err = t.Reserve(len(p))
		}
	}
	if err != nil {
		return err
	}
	return t.commit(copy(slot, p), m)
}

// WaitSpace waits until a Reserve of n bytes will succeed. It drops an open
// reservation and, if there is no room yet, shows the kernel what was committed
// and lets others send while it waits. It fails with ctx.Err() when the context
// given to Run is done, with an error that wraps [os.ErrDeadlineExceeded] at the
// write deadline, and as Reserve does.
func (t *Tx) WaitSpace(n int) error {
	for {
		if err := t.lock(); err != nil {
			return err
		}
		tx := &t.q.tx
		tx.reserved = 0
		if err := tx.check(n); err != nil {
			return err
		}
		if ok, err := tx.fits(uint32(n)); ok || err != nil {
			return err
		}
		if err := t.pause(uint32(n)); err != nil {
			return err
		}
	}
}

// pause lets go of the ring and sleeps until there may be room.
func (t *Tx) pause(n uint32) error {
	q := t.q
	if t.publish() {
		if err := q.ring(); err != nil {
			return err
		}
	}
	t.held = false
	q.txMu.Unlock()
	q.counters.spaceWaits.Add(1)
	return q.sleep(t.ctx, &q.spaceGate, &q.writeDeadline, (*Queue).armTx, n)
}

// armTx asks for a signal when there is room.
func (q *Queue) armTx(n uint32) (bool, error) {
	q.txMu.Lock()
	defer q.txMu.Unlock()
	if err := q.usable(); err != nil {
		return false, err
	}
	return q.tx.arm(n)
}

// lock takes the tx ring, unless t has it.
func (t *Tx) lock() error {
	if t.held {
		return nil
	}
	if !t.open {
		return errExpired
	}
	t.q.txMu.Lock()
	if err := t.q.usable(); err != nil {
		t.q.txMu.Unlock()
		return err
	}
	t.held = true
	return nil
}

// publish drops an open reservation, shows what was committed to the kernel, and
// reports whether that calls for a doorbell.
func (t *Tx) publish() bool {
	t.q.tx.reserved = 0
	return t.q.tx.publish()
}

// unlock publishes and lets go of the ring, if t has it. It reports whether the
// doorbell is to be rung.
func (t *Tx) unlock() (ring bool) {
	if !t.held {
		return false
	}
	ring = t.publish()
	t.held = false
	t.q.txMu.Unlock()
	return ring
}

// finish is unlock for a Tx that is not part of a Batch.
func (t *Tx) finish() error {
	t.open = false
	if !t.held {
		return nil
	}
	q := t.q
	ring := t.publish()
	t.held = false
	defer q.txMu.Unlock()
	if ring {
		return q.ring()
	}
	return nil
}

// Send copies p into the tx ring as one frame and shows it to the kernel; a
// system call is made only if the kernel sleeps. Send waits while the ring is
// full, until the write deadline. It fails with ErrTooLong, and as Reserve does.
// A nil error means that the frame is in the ring: whether the network stack
// accepts it, Stats tells. Send allocates nothing.
func (q *Queue) Send(p []byte) error {
	return q.send(p, nil)
}

// SendVNet is Send for a frame whose checksum or segmentation is left to the
// kernel, as v says. It fails with ErrNotSupported if v is not zero and the device
// was opened without Config.Offload.
func (q *Queue) SendVNet(p []byte, v VNetHeader) error {
	m := vnetMetadata(v)
	return q.send(p, &m)
}

func (q *Queue) send(p []byte, m *metadata) error {
	t := Tx{q: q, ctx: context.Background(), open: true}
	err := t.send(p, m)
	if e := t.finish(); err == nil {
		err = e
	}
	return err
}

// Write is Send: one call, one frame. It returns len(p) or an error.
func (q *Queue) Write(p []byte) (int, error) {
	if err := q.Send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SendBatch calls fn with a Tx that has the ring for itself from its first
// Reserve on, then shows everything committed to the kernel with at most one
// system call. It returns the error of fn; what fn committed is sent all the
// same.
func (q *Queue) SendBatch(fn func(tx *Tx) error) error {
	t := &Tx{q: q, ctx: context.Background(), open: true}
	return q.callSender(t, fn)
}

// callSender is known by name to insideCallback.
func (q *Queue) callSender(t *Tx, fn func(tx *Tx) error) (err error) {
	defer func() {
		if e := t.finish(); err == nil {
			err = e
		}
	}()
	return fn(t)
}
