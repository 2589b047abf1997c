// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// newQuiet makes a device with rings whose process owns no eventfd, and whose
// kernel's thread sleeps when there is nothing to do.
func newQuiet(t *testing.T, c device.Config) *device.Link {
	t.Helper()
	l := device.NewLink(t, c)
	if err := l.Queue().TrySetEventfds(device.NoEventfds); err != nil {
		t.Fatal(err)
	}
	l.Queue().SetPoll(t, 0)
	return l
}

// drain takes all frames out of the rx ring and checks them.
func drain(t *testing.T, l *device.Link, want []byte) (frames int) {
	t.Helper()
	q := l.Queue()
	for h, frame, ok := q.Peek(); ok; h, frame, ok = q.Peek() {
		checkDown(t, l, frame, want)
		q.Next(h)
		frames++
	}
	q.Release()
	return frames
}

// readRing is a read of a queue with an rx ring.
func readRing(f *device.File) (waiting uint64, err error) {
	b := make([]byte, 8)
	n, err := device.Restart(func() (int, error) { return unix.Read(f.FD, b) })
	if err == nil && n != 8 {
		err = unix.EBADMSG
	}
	return binary.NativeEndian.Uint64(b), err
}

// TestWaitsWithoutEventfds: each way to wait ends with a frame, and between two
// the process takes as many as there are.
func TestWaitsWithoutEventfds(t *testing.T) {
	device.Sandbox(t)
	l := newQuiet(t, device.Config{})
	q := l.Queue()
	for what, wait := range map[string]func() (int, error){
		"read":  func() (int, error) { _, err := readRing(q.File); return 0, err },
		"ioctl": func() (int, error) { return 0, q.TryWait() },
		"poll": func() (int, error) {
			return unix.Poll([]unix.PollFd{{Fd: int32(q.FD), Events: unix.POLLIN}}, int(device.Deadline/time.Millisecond))
		},
	} {
		const frames = 64
		for came := 0; came < frames; {
			done := background(t, wait)
			if came == 0 {
				for range frames {
					down(t, l, []byte("many"))
				}
			}
			if r := finish(t, done); r.err != nil {
				t.Fatalf("%s: %v", what, r.err)
			}
			came += drain(t, l, []byte("many"))
		}
	}
}

func TestReadTellsHowMuchIsInTheRing(t *testing.T) {
	device.Sandbox(t)
	l := newQuiet(t, device.Config{})
	q := l.Queue()
	q.SetBlocking(t, false)
	if _, err := readRing(q.File); err != unix.EAGAIN {
		t.Errorf("read beside an empty ring: %v", err)
	}
	expect(t, "wait beside an empty ring", q.TryWait(), unix.EAGAIN)
	down(t, l, []byte("one"))
	device.WaitFor(t, "the frame", func() bool { _, _, ok := q.Peek(); return ok })
	want := uint64(device.Footprint(len(up(l, []byte("one")))))
	if got, err := readRing(q.File); got != want || err != nil {
		t.Errorf("read: %d, %v, want %d", got, err, want)
	}
	expect(t, "wait beside a frame", q.TryWait(), nil)
	_, err := unix.Read(q.FD, make([]byte, 7))
	expect(t, "read of less than 8 bytes", err, unix.EINVAL)
	_, err = unix.Read(q.FD, device.Hole(t))
	expect(t, "read into a hole", err, unix.EFAULT)
	if n, err := unix.Read(q.FD, nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
	if drain(t, l, []byte("one")) != 1 {
		t.Error("read took the frame out of the ring")
	}
}

func TestDeviceEndWakesWhoWaitsForTheRing(t *testing.T) {
	device.Sandbox(t)
	for what, wait := range map[string]func(q *device.Queue) error{
		"read": func(q *device.Queue) error { _, err := readRing(q.File); return err },
		"wait": func(q *device.Queue) error { return q.TryWait() },
	} {
		l := newQuiet(t, device.Config{})
		done := background(t, func() (int, error) { return 0, wait(l.Queue()) })
		device.Delete(t, l.Name)
		expect(t, what, finish(t, done).err, unix.EBADFD)
		expect(t, what, wait(l.Queue()), unix.EBADFD)
		_, err := unix.Write(l.Queue().FD, nil)
		expect(t, "write of nothing", err, unix.EBADFD)
		l.Queue().Close()
	}
}

// TestBrokenRingEndsAWait: the process that broke it sleeps in another thread.
func TestBrokenRingEndsAWait(t *testing.T) {
	device.Sandbox(t)
	l := newQuiet(t, device.Config{})
	q := l.Queue()
	done := background(t, func() (int, error) { return 0, q.TryWait() })
	atomic.StoreUint32(q.Words.TxProducer, 1)
	unix.Write(q.FD, nil)
	expect(t, "wait", finish(t, done).err, unix.EIO)
	_, err := unix.Write(q.FD, nil)
	expect(t, "write of nothing", err, unix.EIO)
}

// TestWriteOfNothingFlushesTheRing: all frames with one call, and none before.
func TestWriteOfNothingFlushesTheRing(t *testing.T) {
	device.Sandbox(t)
	for what, flush := range map[string]func(f *device.File) error{
		"write": func(f *device.File) error { _, err := unix.Write(f.FD, nil); return err },
		"wait": func(f *device.File) error {
			if err := f.TryWait(); err != unix.EAGAIN {
				return err
			}
			return nil
		},
	} {
		l := newQuiet(t, device.Config{})
		q := l.Queue()
		q.SetBlocking(t, false)
		received := receive(t, l)
		for range 3 {
			q.WaitAsleep(t)
			before := atomic.LoadUint32(q.Words.TxConsumer)
			for i := range 100 {
				q.Put(up(l, device.Pattern(uint64(i), i)))
			}
			q.Publish()
			if got := atomic.LoadUint32(q.Words.TxConsumer); got != before {
				t.Errorf("%s: the kernel took frames that it was not told of", what)
			}
			expect(t, what, flush(q.File), nil)
			for i := range 100 {
				received.expect(t, device.Pattern(uint64(i), i))
			}
			q.WaitTaken(t)
		}
		_, err := unix.Write(q.FD, up(l, []byte("frame")))
		expect(t, "write of a frame beside a tx ring", err, unix.EBUSY)
		received.Close()
		q.Unmap()
		q.Close()
		device.WaitGone(t, l.Name)
	}
}

// oneWay makes a device with a ring in one direction only, and without eventfds.
func oneWay(t *testing.T, c device.Config, rx, tx uint32) (*device.Port, *device.Queue) {
	t.Helper()
	p := device.NewPort(t, device.Node, c)
	p.SetRings(t, rx, tx)
	q := device.MapQueue(t, p.File)
	q.Name = p.Name
	p.Queues = []*device.Queue{q}
	return p, q
}

func TestRingForRxAlone(t *testing.T) {
	device.Sandbox(t)
	for _, f := range formats {
		c := device.Config{TAP: f.tap, PI: f.pi}
		if f.vnet != 0 {
			c.Flags, f.vnet = device.Vnet, 10
		}
		p, _ := oneWay(t, c, minRing, 0)
		received := receive(t, p.Link)
		for range 10 {
			down(t, p.Link, []byte("down"))
			write(t, p.File, f.wrap(up(p.Link, []byte("up"))))
			received.expect(t, []byte("up"))
		}
		device.WaitFor(t, "frames", func() bool { return p.Stats(t).RxFrames == 10 })
		if n := drain(t, p.Link, []byte("down")); n != 10 {
			t.Errorf("%v: %d frames in the ring", f, n)
		}
		info := p.Info(t)
		if info.Tx.Size != 0 || info.Tx.DataLength != 0 || info.Rx.Size != minRing {
			t.Errorf("info %+v", info)
		}
		_, err := p.TryMap(info.Tx.DataOffset, device.PageSize, unix.PROT_READ, unix.MAP_SHARED)
		expect(t, "map what is not there", err, unix.EINVAL)
		received.end(t, p)
	}
}

func TestRingForTxAlone(t *testing.T) {
	device.Sandbox(t)
	for _, f := range formats {
		c := device.Config{TAP: f.tap, PI: f.pi}
		if f.vnet != 0 {
			c.Flags, f.vnet = device.Vnet, 10
		}
		p, q := oneWay(t, c, 0, minRing)
		received := receive(t, p.Link)
		for range 10 {
			down(t, p.Link, []byte("down"))
			checkDown(t, p.Link, f.unwrap(t, read(t, p.File, 2000)), []byte("down"))
			q.Put(up(p.Link, []byte("up")))
			q.Publish()
			write(t, p.File, nil)
			received.expect(t, []byte("up"))
		}
		expect(t, "wait without an rx ring", p.TryWait(), unix.EINVAL)
		p.SetBlocking(t, true)
		b := make([]byte, 2000)
		done := background(t, func() (int, error) { return unix.Read(p.FD, b) })
		down(t, p.Link, []byte("wake"))
		r := finish(t, done)
		checkDown(t, p.Link, f.unwrap(t, b[:max(r.n, 0)]), []byte("wake"))
		received.end(t, p)
	}
}

// TestThreadSleepsBesideFramesForRead: they are none of its business.
func TestThreadSleepsBesideFramesForRead(t *testing.T) {
	device.Sandbox(t)
	p, q := oneWay(t, device.Config{}, 0, minRing)
	p.SetPoll(t, 0)
	down(t, p.Link, []byte("waits"))
	q.WaitAsleep(t)
	sleeps := q.Settled(t).KthreadSleeps
	down(t, p.Link, []byte("waits too"))
	if got := q.Settled(t).KthreadSleeps; got != sleeps {
		t.Errorf("the thread slept %d times more for a frame that is not its own", got-sleeps)
	}
}

// TestPollOfEachDirection: one is the ring's, the other the file's.
func TestPollOfEachDirection(t *testing.T) {
	device.Sandbox(t)
	p, _ := oneWay(t, device.Config{}, minRing, 0)
	checkEvents(t, p.File, "rx ring, idle", unix.POLLOUT)
	down(t, p.Link, []byte("frame"))
	device.WaitFor(t, "POLLIN", func() bool { return p.Events(t) == unix.POLLIN|unix.POLLOUT })
	device.Down(t, p.Name)
	checkEvents(t, p.File, "rx ring, down", unix.POLLIN)
	p.Queue().Unmap()
	p.Close()
	device.WaitGone(t, p.Name)

	p, q := oneWay(t, device.Config{}, 0, minRing)
	device.Down(t, p.Name)
	checkEvents(t, p.File, "tx ring, down", unix.POLLOUT)
	q.WaitAsleep(t) // or the thread, which has just been made, would find the frames
	for q.Room() >= device.Footprint(1000) {
		q.Put(make([]byte, 1000))
	}
	atomic.StoreUint32(q.Words.TxProducer, q.TxProducer())
	checkEvents(t, p.File, "tx ring, full", 0)
	device.Up(t, p.Name)
	down(t, p.Link, []byte("frame"))
	checkEvents(t, p.File, "tx ring, full, beside a frame", unix.POLLIN)
}

func checkEvents(t *testing.T, f *device.File, when string, want int16) {
	t.Helper()
	if got := f.Events(t); got != want {
		t.Errorf("%s: poll says %#x, want %#x", when, got, want)
	}
}

// TestRingsComeToAReader: who sleeps in read learns that the ring has its frames
// from now on, and what waited for read is in it.
func TestRingsComeToAReader(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{})
	p.SetBlocking(t, true)
	done := background(t, func() (int, error) { return unix.Read(p.FD, make([]byte, 2000)) })
	p.SetRings(t, minRing, minRing)
	expect(t, "read", finish(t, done).err, unix.EBUSY)
	p.Close()
	device.WaitGone(t, p.Name)

	p = device.NewPort(t, device.Node, device.Config{})
	down(t, p.Link, []byte("waited"))
	p.SetRings(t, minRing, minRing)
	q := device.MapQueue(t, p.File)
	device.WaitFor(t, "the frame", func() bool { _, _, ok := q.Peek(); return ok })
	_, frame, _ := q.Peek()
	checkDown(t, p.Link, frame, []byte("waited"))
}

// TestQueuesOfEachKind: of one device, a queue has rings and another is read and
// written; what comes to each is whole.
func TestQueuesOfEachKind(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Flags: device.Multi})
	q := l.Queue()
	plain := device.OpenNode(t, device.Node, unix.O_NONBLOCK)
	plain.Attach(t, l.Name, l.Flags)
	received := receive(t, l)
	write(t, plain, up(l, []byte("plain")))
	received.expect(t, []byte("plain"))
	q.Send(t, up(l, []byte("ring")))
	received.expect(t, []byte("ring"))

	const flows = 64
	for range flows {
		down(t, l, []byte("flow")) // each from a port of its own
	}
	ring, file := 0, 0
	device.WaitFor(t, "all frames", func() bool {
		ring += drain(t, l, []byte("flow"))
		b := make([]byte, 2000)
		for n, err := unix.Read(plain.FD, b); err == nil; n, err = unix.Read(plain.FD, b) {
			checkDown(t, l, b[:n], []byte("flow"))
			file++
		}
		return ring+file == flows
	})
	if ring == 0 || file == 0 {
		t.Errorf("%d frames in the ring, %d read", ring, file)
	}
}
