// SPDX-License-Identifier: MIT

package mytunev

import "context"

// A Tx puts frames into the tx ring of one queue. The kernel sees them all at
// once, when the function that got the Tx returns or waits for anything of this
// package. Others who send on the queue meanwhile wait until then.
//
// The function may send on other queues, and on this one by other means. But
// between a Reserve and its Commit it has memory of the ring that others may need:
// a call that would have to wait for them then fails instead of waiting.
//
// A Tx belongs to one goroutine and allocates nothing. A copy of it is the same Tx.
type Tx struct {
	s *sender // nil in the zero value, which sends nothing
}

// A sender is what a Tx and its copies share.
type sender struct {
	q    *Queue
	ctx  context.Context
	kind uint32 // how it takes its turn: lent to a function of the program, or brief
	open bool   // the function that got the Tx has not returned
	held bool   // it has the turn of the tx ring
	own  bool   // nobody but this sender watches ctx
	tx   Tx     // of this sender
}

func newSender(q *Queue, ctx context.Context) *sender {
	s := &sender{q: q, ctx: ctx, kind: lent}
	s.tx.s = s
	return s
}

// Reserve returns n bytes of ring memory to write a frame into, with the content
// undefined. Commit makes it a frame. Without a Commit, the next Reserve and the
// end of the function drop it. The slice must not be touched after any of these.
//
// Reserve does not wait: it fails with ErrFull if there is no room, which
// WaitSpace waits for, with ErrTooLong if there never will be, and with
// ErrClosed, ErrDetached or ErrRingBroken when the queue is of no more use.
func (t *Tx) Reserve(n int) ([]byte, error) {
	if t.s == nil {
		return nil, errExpired
	}
	return t.s.reserve(n)
}

// Commit makes a frame of the first n bytes of what Reserve returned. A Commit
// of 0 drops the reservation; one of more than was reserved does too, and fails.
func (t *Tx) Commit(n int) error {
	return t.s.commit(n, nil)
}

// CommitVNet is Commit for a frame whose checksum or segmentation is left to the
// kernel, as v says, or whose checksum is right and need not be looked at
// (VNetDataValid). It fails with ErrNotSupported, and drops the reservation,
// if v is not zero and the device was opened without Config.Offload.
func (t *Tx) CommitVNet(n int, v VNetHeader) error {
	m := vnetMetadata(v)
	return t.s.commit(n, &m)
}

// CommitHash is CommitVNet for a frame whose flow has this hash: the kernel
// spreads flows over CPUs by it and need not compute its own. Frames of one flow
// must have one hash. A module that takes no hashes gets none.
func (t *Tx) CommitHash(n int, v VNetHeader, hash uint32) error {
	m := vnetMetadata(v)
	m.flags, m.hash = flagHash, hash
	return t.s.commit(n, &m)
}

// Send copies p into the ring as one frame. Unlike Reserve it waits for room, as
// WaitSpace does.
func (t *Tx) Send(p []byte) error {
	return t.s.send(p, nil)
}

// SendVNet is Send for a frame whose checksum or segmentation is left to the
// kernel, as v says. It fails as CommitVNet does.
func (t *Tx) SendVNet(p []byte, v VNetHeader) error {
	m := vnetMetadata(v)
	return t.s.send(p, &m)
}

// SendHash is SendVNet for a frame whose flow has this hash, as CommitHash is CommitVNet.
func (t *Tx) SendHash(p []byte, v VNetHeader, hash uint32) error {
	m := vnetMetadata(v)
	m.flags, m.hash = flagHash, hash
	return t.s.send(p, &m)
}

// SendFrame is Send for a frame that came from a queue, of this device or another:
// with its VNetHeader and its hash, so that a super-packet stays one. It fails as
// CommitVNet does.
func (t *Tx) SendFrame(f Frame) error {
	var m metadata
	if vnet := f.vnet(); vnet != nil {
		m.vnet = *vnet
	}
	if f.HashValid {
		m.flags, m.hash = flagHash, f.Hash
	}
	return t.s.send(f.Data, &m)
}

// WaitSpace waits until a Reserve of n bytes will succeed. It drops an open
// reservation and, if there is no room yet, shows the kernel what was committed
// and lets others send while it waits. It fails with ctx.Err() when the context
// given to Run is done, with an error that wraps [os.ErrDeadlineExceeded] at the
// write deadline, and as Reserve does.
func (t *Tx) WaitSpace(n int) error {
	if t.s == nil {
		return errExpired
	}
	return t.s.waitSpace(n)
}

// Send copies p into the tx ring as one frame and shows it to the kernel; a
// system call is made only if the kernel sleeps. Send waits while the ring is
// full, until the write deadline. It fails with ErrTooLong, and as Reserve does.
// A nil error means that the frame is in the ring: whether the network stack
// accepts it, Stats tells. Send allocates nothing.
func (q *Queue) Send(p []byte) error {
	return q.send(context.Background(), p, nil)
}

// SendVNet is Send for a frame whose checksum or segmentation is left to the
// kernel, as v says. It fails with ErrNotSupported if v is not zero and the device
// was opened without Config.Offload.
func (q *Queue) SendVNet(p []byte, v VNetHeader) error {
	m := vnetMetadata(v)
	return q.send(context.Background(), p, &m)
}

// SendHash is SendVNet for a frame whose flow has this hash, as [Tx.CommitHash] is
// [Tx.CommitVNet].
func (q *Queue) SendHash(p []byte, v VNetHeader, hash uint32) error {
	m := vnetMetadata(v)
	m.flags, m.hash = flagHash, hash
	return q.send(context.Background(), p, &m)
}

// SendContext is Send, but waits no longer than until ctx is done, and then fails with
// ctx.Err(). A frame that need not wait is sent whatever ctx says.
func (q *Queue) SendContext(ctx context.Context, p []byte) error {
	if ctx == nil {
		return errNoContext
	}
	return q.send(ctx, p, nil)
}

func (q *Queue) send(ctx context.Context, p []byte, m *metadata) error {
	s := sender{q: q, ctx: ctx, kind: brief, open: true, own: true}
	err := s.send(p, m)
	if e := s.finish(); err == nil {
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

// SendBatch calls fn with a Tx, then shows everything committed to the kernel with
// at most one system call. It returns the error of fn; what fn committed is sent
// all the same.
func (q *Queue) SendBatch(fn func(tx *Tx) error) error {
	return q.SendBatchContext(context.Background(), fn)
}

// SendBatchContext is SendBatch, but what fn calls waits no longer than until ctx is done, and
// then fails with ctx.Err().
func (q *Queue) SendBatchContext(ctx context.Context, fn func(tx *Tx) error) (err error) {
	switch {
	case ctx == nil:
		return errNoContext
	case fn == nil:
		return errNoFunction
	}
	s := newSender(q, ctx)
	s.open, s.own = true, true
	c := idleCallbacks.Get().(*callback)
	c.s = s
	defer func() {
		c.s = nil
		if !c.abandoned {
			idleCallbacks.Put(c)
		}
		if e := s.finish(); err == nil {
			err = e
		}
	}()
	return c.call(nil, nil, fn)
}
