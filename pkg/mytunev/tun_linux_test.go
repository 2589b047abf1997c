// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"golang.org/x/sys/unix"
)

// A fakeTun is the other end of a queue of stock tun: a socket that keeps the bounds of
// frames, as tun does. Calls are counted, and may be made to fail.
type fakeTun struct {
	t             testing.TB
	fd            int // the other end
	reads, writes atomic.Int32
	fail          func(write bool, p []byte) error // before a call is made, if not nil
}

// newFakeTun returns a queue over one end of a pair of sockets, and the other end. header
// is that of tunQueue, size that of both rings.
func newFakeTun(t testing.TB, header uint32, size int) (*Queue, *fakeTun) {
	return newFakeTunOf(t, header, size, false)
}

// newFakeTunOf is newFakeTun for goroutines that keep their threads or not.
func newFakeTunOf(t testing.TB, header uint32, size int, locked bool) (*Queue, *fakeTun) {
	watchdog.Watch(t, watchdog.Bound)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	k := &fakeTun{t: t, fd: pair[1]}
	tq := &tunQueue{fd: pair[0], header: header, awaited: true, state: new(atomic.Uint32), readFD: k.read, writeFD: k.write}
	s := &setup{}
	file := &openFile{fd: pair[0]}
	s.add(file.close)
	if err := s.makeTunRings(tq, Config{RxRing: size, TxRing: size}); err != nil {
		t.Fatal(err)
	}
	p := tq.port(tunFile{file, tq})
	if err := s.makeTunSleepers(pair[0], locked, &p); err != nil {
		t.Fatal(err)
	}
	p.close = sync.OnceValue(s.close)
	d := newDevice("fake0", TUN, []port{p})
	t.Cleanup(func() {
		d.Close()
		unix.Close(k.fd)
	})
	return d.queues[0], k
}

func (k *fakeTun) read(fd int, p []byte) (int, error) {
	k.reads.Add(1)
	if k.fail != nil {
		if err := k.fail(false, p); err != nil {
			return -1, err
		}
	}
	return unix.Read(fd, p)
}

func (k *fakeTun) write(fd int, p []byte) (int, error) {
	k.writes.Add(1)
	if k.fail != nil {
		if err := k.fail(true, p); err != nil {
			return -1, err
		}
	}
	return unix.Write(fd, p)
}

// send has frames come, each as one that a kernel's read would return.
func (k *fakeTun) send(frames ...[]byte) {
	k.t.Helper()
	for _, f := range frames {
		if _, err := unix.Write(k.fd, f); err != nil {
			k.t.Fatal(err)
		}
	}
}

// take returns the next frame that was written, or nil.
func (k *fakeTun) take() []byte {
	p := make([]byte, 1<<17)
	n, err := unix.Read(k.fd, p)
	if err != nil {
		return nil
	}
	return p[:n]
}

// TestTunBurst: what came before a wake-up is drained with that one, a read for each
// frame and one that finds nothing; then the queue sleeps without another look.
func TestTunBurst(t *testing.T) {
	q, k := newFakeTun(t, 0, 1<<20)
	for _, burst := range []int{1, shortBurst, shortBurst + 1, 100} {
		before := q.counters.snapshot()
		k.reads.Store(0)
		asleepNow := make(chan struct{})
		got := 0
		wait := start(t.Context(), q, func(b *Batch) error {
			for range b.Frames() {
				got++
			}
			if got > burst {
				return errStop
			}
			close(asleepNow)
			return nil
		})
		asleep(&q.framesGate)
		first := k.reads.Load()
		takeTurn(t, &q.rxTurn) // the queue wakes up, and cannot look before all is there
		for range burst {
			k.send([]byte{0x45})
		}
		q.rxTurn.release()
		<-asleepNow
		until(t, "sleep", func() bool { return len(q.framesGate.turn) == 1 })
		asleep(&q.framesGate)
		s := q.counters.snapshot()
		reads, want := int(k.reads.Load()-first), burst+1
		if burst > shortBurst {
			want++
		}
		if s.Wakeups-before.Wakeups != 1 || s.Batches-before.Batches != 1 || reads != want {
			t.Errorf("%d frames: %d returns of epoll_wait, %d batches, %d reads; want 1, 1 and %d",
				burst, s.Wakeups-before.Wakeups, s.Batches-before.Batches, reads, want)
		}
		k.send([]byte{0x45})
		if err := wait(); err != errStop {
			t.Fatal(err)
		}
	}
}

// TestTunRead: frames of all lengths arrive as they were sent, around the ring's end and
// with their headers, and the room is given back.
func TestTunRead(t *testing.T) {
	for _, header := range []uint32{0, tunHeader} {
		q, k := newFakeTun(t, header, tunRingMin)
		want := VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv4, HdrLen: 40, GSOSize: 1000, CsumStart: 20, CsumOffset: 16,
			OuterTHOffset: 7, InnerNHOffset: 9}
		var encoded [vnetSize]byte
		encodeVNet(&encoded, want)
		front := toTunHeader(&encoded)
		lengths := []int{1, 31, 32, 33, 1500, 9000, 65535, tunFrameMax, 100}
		for round := range 20 {
			length := lengths[round%len(lengths)]
			payload := pattern(length, byte(round))
			k.send(append(slices.Clone(front[:header]), payload...))
			err := q.Run(t.Context(), func(b *Batch) error {
				f, ok := b.Next()
				if !ok || !bytes.Equal(f.Data, payload) || f.HashValid || header != 0 && f.VNet() != want ||
					header == 0 && f.VNet() != (VNetHeader{}) {
					t.Errorf("%d bytes: %v, %d bytes, %+v", length, ok, len(f.Data), f.VNet())
				}
				return errStop
			})
			if err != errStop {
				t.Fatal(err)
			}
		}
		if s, err := q.Stats(); err != nil || s.RxFrames != 20 || s.RxDropped != 0 || s.Malformed != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// TestTunReadOddFrames: one too long, one of nothing and half a header are dropped, and
// the frame behind them arrives.
func TestTunReadOddFrames(t *testing.T) {
	q, k := newFakeTun(t, tunHeader, tunRingMin)
	k.send(make([]byte, tunHeader+tunFrameMax+1), make([]byte, tunHeader), make([]byte, 5), make([]byte, tunHeader+3))
	if n, err := q.Read(make([]byte, 100)); n != 3 || err != nil {
		t.Errorf("%d, %v, want the frame of 3 bytes", n, err)
	}
	if s, _ := q.Stats(); s.RxDropped != 3 || s.RxFrames != 1 || s.RxBytes != 3 {
		t.Errorf("%+v", s)
	}
}

// TestTunReadErrors: a signal is nothing, a device that is gone ends the queue, and an
// error that nobody knows is told.
func TestTunReadErrors(t *testing.T) {
	for _, c := range []struct{ errno, want error }{
		{unix.EINTR, nil}, {unix.EBADFD, ErrDetached}, {unix.EFAULT, unix.EFAULT},
	} {
		q, k := newFakeTun(t, 0, tunRingMin)
		failed := false
		k.fail = func(write bool, p []byte) error {
			if failed && c.errno == unix.EINTR {
				return nil
			}
			failed = true
			return c.errno
		}
		k.send([]byte{0x45, 1})
		if n, err := q.Read(make([]byte, 10)); !errors.Is(err, c.want) || err == nil && n != 2 {
			t.Errorf("%v: %d, %v, want %v", c.errno, n, err, c.want)
		}
	}
}

// TestTunErrorAfterFrames: what was read before an error is handed out first.
func TestTunErrorAfterFrames(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	k.send([]byte{0x45, 1}, []byte{0x45, 2})
	k.fail = func(bool, []byte) error {
		if k.reads.Load() > 2 {
			return unix.EFAULT
		}
		return nil
	}
	for range 2 {
		if n, err := q.Read(make([]byte, 10)); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if _, err := q.Read(nil); !errors.Is(err, unix.EFAULT) {
		t.Errorf("%v, want EFAULT", err)
	}
}

// TestTunWrite: frames leave as they were sent, with their headers, from Send, a batch
// and a ring that gets full again and again, and nobody ever waits for room.
func TestTunWrite(t *testing.T) {
	for _, header := range []uint32{0, tunHeader} {
		q, k := newFakeTun(t, header, tunRingMin)
		v := VNetHeader{}
		if header != 0 {
			v = VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv6, HdrLen: 60, GSOSize: 1, CsumStart: 40, CsumOffset: 16,
				OuterTHOffset: 3, InnerNHOffset: 5}
		}
		var encoded [vnetSize]byte
		encodeVNet(&encoded, v)
		front := toTunHeader(&encoded)
		expect := func(payload []byte) {
			t.Helper()
			if got := k.take(); !bytes.Equal(got, append(slices.Clone(front[:header]), payload...)) {
				t.Fatalf("%d bytes, want %d and a header of %d, %x", len(got), len(payload), header, got[:min(len(got), 40)])
			}
		}
		for i, length := range []int{1, 32, 1500, 65535, tunFrameMax} {
			payload := pattern(length, byte(i))
			if err := q.SendVNet(payload, v); err != nil {
				t.Fatal(err)
			}
			expect(payload)
		}
		next := 0
		expectAll := func() {
			for got := k.take(); got != nil; got = k.take() {
				if !bytes.Equal(got[header:], pattern(30000, byte(next))) {
					t.Errorf("frame %d is another", next)
				}
				next++
			}
		}
		err := q.SendBatch(func(tx *Tx) error {
			for i := range 50 {
				payload := pattern(30000, byte(i))
				slot, err := tx.Reserve(len(payload)) // never ErrFull
				if err != nil {
					return err
				}
				if err := tx.CommitVNet(copy(slot, payload), v); err != nil {
					return err
				}
				expectAll()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		expectAll()
		if next != 50 {
			t.Errorf("%d frames of 50", next)
		}
		s, err := q.Stats()
		if err != nil || s.TxFrames != 55 || s.SpaceWaits != 0 || s.Doorbells != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// TestTunWriteErrors: a frame that the kernel does not take is counted by what it is,
// and does not end the batch.
func TestTunWriteErrors(t *testing.T) {
	type counter func(s *Stats) *uint64
	for name, c := range map[string]struct {
		errno   error
		tap     bool
		payload []byte
		counter counter
	}{
		"down":     {unix.EIO, false, []byte{0x45}, func(s *Stats) *uint64 { return &s.TxDroppedDown }},
		"vnet":     {unix.EINVAL, false, []byte{0x45}, func(s *Stats) *uint64 { return &s.TxRefusedVNet }},
		"IPv6":     {unix.EINVAL, false, []byte{0x60}, func(s *Stats) *uint64 { return &s.TxRefusedVNet }},
		"protocol": {unix.EINVAL, false, []byte{0x15}, func(s *Stats) *uint64 { return &s.TxRefusedProtocol }},
		"TAP":      {unix.EINVAL, true, make([]byte, 14), func(s *Stats) *uint64 { return &s.TxRefusedVNet }},
		"short":    {unix.EINVAL, true, make([]byte, 13), func(s *Stats) *uint64 { return &s.TxRefusedLength }},
		"long":     {unix.EMSGSIZE, false, []byte{0x45}, func(s *Stats) *uint64 { return &s.TxRefusedLength }},
		"memory":   {unix.ENOMEM, false, []byte{0x45}, func(s *Stats) *uint64 { return &s.TxDroppedMemory }},
		"buffer":   {unix.EAGAIN, false, []byte{0x45}, func(s *Stats) *uint64 { return &s.TxDroppedMemory }},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFakeTun(t, 0, tunRingMin)
			q.port.file.(tunFile).q.tap = c.tap
			k.fail = func(write bool, p []byte) error {
				if bytes.Equal(p, c.payload) {
					return c.errno
				}
				return nil
			}
			if err := q.SendBatch(func(tx *Tx) error {
				return errors.Join(tx.Send([]byte{0x45, 1}), tx.Send(c.payload), tx.Send([]byte{0x45, 2}))
			}); err != nil {
				t.Error(err)
			}
			for i := range byte(2) {
				if got := k.take(); !bytes.Equal(got, []byte{0x45, i + 1}) {
					t.Errorf("%v, want the frame number %d", got, i+1)
				}
			}
			s, err := q.Stats()
			if err != nil || s.TxFrames != 2 || s.TxBytes != 4 || *c.counter(&s) != 1 {
				t.Errorf("%+v, %v", s.KernelStats, err)
			}
		})
	}
}

func TestTunWriteInterrupted(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	k.fail = func(bool, []byte) error {
		if k.writes.Load() == 1 {
			return unix.EINTR
		}
		return nil
	}
	if err := q.Send([]byte{7}); err != nil || !bytes.Equal(k.take(), []byte{7}) {
		t.Errorf("%v, want the frame", err)
	}
}

// TestTunWriteDetached: the first who finds the device gone is told, and so are others.
func TestTunWriteDetached(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	k.fail = func(write bool, _ []byte) error {
		if write {
			return unix.EBADFD
		}
		return nil
	}
	wait := start(t.Context(), q, takeAll)
	asleep(&q.framesGate)
	for range 2 {
		if err := q.SendBatch(func(tx *Tx) error {
			if err := tx.Send([]byte{1}); err != nil {
				return err
			}
			return tx.Send([]byte{2})
		}); err != ErrDetached {
			t.Errorf("%v, want ErrDetached", err)
		}
	}
	if n := k.writes.Load(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
	q.kick()
	if err := wait(); err != ErrDetached {
		t.Errorf("Run: %v, want ErrDetached", err)
	}
}

// TestTunWriteBroken: a length that a stray slice has changed ends the queue, not the
// program.
func TestTunWriteBroken(t *testing.T) {
	q, _ := newFakeTun(t, 0, tunRingMin)
	if err := q.SendBatch(func(tx *Tx) error {
		if err := tx.Send([]byte{1}); err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(q.port.tx.data, 1<<20)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := q.Send([]byte{1}); err != ErrRingBroken {
		t.Errorf("%v, want ErrRingBroken", err)
	}
}

// TestTunHangUp: a hang-up is the end of the device, and closes nobody out.
func TestTunHangUp(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	wait := start(t.Context(), q, takeAll)
	asleep(&q.framesGate)
	unix.Shutdown(k.fd, unix.SHUT_RDWR)
	if err := wait(); err != ErrDetached {
		t.Errorf("%v, want ErrDetached", err)
	}
	if err := q.Send([]byte{1}); err != ErrDetached {
		t.Errorf("Send: %v, want ErrDetached", err)
	}
}

func TestTunEnds(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	q.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := q.Read(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	q.SetReadDeadline(time.Time{})
	k.send([]byte{1, 2, 3})
	if n, err := q.Read(make([]byte, 2)); n != 2 || err != io.ErrShortBuffer {
		t.Errorf("%d, %v, want what fits", n, err)
	}
	wait := start(t.Context(), q, takeAll)
	asleep(&q.framesGate)
	within(t, "Close", func() { q.Close() })
	if err := wait(); err != ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, err := q.Stats(); err != ErrClosed {
		t.Errorf("Stats: %v, want ErrClosed", err)
	}
}

func TestIdleSleeper(t *testing.T) {
	s := newIdleSleeper()
	s.kick()
	s.kick()
	if err := errors.Join(s.wait(never), s.close()); err != nil {
		t.Error(err)
	}
}

// TestTunAllocates: moving frames allocates nothing.
func TestTunAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q, k := newFakeTun(t, tunHeader, tunRingMin)
	frame, buffer := make([]byte, tunHeader+100), make([]byte, 200)
	if n := testing.AllocsPerRun(100, func() {
		unix.Write(k.fd, frame)
		if _, err := q.Read(buffer); err != nil {
			t.Fatal(err)
		}
		if err := q.Send(buffer[:100]); err != nil {
			t.Fatal(err)
		}
		unix.Read(k.fd, buffer)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestMapTwice(t *testing.T) {
	const size = tunRingMin
	area, unmap, err := mapTwice(size)
	if err != nil {
		t.Fatal(err)
	}
	area[5], area[2*size-1] = 7, 9
	if len(area) != 2*size || area[size+5] != 7 || area[size-1] != 9 {
		t.Error("the second half is not the first")
	}
	if err := unmap(); err != nil {
		t.Error(err)
	}
	if _, _, err := mapTwice(-1); err == nil {
		t.Error("mapped an area of -1 bytes")
	}
}

// TestTunReadersWakeEachOther: what one reader has put into the ring beside its own frame
// is for another that sleeps, whom the kernel has no more reason to wake.
func TestTunReadersWakeEachOther(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	q.framesGate.sleeper = newIdleSleeper() // the kernel wakes nobody
	q.port.frames = q.framesGate.sleeper
	result := make(chan error, 1)
	p := make([]byte, 10)
	go func() {
		_, err := q.Read(p)
		result <- err
	}()
	asleep(&q.framesGate)
	takeTurn(t, &q.rxTurn)
	for i := range byte(5) {
		k.send([]byte{i})
	}
	var f Frame
	if ready, err := q.rx.poll(); !ready || err != nil {
		t.Fatal(ready, err)
	}
	if ok, err := q.rx.peek(&f); !ok || err != nil || f.Data[0] != 0 {
		t.Fatal(ok, err)
	}
	err := q.giveBack(false, nil)
	q.rxTurn.release()
	if e := <-result; err != nil || e != nil || p[0] != 1 {
		t.Errorf("%v, %v, frame %d, want frame 1", err, e, p[0])
	}
}

// TestTunHeaderThatIsNotFilled: an old kernel writes the first ten bytes alone.
func TestTunHeaderThatIsNotFilled(t *testing.T) {
	q, _ := newFakeTun(t, tunHeader, tunRingMin)
	for i := range q.port.rx.data {
		q.port.rx.data[i] = 0xff
	}
	frames := 0
	q.port.file.(tunFile).q.readFD = func(_ int, p []byte) (int, error) {
		if frames++; frames > 3 {
			return -1, unix.EAGAIN
		}
		clear(p[:10])
		return tunHeader + copy(p[tunHeader:], "packet"), nil
	}
	if err := q.ReadBatch(func(b *Batch) error {
		for f := range b.Frames() {
			if v := f.VNet(); v != (VNetHeader{}) || string(f.Data) != "packet" {
				t.Errorf("%+v, %q", v, f.Data)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestTunReadOfWhatCannotBeDescribed: the kernel has dropped that frame, and has others.
func TestTunReadOfWhatCannotBeDescribed(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	k.fail = func(bool, []byte) error {
		if k.reads.Load() == 1 {
			return unix.EINVAL
		}
		return nil
	}
	k.send([]byte("next"))
	p := make([]byte, 10)
	if n, err := q.Read(p); err != nil || string(p[:n]) != "next" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if s, err := q.Stats(); err != nil || s.RxDropped != 1 {
		t.Errorf("%d dropped, %v, want 1", s.RxDropped, err)
	}
}

// TestTunDeadlineThatIsOver: with a frame there it does not matter, whatever came before.
func TestTunDeadlineThatIsOver(t *testing.T) {
	q, k := newFakeTun(t, 0, tunRingMin)
	q.SetReadDeadline(time.Unix(1, 0))
	p := make([]byte, 10)
	for i := range byte(5) {
		k.send([]byte{i})
		if n, err := q.Read(p); err != nil || n != 1 || p[0] != i {
			t.Errorf("frame %d: %d bytes, %v, frame %d", i, n, err, p[0])
		}
	}
	if _, err := q.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
}

// TestTunRoom: what is written around a frame hits no other, and no other's header, at the
// largest frames and where the ring wraps.
func TestTunRoom(t *testing.T) {
	for _, header := range []uint32{0, tunHeader} {
		for _, room := range [][2]int{{0, 0}, {1, 255}, {10, 0}, {24, 24}, {256, 256}} {
			q, k := newFakeTun(t, header, tunRingMin)
			k.room(q, room[0], room[1])
			for i := range 50 {
				var sent [][]byte
				for j, size := range []int{1, 60, tunFrameMax - i} {
					frame := pattern(size, byte(i+j))
					sent = append(sent, frame)
					k.send(append(make([]byte, header), frame...))
				}
				var got [][]byte
				for len(got) < len(sent) {
					if err := q.ReadBatch(func(b *Batch) error {
						for f := range b.Frames() {
							all := f.Extend(room[0], room[1])
							for n := range room[0] {
								all[n] = 0xff
							}
							for n := range room[1] {
								all[len(all)-1-n] = 0xff
							}
							got = append(got, bytes.Clone(f.Data))
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
				}
				for n := range sent {
					if !bytes.Equal(got[n], sent[n]) {
						t.Fatalf("header %d, room %v, round %d: frame %d is another", header, room, i, n)
					}
				}
			}
		}
	}
}

// room gives the rx ring of a queue that nobody uses yet room around its frames.
func (k *fakeTun) room(q *Queue, headroom, tailroom int) {
	tq := q.port.file.(tunFile).q
	tq.rx.headroom, tq.rx.tailroom = uint32(headroom), uint32(tailroom)
	q.rx = newConsumer(tq.rx, tunFrameMax)
	q.rx.fill = tq.fill
}
