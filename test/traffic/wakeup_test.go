// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// cycles is how often the wake-up tests put somebody to sleep: 100,000, or
// what MYTUN_CYCLES says. The kernel's side and the process's have half each.
func cycles(t *testing.T) int {
	// with idle processors left, the runtime does not hand on the one of a
	// goroutine that sleeps in a system call, which costs more than the sleep
	runtime.GOMAXPROCS(8)
	text := os.Getenv("MYTUN_CYCLES")
	if text == "" {
		return 100000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("MYTUN_CYCLES=%q is no number of cycles", text)
	}
	return n
}

// gap passes a random time, most often a very short one, up to 200 us: too
// short to sleep for, and as long as the ways to sleep and back.
func gap(random *rand.Rand) {
	limit := time.Duration(random.IntN(1 << random.IntN(19)))
	for start := time.Now(); time.Since(start) < min(limit, 200*time.Microsecond); {
	}
}

// becomes looks until a word has a value, and lets others have the CPU: the
// kernel's thread may be waiting for this one. False if it never does.
func becomes(word *uint32, value uint32) bool {
	for start, i := time.Now(), 0; atomic.LoadUint32(word) != value; i++ {
		if i%1024 == 1023 && time.Since(start) > device.Deadline {
			return false
		}
		unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	return true
}

// checkKernelWakeups sends frames one by one, each with a random gap after the
// kernel took the one before, and returns the statistics. A frame that is
// refused is the cheapest.
func checkKernelWakeups(t *testing.T, poll uint32, count int) device.Stats {
	t.Helper()
	device.Sandbox(t)
	q := device.NewLink(t, device.Config{}).Queue()
	q.SetPoll(t, poll)
	random := rand.New(rand.NewPCG(1, uint64(poll)))
	for i := range count {
		q.PutRaw(device.Header{Length: 20, Flags: 1 << 31}, nil, device.Footprint(20))
		q.Publish()
		if !becomes(q.Words.TxConsumer, q.TxProducer()) {
			t.Fatalf("cycle %d: a wake-up was lost: state %#x, stats %+v", i, q.State(), q.Stats(t))
		}
		gap(random)
	}
	s := q.Settled(t)
	t.Logf("%d cycles, %d sleeps, %d doorbells", count, s.KthreadSleeps, s.TxDoorbells)
	if s.TxRefusedFlags != uint64(count) {
		t.Errorf("%d frames were refused of %d: %+v", s.TxRefusedFlags, count, s)
	}
	return s
}

// TestNoWakeupOfTheTaskletIsLost: the kernel's thread sleeps and is left
// asleep. After each frame the tasklet asks for a doorbell, and the next frame
// meets it before, while or after it does.
func TestNoWakeupOfTheTaskletIsLost(t *testing.T) {
	count := max(cycles(t)/4, 1)
	s := checkKernelWakeups(t, 0, count)
	if s.TxDoorbells < uint64(count)/2 {
		t.Errorf("%d cycles needed few doorbells: %+v", count, s)
	}
}

// TestNoWakeupOfTheThreadIsLost: two doorbells within the window wake the
// kernel's thread, which looks on for that long and goes to sleep. The window
// is as long as the gaps, so a frame meets it at any point of its way there.
func TestNoWakeupOfTheThreadIsLost(t *testing.T) {
	count := max(cycles(t)/4, 1)
	s := checkKernelWakeups(t, 100, count)
	if s.KthreadSleeps < uint64(count)/100 || s.TxDoorbells < uint64(count)/100 {
		t.Errorf("%d cycles put nobody to sleep: %+v", count, s)
	}
}

// TestNoWakeupOfTheProcessIsLost: the process sleeps on an edge-triggered
// eventfd that is never read, and each frame meets it on its way there.
func TestNoWakeupOfTheProcessIsLost(t *testing.T) {
	s := checkProcessWakeups(t, 0)
	if s.RxDirect != s.RxFrames {
		t.Errorf("not all frames were put into the ring by their sender: %+v", s)
	}
}

// TestNoWakeupByTheThreadIsLost: the same where each frame has to wake the kernel's
// thread first, which wakes the process.
func TestNoWakeupByTheThreadIsLost(t *testing.T) {
	s := checkProcessWakeups(t, rxByThread)
	if s.RxDirect != 0 || s.KthreadSleeps < s.RxFrames/2 {
		t.Errorf("the thread did not sleep, or others did its work: %+v", s)
	}
}

// rxByThread is ethtool's private flag that leaves all frames to the kernel's thread.
const rxByThread = 1 << 0

// checkProcessWakeups sends frames one by one, each with a random gap after the process
// took the one before, and returns the statistics.
func checkProcessWakeups(t *testing.T, flags uint32) device.Stats {
	t.Helper()
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.SetPrivateFlags(t, l.Name, flags)
	q := l.Queue()
	q.SetPoll(t, 0)
	count := max(cycles(t)/4, 1)
	fd := rawDescriptor(t, l.ListenUDP(t, false, hostPort))
	to := &unix.SockaddrInet4{Port: peerPort, Addr: l.Peer4.As4()}
	sent := make(chan error, 1)
	go func() { sent <- sendSingly(q, fd, to, count) }()
	for i := range count {
		if !takeOne(q) {
			t.Fatalf("cycle %d: a wake-up was lost: state %#x, stats %+v", i, q.State(), q.Stats(t))
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s := q.Settled(t)
	t.Logf("%d cycles, %d doorbells, %d suppressed", count, s.RxDoorbells, s.RxDoorbellsSuppressed)
	if s.RxFrames != uint64(count) || s.RxDoorbells < uint64(count)/2 {
		t.Errorf("%d cycles put nobody to sleep: %+v", count, s)
	}
	return s
}

// sendSingly sends a datagram, waits until the process took it, and a little
// longer.
func sendSingly(q *device.Queue, fd int, to unix.Sockaddr, count int) error {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range count {
		_, err := device.Restart(func() (int, error) { return 0, unix.Sendto(fd, []byte("x"), 0, to) })
		if err != nil {
			return err
		}
		if !becomes(q.Words.RxConsumer, uint32(i+1)*device.FrameAlign) {
			return fmt.Errorf("frame %d was not taken", i)
		}
		gap(random)
	}
	return nil
}

// TestNoWakeupIsLostWithBothAsleep sends a frame to a reflector on the kernel's
// side and waits for the answer, so that both sleep and are woken in turns.
func TestNoWakeupIsLostWithBothAsleep(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	count := max(cycles(t)/20, 1)
	fd := rawDescriptor(t, l.ListenUDP(t, false, hostPort))
	to := &unix.SockaddrInet4{Port: peerPort, Addr: l.Peer4.As4()}
	reflected := make(chan error, 1)
	go func() { reflected <- reflectDatagrams(fd, to, count) }()
	random := rand.New(rand.NewPCG(5, 6))
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("x")})
	for i := range count {
		gap(random)
		q.Put(frame)
		q.Publish()
		if !takeOne(q) {
			t.Fatalf("cycle %d: a wake-up was lost: state %#x, stats %+v", i, q.State(), q.Stats(t))
		}
	}
	if err := <-reflected; err != nil {
		t.Error(err)
	}
	s := q.Settled(t)
	t.Logf("%d cycles, %d sleeps, doorbells %d in, %d out", count, s.KthreadSleeps, s.TxDoorbells, s.RxDoorbells)
	if s.TxDoorbells < uint64(count)/2 || s.RxDoorbells < uint64(count)/2 {
		t.Errorf("%d cycles put nobody to sleep: %+v", count, s)
	}
}

// takeOne sleeps for a frame and takes it.
func takeOne(q *device.Queue) bool {
	if !q.WaitFrames(time.Now().Add(device.Deadline)) {
		return false
	}
	h, _, ok := q.Peek()
	q.Next(h)
	q.Release()
	return ok
}

// rawDescriptor is a socket's descriptor in blocking mode, with a deadline.
func rawDescriptor(t *testing.T, conn interface{ File() (*os.File, error) }) int {
	t.Helper()
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	fd := int(file.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	limit := unix.Timeval{Sec: int64(device.Deadline.Seconds())}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	return fd
}

// receiveAwake looks for a datagram until there is one. It does not sleep, so that only
// the module has to wake anybody: a sleeping reader of a UDP socket stayed asleep beside
// a datagram that had been delivered, once in some 40,000 (6.12, emulated, two CPUs).
func receiveAwake(fd int, b []byte) (int, error) {
	for start, i := time.Now(), 0; ; i++ {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err != unix.EAGAIN && err != unix.EINTR || i%1024 == 1023 && time.Since(start) > device.Deadline {
			return n, err
		}
		unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// reflectDatagrams answers each datagram, with random gaps.
func reflectDatagrams(fd int, to unix.Sockaddr, count int) error {
	random := rand.New(rand.NewPCG(7, 8))
	b := make([]byte, 64)
	for range count {
		n, err := receiveAwake(fd, b)
		if err != nil {
			return err
		}
		gap(random)
		_, err = device.Restart(func() (int, error) { return n, unix.Sendto(fd, b[:n], 0, to) })
		if err != nil {
			return err
		}
	}
	return nil
}
