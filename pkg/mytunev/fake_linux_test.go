// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// A fakeKernel plays the module's side of one queue: the same shared words, the
// same eventfds, written from the ABI header and apart from ring.go.
type fakeKernel struct {
	t testing.TB

	rx, tx   ringMemory
	state    *atomic.Uint32
	rxBell   *eventfd.EventFD
	txBell   *eventfd.EventFD
	txSpace  *eventfd.EventFD
	unmapped atomic.Bool // the queue freed its memory

	rxProducer uint32 // ours
	txConsumer uint32 // ours
	txHeader   []byte // of the frame that was taken last

	rxBells, spaceBells atomic.Uint64
	wakeups             chan struct{} // a tx doorbell, at most one is kept
	stopped             chan struct{}
}

const fakeRing = 1 << 18

// newFake returns a queue of a device without a kernel, and the kernel. The
// queue is closed when the test ends.
func newFake(t testing.TB) (*Queue, *fakeKernel) { return newFakeWithRoom(t, 0, 0) }

// newFakeWithRoom is newFake with so many bytes around each rx frame.
func newFakeWithRoom(t testing.TB, headroom, tailroom uint32) (*Queue, *fakeKernel) {
	rx := heapRing(fakeRing, 1<<32-4096)
	rx.headroom, rx.tailroom = headroom, tailroom
	k := newFakeKernel(t, rx, heapRing(fakeRing, 1<<32-8192), new(atomic.Uint32))
	d := newDevice("fake0", TUN, []port{k.port(nil)})
	t.Cleanup(func() { d.Close() })
	return d.queues[0], k
}

func newFakeKernel(t testing.TB, rx, tx ringMemory, state *atomic.Uint32) *fakeKernel {
	watchdog.Watch(t, watchdog.Bound)
	k := &fakeKernel{
		t: t, rx: rx, tx: tx, state: state,
		rxBell: newEvent(t), txBell: newEvent(t), txSpace: newEvent(t),
		rxProducer: rx.producer.Load(), txConsumer: tx.consumer.Load(),
		wakeups: make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	tx.needWakeup.Store(tx.producer.Load() + 1<<31)
	go k.watch()
	t.Cleanup(func() {
		k.txBell.Close()
		<-k.stopped
		k.rxBell.Close()
		k.txSpace.Close()
	})
	return k
}

func newEvent(t testing.TB) *eventfd.EventFD {
	e, err := eventfd.New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// port makes what Open would make. free is called when it is closed.
func (k *fakeKernel) port(free func()) port {
	p := port{
		rx: k.rx, tx: k.tx, maxFrame: testMaxFrame, state: k.state, vnet: true, hash: true,
		doorbell: k.txBell, file: fakeFile{k},
	}
	frames, err := newPollSleeper(k.rxBell)
	if err != nil {
		k.t.Fatal(err)
	}
	space, err := newPollSleeper(k.txSpace)
	if err != nil {
		k.t.Fatal(err)
	}
	p.frames, p.space = frames, space
	p.close = sync.OnceValue(func() error {
		k.unmapped.Store(true)
		if free != nil {
			free()
		}
		return errors.Join(frames.close(), space.close())
	})
	return p
}

// A fakeFile is the file of a queue that is open for as long as its kernel, if any, has
// not seen it closed.
type fakeFile struct{ k *fakeKernel }

func (f fakeFile) err() error {
	if f.k != nil && f.k.unmapped.Load() {
		return ErrClosed
	}
	return nil
}

func (f fakeFile) stats() (KernelStats, error) {
	return KernelStats{RxFrames: 7, KthreadSleeps: 9}, f.err()
}

func (f fakeFile) mtu() (int, error) {
	if f.k != nil && f.k.state.Load()&stateDetached != 0 {
		return 0, ErrDetached
	}
	return 1500, f.err()
}

func (f fakeFile) setOffload(Offload) error {
	_, err := f.mtu()
	return err
}

func (f fakeFile) setMTU(int) error {
	_, err := f.mtu()
	return err
}

func (f fakeFile) index() (int, error) {
	_, err := f.mtu()
	return 7, err
}

func (f fakeFile) deviceName() (string, error) { return "", ErrNotSupported }

func (f fakeFile) watchLink() (linkWatch, error) {
	_, err := f.mtu()
	return newFakeWatch(Link{}), err
}

func (f fakeFile) control(use func(fd uintptr)) error {
	if err := f.err(); err != nil {
		return err
	}
	use(42)
	return nil
}

// watch turns tx doorbells into tokens, as the module's wait-queue entry does.
func (k *fakeKernel) watch() {
	defer close(k.stopped)
	for {
		if _, err := k.txBell.Wait(); err != nil {
			return
		}
		select {
		case k.wakeups <- struct{}{}:
		default:
		}
	}
}

// bell waits for a tx doorbell.
func (k *fakeKernel) bell() bool {
	select {
	case <-k.wakeups:
		return true
	case <-k.stopped:
		return false
	case <-time.After(watchdog.Bound):
		k.t.Errorf("no tx doorbell for %v", watchdog.Bound)
		return false
	}
}

func fakePassed(event, old, now uint32) bool { return uint32(now-event-1) < uint32(now-old) }

// put writes one frame into the rx ring, unseen, and reports false if it is full.
func (k *fakeKernel) put(payload []byte, hash uint32) bool {
	headroom, tailroom := k.rx.headroom, k.rx.tailroom
	need := (32 + headroom + uint32(len(payload)) + tailroom + 63) / 64 * 64
	if k.rxProducer+need-k.rx.consumer.Load() > k.rx.size {
		return false
	}
	at := k.rxProducer % k.rx.size
	clear(k.rx.data[at : at+32])
	binary.NativeEndian.PutUint32(k.rx.data[at:], uint32(len(payload)))
	binary.NativeEndian.PutUint32(k.rx.data[at+4:], 1)
	binary.NativeEndian.PutUint32(k.rx.data[at+8:], hash)
	copy(k.rx.data[at+32+headroom:], payload)
	k.rxProducer += need
	return true
}

// show publishes what was put and rings if the process sleeps.
func (k *fakeKernel) show() {
	old := k.rx.producer.Load()
	if old == k.rxProducer {
		return
	}
	k.rx.producer.Store(k.rxProducer)
	if fakePassed(k.rx.needWakeup.Load(), old, k.rxProducer) {
		k.rxBells.Add(1)
		k.rxBell.Signal()
	}
}

// send puts and shows frames, and waits for room as the module does. It reports
// false when the test is over.
func (k *fakeKernel) send(payloads ...[]byte) bool {
	for _, p := range payloads {
		for !k.put(p, 0) {
			k.show()
			k.rx.needSpace.Store(k.rxProducer - k.rx.size/2 - 64)
			if k.put(p, 0) {
				break
			}
			if !k.bell() {
				return false
			}
		}
	}
	k.show()
	return true
}

// take returns a copy of the next frame in the tx ring, or nil.
func (k *fakeKernel) take() []byte {
	if k.tx.producer.Load() == k.txConsumer {
		return nil
	}
	at := k.txConsumer % k.tx.size
	length := binary.NativeEndian.Uint32(k.tx.data[at:])
	if flags := binary.NativeEndian.Uint32(k.tx.data[at+4:]); length == 0 || length > testMaxFrame || flags > 1 {
		k.t.Errorf("tx frame at %d: length %d, flags %#x", k.txConsumer, length, flags)
		return nil
	}
	k.txHeader = append(k.txHeader[:0], k.tx.data[at:at+32]...)
	payload := append([]byte(nil), k.tx.data[at+32:at+32+length]...)
	k.txConsumer += (32 + length + 63) / 64 * 64
	return payload
}

// giveBack releases what was taken and signals if the process waits for room.
func (k *fakeKernel) giveBack() {
	old := k.tx.consumer.Load()
	k.tx.consumer.Store(k.txConsumer)
	if fakePassed(k.tx.needSpace.Load(), old, k.txConsumer) {
		k.spaceBells.Add(1)
		k.txSpace.Signal()
	}
}

// doze asks for a doorbell at the next tx frame; false if there is one already.
func (k *fakeKernel) doze() bool {
	k.tx.needWakeup.Store(k.txConsumer)
	return k.tx.producer.Load() == k.txConsumer
}

// receive waits for n frames in the tx ring and returns them.
func (k *fakeKernel) receive(n int) [][]byte {
	var got [][]byte
	for len(got) < n {
		p := k.take()
		if p != nil {
			got = append(got, p)
			continue
		}
		k.giveBack()
		if k.doze() && !k.bell() {
			break
		}
	}
	k.giveBack()
	return got
}

// fail sets a bit of the state word, as the module does.
func (k *fakeKernel) fail(bits uint32) {
	k.state.Store(k.state.Load() | bits)
	k.rxBell.Signal()
	k.txSpace.Signal()
}

// start runs q and returns a function that waits for the result.
func start(ctx context.Context, q interface {
	Run(context.Context, Handler) error
}, h Handler) (wait func() error) {
	result := make(chan error, 1)
	go func() { result <- q.Run(ctx, h) }()
	return func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(watchdog.Bound):
			return fmt.Errorf("Run did not end within %v", watchdog.Bound)
		}
	}
}

// within fails the test if f takes too long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(watchdog.Bound):
		t.Fatalf("%s did not end within %v", what, watchdog.Bound)
	}
}

// asleep waits until somebody waits at g.
func asleep(g *gate) {
	for len(g.turn) == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Millisecond)
}

// mappedRing is a ring in memory of its own, which disappears with free: a touch
// after that is a fault.
func mappedRing(t testing.TB, size uint32) (m ringMemory, free func()) {
	data := mapAnonymous(t, 2*int(size))
	words := mapAnonymous(t, unix.Getpagesize())
	m = ringMemory{
		data: data, size: size,
		producer: wordAt(words, 0), consumer: wordAt(words, 128),
		needWakeup: wordAt(words, 256), needSpace: wordAt(words, 384),
	}
	m.needWakeup.Store(1 << 31)
	m.needSpace.Store(1 << 31)
	return m, func() {
		unix.Munmap(data)
		unix.Munmap(words)
	}
}

func mapAnonymous(t testing.TB, length int) []byte {
	b, err := unix.Mmap(-1, 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
