// SPDX-License-Identifier: MIT

package mytunev

import (
	"cmp"
	"context"
	"io"
	"sync/atomic"
	"syscall"
	"time"
)

// Bits of the state word.
const (
	stateDetached = 1 << 0
	stateBroken   = 1<<1 | 1<<2 // rx, tx
)

// A Handler processes one batch of frames. What b hands out is valid until the
// Handler returns; then the frames are the kernel's again and what was committed
// is sent. An error ends Run, after that. Frames that the Handler did not take
// are offered again: one that never takes any makes Run spin.
//
// One queue calls a Handler from one goroutine at a time; different queues call
// the same Handler concurrently.
type Handler func(b *Batch) error

// A kernelFile is the open file behind a queue.
type kernelFile interface {
	stats() (KernelStats, error)
	mtu() (int, error)
	setMTU(mtu int) error
	setOffload(o Offload) error
	index() (int, error)
	deviceName() (string, error)
	watchLink() (linkWatch, error)
	control(f func(fd uintptr)) error
}

// A port is all that a Queue has of the outside world.
type port struct {
	rx, tx   ringMemory
	maxFrame uint32                   // longest payload, in bytes
	state    *atomic.Uint32           // written by the kernel
	vnet     bool                     // VNetHeader is allowed in tx frames
	hash     bool                     // a flow hash is allowed in tx frames
	ahead    uint32                   // see consumer
	fill     func() error             // see consumer
	drain    func()                   // see producer
	unfit    func(gsoType byte) error // tells of a super-packet that the kernel does not know; nil if it knows all

	frames   sleeper                     // wakes when frames come
	space    sleeper                     // wakes when there is room
	doorbell interface{ Signal() error } // wakes the kernel
	file     kernelFile
	close    func() error // frees all of the above
}

// A Queue is one pair of rings of a device. Its methods are safe for concurrent
// use. Frames that several goroutines want, by Run, ReadBatch or Read, go to one of them.
type Queue struct {
	dev   *Device
	index int
	port  port
	loop  loop

	framesGate, spaceGate       gate
	readDeadline, writeDeadline *deadline // apart: a timer reaches them, and is not to keep q
	open                        atomic.Bool
	done                        chan struct{} // closed when open is cleared
	rings                       atomic.Int32  // those whose turn has not ended
	freed                       chan error    // what port.close returned, once it was called
	counters                    counters

	// Order: framesGate's turn, rxTurn, spaceGate's turn, txTurn. No lock is held
	// while a function of the program runs: what it has are turns, rxTurn while
	// a Handler runs and txTurn from its first Reserve on. All who wait for a turn
	// can be told to stop, have given up every txTurn before (see letGo), and do
	// not wait for rxTurn inside such a function. Nobody sleeps with txTurn.
	_      [64]byte // keep the two directions on cache lines of their own
	rxTurn turn
	rx     consumer
	pulled *Batch // of ReadBatch, from its first call on
	_      [64]byte
	txTurn turn
	tx     producer
	_      [64]byte
}

var (
	_ io.ReadWriteCloser = (*Queue)(nil)
	_ syscall.Conn       = (*Queue)(nil)
)

func newQueue(dev *Device, index int, p port) *Queue {
	q := &Queue{
		dev:   dev,
		index: index,
		port:  p,
		done:  make(chan struct{}),
		freed: make(chan error, 1),

		readDeadline: &deadline{}, writeDeadline: &deadline{},

		rx: newConsumer(p.rx, p.maxFrame),
		tx: newProducer(p.tx, p.maxFrame),
	}
	q.rings.Store(2)
	q.rxTurn, q.txTurn = newTurn(q.left), newTurn(q.left)
	q.framesGate.init(p.frames)
	q.spaceGate.init(p.space)
	q.rx.ahead = p.ahead
	q.rx.fill, q.tx.drain = p.fill, p.drain
	q.open.Store(true)
	return q
}

// Device returns the device that q belongs to.
func (q *Queue) Device() *Device { return q.dev }

// Index returns the place of q in Device.Queues.
func (q *Queue) Index() int { return q.index }

// Name returns the name of the network device, as Device.Name.
func (q *Queue) Name() string {
	if q.dev == nil {
		return ""
	}
	return q.dev.Name()
}

// usable tells why the queue no longer carries frames, if so.
func (q *Queue) usable() error {
	if !q.open.Load() {
		return ErrClosed
	}
	state := q.port.state.Load()
	switch {
	case state&stateBroken != 0:
		return ErrRingBroken
	case state&stateDetached != 0:
		return ErrDetached
	}
	return nil
}

// Run calls h with batch after batch of frames and sleeps while there are none.
// It returns a non-nil error always: the first one of h, ctx.Err() after ctx is
// done, ErrClosed after Close, ErrDetached or ErrRingBroken when the queue is of
// no more use; frames that came before are handed to h first. A call of h under
// way is never interrupted. Config.LockThreads and Config.CPUs say on which thread
// h is called.
func (q *Queue) Run(ctx context.Context, h Handler) error {
	if err := checkRun(ctx, h); err != nil {
		return err
	}
	if !q.open.Load() {
		return ErrClosed
	}
	leave, err := q.loop.enterThread(q)
	if err != nil {
		return err
	}
	defer leave()
	defer context.AfterFunc(ctx, q.kick)()
	b := newBatch(q, ctx)
	nested := len(ownCallbacks()) != 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		idle, err := q.deliver(b, h)
		if idle && nested {
			_, err = letGo()
		}
		if idle && err == nil {
			err = q.sleepForFrames(ctx, nil)
		}
		if err != nil {
			return err
		}
	}
}

// checkRun finds what Run cannot begin with.
func checkRun(ctx context.Context, h Handler) error {
	switch {
	case ctx == nil:
		return errNoContext
	case h == nil:
		return errNoFunction
	}
	return nil
}

// deliver calls h once, unless there are no frames.
func (q *Queue) deliver(b *Batch, h Handler) (idle bool, err error) {
	if ready, err := q.beginFrames(lent, b.s.ctx, nil); !ready {
		return err == nil, err
	}
	defer q.rxTurn.release()
	return false, q.callHandler(b, h)
}

// beginFrames takes the rx ring if it has frames. If it has none, which is no error, or
// is of no more use, the caller does not have it.
func (q *Queue) beginFrames(as uint32, ctx context.Context, d *deadline) (ready bool, err error) {
	if !q.open.Load() {
		return false, ErrClosed
	}
	if err := q.takeRx(as, ctx, d); err != nil {
		return false, err
	}
	if !q.open.Load() {
		err = ErrClosed
	} else {
		ready, err = q.rx.poll()
	}
	if !ready || err != nil {
		q.rxTurn.release()
		return false, err
	}
	return true, nil
}

func (q *Queue) callHandler(b *Batch, h Handler) (err error) {
	b.begin()
	defer func() {
		if e := b.end(); err == nil {
			err = e
		}
	}()
	return b.call.call(h, b, nil)
}

// takeRx takes the rx ring.
func (q *Queue) takeRx(as uint32, ctx context.Context, d *deadline) error {
	if q.rxTurn.try(as) {
		return nil
	}
	inside, err := letGo()
	if inside { // the frames of a Handler cannot be given up
		return q.rxTurn.insist(as, q, cmp.Or(err, errNested))
	}
	return q.rxTurn.wait(as, q, ctx, d)
}

// armRx asks for a doorbell at the next frame.
func (q *Queue) armRx(ctx context.Context, d *deadline, _ uint32) (bool, error) {
	if err := q.takeRx(brief, ctx, d); err != nil {
		return false, err
	}
	defer q.rxTurn.release()
	if !q.open.Load() {
		return false, ErrClosed
	}
	ready, err := q.rx.arm()
	if !ready && err == nil && q.rx.fill != nil && d.over() {
		ready, err = q.rx.poll() // a look may have been left out, and there is no later one
	}
	if ready || err != nil {
		return ready, err
	}
	return false, q.usable()
}

// Read waits for a frame, copies it into p and returns the number of bytes copied.
// A frame that is longer than p is cut: Read fills p, the rest is lost, and the
// error is [io.ErrShortBuffer]. An offloaded frame (Config.Offload) is copied
// without its VNetHeader: use Run or ReadBatch for those.
//
// Waiting ends with an error that wraps [os.ErrDeadlineExceeded] at the read
// deadline, and with ErrClosed at Close. While a Handler of q runs, Read waits;
// called from within a Handler it does not, but fails.
func (q *Queue) Read(p []byte) (int, error) {
	for {
		n, idle, err := q.tryRead(p)
		if !idle {
			return n, err
		}
		if _, err := letGo(); err != nil {
			return 0, err
		}
		if err = q.sleepForFrames(context.Background(), q.readDeadline); err != nil {
			return 0, err
		}
	}
}

func (q *Queue) tryRead(p []byte) (n int, idle bool, err error) {
	if ready, err := q.beginFrames(brief, context.Background(), q.readDeadline); !ready {
		return 0, err == nil, err
	}
	defer q.rxTurn.release()
	var f Frame
	ok, err := q.rx.peek(&f)
	switch {
	case err != nil:
	case !ok:
		idle = true
	default:
		n = copy(p, f.Data)
		q.counters.frames.Add(1)
		if n < len(f.Data) {
			err = io.ErrShortBuffer
		}
	}
	return n, idle, q.giveBack(false, err)
}

// giveBack ends the loan of all peeked frames and rings the doorbell if that,
// or what the caller did before, calls for it. The caller has rxTurn.
func (q *Queue) giveBack(ring bool, err error) error {
	if q.rx.skipped != 0 {
		q.counters.malformed.Add(q.rx.skipped)
		q.rx.skipped = 0
	}
	if q.rx.release() {
		ring = true
	}
	// Without a kernel that tells, whoever put more into the ring than it took does. Who
	// sleeps has the gate's turn, and looks for frames with rxTurn: before this, or after.
	if q.rx.fill != nil && q.rx.head != q.rx.tail && len(q.framesGate.turn) != 0 {
		q.port.frames.kick()
	}
	if !ring {
		return err
	}
	if e := q.ring(); err == nil {
		err = e
	}
	return err
}

// ring wakes the kernel. The caller has rxTurn or txTurn, so q is not
// torn down.
func (q *Queue) ring() error {
	q.counters.doorbells.Add(1)
	return q.port.doorbell.Signal()
}

// SetDeadline sets both deadlines.
func (q *Queue) SetDeadline(t time.Time) error {
	err := q.SetReadDeadline(t)
	if e := q.SetWriteDeadline(t); err == nil {
		err = e
	}
	return err
}

// SetReadDeadline sets the time at which a Read or ReadBatch that waits, now or
// later, gives up. The zero time means never. It has no effect on Run.
func (q *Queue) SetReadDeadline(t time.Time) error {
	if !q.open.Load() {
		return ErrClosed
	}
	q.readDeadline.set(t, q.port.frames.kick)
	return nil
}

// SetWriteDeadline sets the time at which a Send, Write or WaitSpace that waits
// for room, now or later, gives up. The zero time means never.
func (q *Queue) SetWriteDeadline(t time.Time) error {
	if !q.open.Load() {
		return ErrClosed
	}
	q.writeDeadline.set(t, q.port.space.kick)
	return nil
}

// Stats returns the counters of q. It costs a system call. After Close it fails with
// ErrClosed, and returns what was counted on this side.
func (q *Queue) Stats() (Stats, error) {
	var kernel KernelStats
	file, err := q.file()
	if err == nil {
		kernel, err = file.stats()
	}
	s := q.counters.snapshot()
	s.KernelStats = kernel
	return s, err
}

// file returns the file of q. After Close a Handler may keep it open for a while, but
// that is for the Handler's sake.
func (q *Queue) file() (kernelFile, error) {
	if q.port.file == nil || !q.open.Load() {
		return nil, ErrClosed
	}
	return q.port.file, nil
}

// kick makes every sleeper of q look around.
func (q *Queue) kick() {
	q.port.frames.kick()
	q.port.space.kick()
}

// Close ends every Run, ReadBatch, Read and Send of q with ErrClosed, and frees what they
// used: it unmaps the rings and closes the file. A second Close returns ErrClosed.
//
// Close waits for no function of the program, so it may be called from anywhere, a Handler
// of q included, and a Handler that is running when q is closed is not interrupted. As of a
// file that is being read, the last to leave frees: where a Handler is running, or a function
// given to SendBatch that has ring memory, the rings stay until it has returned, and are freed
// before the Run, ReadBatch or SendBatch that called it returns. So nothing of q is left, and
// none of its Handlers runs, once Close and each Run and ReadBatch have returned.
func (q *Queue) Close() error {
	if !q.shutdown() {
		return ErrClosed
	}
	return q.tearDown()
}

// shutdown makes everything that uses q come to an end, and reports whether it
// was the first to do so.
func (q *Queue) shutdown() bool {
	if !q.open.CompareAndSwap(true, false) {
		return false
	}
	close(q.done)
	q.kick()
	return true
}

// tearDown waits for everyone who uses q but the functions of the program, and frees what
// they used, unless it leaves that to the last of those. What is in its way is in this
// package, and ends because q is closed. The turns that it takes it keeps.
func (q *Queue) tearDown() error {
	q.framesGate.turn <- struct{}{}
	q.spaceGate.turn <- struct{}{}
	q.rxTurn.end()
	q.txTurn.end()
	select {
	case err := <-q.freed:
		return err
	default:
		return nil
	}
}

// left is called when the turn of a ring has ended.
func (q *Queue) left() {
	if q.rings.Add(-1) == 0 {
		q.freed <- q.port.close()
	}
}
