// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Words are the shared words of a queue. The kernel's can be read only.
type Words struct {
	RxProducer, RxNeedSpace, TxConsumer, TxNeedWakeup, State *uint32
	RxConsumer, RxNeedWakeup, TxProducer, TxNeedSpace        *uint32
}

// Queue is a file with its rings mapped: the process's side of both. One
// goroutine may receive while another sends.
type Queue struct {
	*File
	Name       string
	Geometry   Info
	Kernel     []byte // kernel page
	User       []byte // user page
	RxData     []byte // twice the area
	TxData     []byte
	Words      Words
	RxDoorbell int
	TxDoorbell int
	TxSpace    int

	// Complete makes Peek fill in checksums that the kernel left to the
	// process, so that a frame looks as it does without offloads. Frames that
	// are super-packets stay as they are.
	Complete bool

	// Ahead is how far past an empty rx ring the kernel may fill it before it
	// wakes WaitFrames.
	Ahead uint32

	rxConsumer, rxPosted uint32
	txProducer, txPosted uint32
	rxPoll, txPoll       int
}

// NewQueue opens, attaches, sets the rings up and maps them, with eventfds.
func NewQueue(t testing.TB, name string, flags uint16, rx, tx uint32) *Queue {
	t.Helper()
	return newQueue(t, name, flags, RingConfig{RxSize: rx, TxSize: tx, Flags: RingsHash})
}

func newQueue(t testing.TB, name string, flags uint16, rings RingConfig) *Queue {
	t.Helper()
	f := Open(t)
	name = f.Attach(t, name, flags)
	if err := f.TrySetRings(rings); err != nil {
		t.Fatalf("MYTUN_IOC_SET_RINGS %+v: %v", rings, err)
	}
	q := MapQueue(t, f)
	q.Name = name
	q.Complete = offloadsWanted()
	q.SetEventfds(t, Eventfd(t), Eventfd(t), Eventfd(t))
	return q
}

// MapQueue maps the rings of a file that has some, until the end of the test.
func MapQueue(t testing.TB, f *File) *Queue {
	t.Helper()
	q, err := TryMapQueue(f)
	if err != nil {
		t.Fatalf("map the rings: %v", err)
	}
	t.Cleanup(q.unmap)
	return q
}

// TryMapQueue is MapQueue for processes without a test: what it made stays.
func TryMapQueue(f *File) (*Queue, error) {
	g, err := f.TryInfo()
	if err != nil {
		return nil, err
	}
	q := &Queue{File: f, Geometry: g, RxDoorbell: -1, TxDoorbell: -1, TxSpace: -1}
	for _, m := range []struct {
		to     *[]byte
		offset uint64
		length uint64
		prot   int
	}{
		{&q.Kernel, g.KernelPageOffset, uint64(g.PageLength), unix.PROT_READ},
		{&q.User, g.UserPageOffset, uint64(g.PageLength), unix.PROT_READ | unix.PROT_WRITE},
		{&q.RxData, g.Rx.DataOffset, g.Rx.DataLength, unix.PROT_READ | unix.PROT_WRITE},
		{&q.TxData, g.Tx.DataOffset, g.Tx.DataLength, unix.PROT_READ | unix.PROT_WRITE},
	} {
		if m.length == 0 {
			continue // there is no ring in this direction
		}
		if *m.to, err = f.TryMap(m.offset, int(m.length), m.prot, unix.MAP_SHARED); err != nil {
			return nil, err
		}
	}
	for _, epoll := range []*int{&q.rxPoll, &q.txPoll} {
		if *epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return nil, err
		}
	}
	q.findWords()
	return q, nil
}

func (q *Queue) findWords() {
	g := &q.Geometry
	q.Words = Words{
		RxProducer:   word(q.Kernel, g.Rx.Producer),
		RxNeedSpace:  word(q.Kernel, g.Rx.NeedSpace),
		TxConsumer:   word(q.Kernel, g.Tx.Consumer),
		TxNeedWakeup: word(q.Kernel, g.Tx.NeedWakeup),
		State:        word(q.Kernel, g.State),
		RxConsumer:   word(q.User, g.Rx.Consumer),
		RxNeedWakeup: word(q.User, g.Rx.NeedWakeup),
		TxProducer:   word(q.User, g.Tx.Producer),
		TxNeedSpace:  word(q.User, g.Tx.NeedSpace),
	}
	q.rxConsumer = atomic.LoadUint32(q.Words.RxConsumer)
	q.txProducer = atomic.LoadUint32(q.Words.TxProducer)
	q.rxPosted, q.txPosted = q.rxConsumer, q.txProducer
}

func (q *Queue) unmap() {
	q.Unmap()
	unix.Close(q.rxPoll)
	unix.Close(q.txPoll)
}

// Unmap takes all mappings away; a second time it does nothing. The words are
// gone with them.
func (q *Queue) Unmap() {
	for _, b := range []*[]byte{&q.Kernel, &q.User, &q.RxData, &q.TxData} {
		unix.Munmap(*b)
		*b = nil
	}
}

// SetEventfds hands three eventfds in and waits on the kernel's from now on.
// They are edge-triggered and never read.
func (q *Queue) SetEventfds(t testing.TB, rxDoorbell, txDoorbell, txSpace int) {
	t.Helper()
	err := q.TrySetEventfds(Eventfds{
		RxDoorbell: int32(rxDoorbell), TxDoorbell: int32(txDoorbell), TxSpace: int32(txSpace),
	})
	if err != nil {
		t.Fatalf("MYTUN_IOC_SET_EVENTFDS: %v", err)
	}
	q.RxDoorbell, q.TxDoorbell, q.TxSpace = rxDoorbell, txDoorbell, txSpace
	q.Watch(t)
}

// Watch makes WaitFrames and WaitSpace wait on the queue's eventfds.
func (q *Queue) Watch(t testing.TB) {
	t.Helper()
	WatchEdges(t, q.rxPoll, q.RxDoorbell)
	WatchEdges(t, q.txPoll, q.TxSpace)
}

// NewEpoll is a new epoll descriptor, closed at the end of the test.
func NewEpoll(t testing.TB) int {
	t.Helper()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatalf("epoll_create1: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// WatchEdges adds a descriptor to an epoll descriptor, edge-triggered.
func WatchEdges(t testing.TB, epoll, fd int) {
	t.Helper()
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil && err != unix.EEXIST {
		t.Fatalf("epoll_ctl: %v", err)
	}
}

// epollWait waits for an event until the deadline. False if none came.
func epollWait(epoll int, deadline time.Time) bool {
	var events [4]unix.EpollEvent
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.EpollWait(epoll, events[:], int(left/time.Millisecond)+1)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0
	}
}

// State is the state word.
func (q *Queue) State() uint32 { return atomic.LoadUint32(q.Words.State) }

// Peek is the next frame in the rx ring, which stays the kernel's to reuse
// only after Next and Release. False if there is none.
func (q *Queue) Peek() (Header, []byte, bool) {
	if atomic.LoadUint32(q.Words.RxProducer) == q.rxConsumer {
		return Header{}, nil, false
	}
	at := q.rxConsumer & (q.Geometry.Rx.Size - 1)
	h := getHeader(q.RxData[at:])
	header := q.RxData[at:]
	at += FrameHeader + uint32(q.Geometry.Rx.Headroom)
	payload := q.RxData[at : at+h.Length]
	if q.Complete && h.Vnet.GSOType == GSONone && h.Vnet.Flags&VnetNeedsCsum != 0 {
		h.Vnet.FillChecksum(payload)
		h.Vnet = VnetHeader{}
		putHeader(header, &h)
	}
	return h, payload, true
}

// FillRoom writes to all of the room around the frame that Peek returned.
func (q *Queue) FillRoom(h Header, with byte) {
	rx := &q.Geometry.Rx
	front := q.RxData[q.rxConsumer&(rx.Size-1)+FrameHeader:][:uint32(rx.Headroom)+h.Length+uint32(rx.Tailroom)]
	for i := range rx.Headroom {
		front[i] = with
	}
	for i := range rx.Tailroom {
		front[len(front)-1-int(i)] = with
	}
}

// Next goes past the frame that Peek returned.
func (q *Queue) Next(h Header) {
	rx := &q.Geometry.Rx
	q.rxConsumer += Footprint(int(h.Length) + int(rx.Headroom) + int(rx.Tailroom))
}

// Release gives the room of all frames gone past back, and rings if asked to.
func (q *Queue) Release() {
	old := q.rxPosted
	if old == q.rxConsumer {
		return
	}
	q.rxPosted = q.rxConsumer
	atomic.StoreUint32(q.Words.RxConsumer, q.rxConsumer)
	if Passed(atomic.LoadUint32(q.Words.RxNeedSpace), q.rxConsumer, old) {
		Signal(q.TxDoorbell)
	}
}

// WaitFrames sleeps until there is a frame, or the state changed. False if
// neither happened before the deadline.
func (q *Queue) WaitFrames(deadline time.Time) bool {
	for {
		atomic.StoreUint32(q.Words.RxNeedWakeup, q.rxConsumer+q.Ahead)
		if atomic.LoadUint32(q.Words.RxProducer) != q.rxConsumer || q.State() != 0 {
			return true
		}
		if !epollWait(q.rxPoll, deadline) {
			return false
		}
	}
}

// Receive returns a copy of the next frame that match takes; the others go by.
func (q *Queue) Receive(t testing.TB, match func(Header, []byte) bool) (Header, []byte) {
	t.Helper()
	deadline := time.Now().Add(Deadline)
	for {
		if !q.WaitFrames(deadline) {
			t.Fatalf("no frame came: state %#x, stats %+v", q.State(), q.Stats(t))
		}
		h, payload, ok := q.Peek()
		if !ok {
			t.Fatalf("queue stopped in state %#x", q.State())
		}
		taken := match == nil || match(h, payload)
		if taken {
			payload = append([]byte(nil), payload...)
		}
		q.Next(h)
		q.Release()
		if taken {
			return h, payload
		}
	}
}

// Room is how many bytes of the tx ring are free.
func (q *Queue) Room() uint32 {
	return q.Geometry.Tx.Size - (q.txProducer - atomic.LoadUint32(q.Words.TxConsumer))
}

// PutRaw writes a header and bytes at the producer, whatever they are, and
// goes past footprint bytes. The kernel sees it after Publish.
func (q *Queue) PutRaw(h Header, payload []byte, footprint uint32) {
	at := q.txProducer & (q.Geometry.Tx.Size - 1)
	putHeader(q.TxData[at:], &h)
	copy(q.TxData[at+FrameHeader:], payload)
	q.txProducer += footprint
}

// Put writes a plain frame.
func (q *Queue) Put(payload []byte) {
	q.PutRaw(Header{Length: uint32(len(payload))}, payload, Footprint(len(payload)))
}

// TxProducer is the process's own producer index.
func (q *Queue) TxProducer() uint32 { return q.txProducer }

// RxConsumer is the process's own consumer index.
func (q *Queue) RxConsumer() uint32 { return q.rxConsumer }

// SetTxProducer makes the next Publish tell the kernel anything at all.
func (q *Queue) SetTxProducer(index uint32) { q.txProducer = index }

// Publish lets the kernel see all that was put, and rings if asked to.
func (q *Queue) Publish() {
	old := q.txPosted
	if old == q.txProducer {
		return
	}
	q.txPosted = q.txProducer
	atomic.StoreUint32(q.Words.TxProducer, q.txProducer)
	if Passed(atomic.LoadUint32(q.Words.TxNeedWakeup), q.txProducer, old) {
		Signal(q.TxDoorbell)
	}
}

// WaitSpace sleeps until there is room for a frame with length bytes, or the
// state changed. False if neither happened before the deadline.
func (q *Queue) WaitSpace(length int, deadline time.Time) bool {
	footprint := Footprint(length)
	for {
		atomic.StoreUint32(q.Words.TxNeedSpace, q.txProducer+footprint-q.Geometry.Tx.Size-FrameAlign)
		if q.Room() >= footprint || q.State() != 0 {
			return true
		}
		if !epollWait(q.txPoll, deadline) {
			return false
		}
	}
}

// waitRoom waits until there is room for a frame with length bytes.
func (q *Queue) waitRoom(t testing.TB, length int) {
	t.Helper()
	if q.Room() < Footprint(length) && !q.WaitSpace(length, time.Now().Add(Deadline)) {
		t.Fatalf("the tx ring stayed full: state %#x, stats %+v", q.State(), q.Stats(t))
	}
}

// Send puts and publishes a frame, when there is room for it.
func (q *Queue) Send(t testing.TB, payload []byte) {
	t.Helper()
	q.waitRoom(t, len(payload))
	q.Put(payload)
	q.Publish()
}

// WaitTaken waits until the kernel took all that was published.
func (q *Queue) WaitTaken(t testing.TB) {
	t.Helper()
	WaitFor(t, "the kernel to take all frames", func() bool {
		return atomic.LoadUint32(q.Words.TxConsumer) == q.txPosted || q.State() != 0
	})
}

// WatchMore makes WaitFrames and WaitSpace wait on other eventfds too.
func (q *Queue) WatchMore(t testing.TB, rxDoorbell, txSpace int) {
	t.Helper()
	WatchEdges(t, q.rxPoll, rxDoorbell)
	WatchEdges(t, q.txPoll, txSpace)
}

// WaitAsleep waits until the kernel looks at the tx ring no more: its thread sleeps, and has
// asked for the next doorbell.
func (q *Queue) WaitAsleep(t testing.TB) {
	t.Helper()
	WaitThreadsAsleep(t, q.Name)
	WaitFor(t, "the kernel's thread to sleep", func() bool {
		return atomic.LoadUint32(q.Words.TxNeedWakeup) == q.TxProducer() && q.Stats(t).KthreadSleeps > 0
	})
}

// Settled is the statistics once they stand still. The kernel counts some things
// after it did them, so whoever sees what it did may be faster: a run that goes on has
// ended before the last look, even if its processor stood still for all the time.
func (q *Queue) Settled(t testing.TB) Stats {
	t.Helper()
	last, since := q.Stats(t), time.Now()
	WaitFor(t, "the statistics to stand still", func() bool {
		waitForProcessors(t)
		if now := q.Stats(t); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	return last
}
