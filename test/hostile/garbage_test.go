// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// background runs functions again and again until the end of the test, or
// until stop is called; stop waits for them.
func background(t *testing.T, functions ...func()) (stop func()) {
	var done atomic.Bool
	var running sync.WaitGroup
	for _, f := range functions {
		running.Go(func() {
			for !done.Load() {
				f()
			}
		})
	}
	stop = sync.OnceFunc(func() {
		done.Store(true)
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// floodPort is where flood sends, so that the flood is told from other frames.
const floodPort = 5555

// flood sends datagrams to the process's side as fast as the kernel takes them.
func flood(conn *net.UDPConn, l *device.Link) func() {
	payload := device.Pattern(1, 600)
	return func() { conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, floodPort)) }
}

// scribble fills memory with random bytes, through words so that the race is
// between the process and the kernel alone.
func scribble(random *rand.Rand, b []byte) {
	for at := 0; at+8 <= len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], random.Uint64())
	}
}

func TestGarbageEverywhereHarmsNobody(t *testing.T) {
	device.Sandbox(t)
	for seed := range uint64(6) {
		l := device.NewLink(t, device.Config{TAP: seed%2 == 1, Flags: vnetOf(seed)})
		q := l.Queue()
		conn := l.ListenUDP(t, false, 0)
		random := rand.New(rand.NewPCG(seed, 1))
		stop := background(t, flood(conn, l))
		for range 3 {
			scribble(random, q.TxData[:minRing])
			scribble(random, q.RxData[:minRing])
			scribble(random, q.User)
			device.Signal(q.TxDoorbell)
		}
		device.WaitFor(t, "the queue to stop", func() bool {
			device.Signal(q.TxDoorbell)
			return q.State() != 0
		})
		stop()
		device.Delete(t, l.Name)
		q.Close()
	}
	device.CheckWorks(t)
}

func vnetOf(seed uint64) uint16 {
	if seed%4 >= 2 {
		return device.Vnet
	}
	return 0
}

// plausible fills the tx ring with headers that are right wherever a walk
// lands, and lets a few be wrong, so that the kernel gets far into the ring.
func plausible(random *rand.Rand, data []byte) {
	for at := 0; at < len(data)/2; at += device.FrameAlign {
		block := data[at : at+device.FrameAlign]
		clear(block)
		binary.LittleEndian.PutUint32(block, []uint32{32, 32, 32, 96, 0, 13, 20, 1000}[random.IntN(8)])
		if random.IntN(16) == 0 {
			binary.LittleEndian.PutUint64(block[8*random.IntN(4):], random.Uint64()&0xffff)
		}
		scribble(random, block[device.FrameHeader:])
		block[device.FrameHeader] = []byte{0x45, 0x60, 0x46, 0x00}[random.IntN(4)]
	}
}

// TestPlausibleGarbageIsCountedFrameByFrame: random frames in an order that
// holds, so that all of them are looked at. Nothing is lost count of.
func TestPlausibleGarbageIsCountedFrameByFrame(t *testing.T) {
	device.Sandbox(t)
	var carried, refused uint64
	for seed := range uint64(8) {
		l := device.NewLink(t, device.Config{TAP: seed%2 == 1, Flags: vnetOf(seed)})
		q := l.Queue()
		random := rand.New(rand.NewPCG(seed, 2))
		plausible(random, q.TxData)
		q.SetTxProducer(minRing / 2)
		q.Publish()
		q.WaitTaken(t)
		stats := q.Settled(t)
		carried += stats.TxFrames
		refused += stats.Refused()
		if got := device.Counters(t, l.Name); got.RxErrors != stats.Refused() || got.RxPackets != stats.TxFrames {
			t.Errorf("device %d packets %d errors, queue %+v", got.RxPackets, got.RxErrors, stats)
		}
		device.Delete(t, l.Name)
		q.Close()
	}
	if carried == 0 || refused == 0 {
		t.Errorf("%d frames carried, %d refused: the garbage is not plausible", carried, refused)
	}
	device.CheckWorks(t)
}

// flipper changes header words while the kernel reads them.
func flipper(q *device.Queue, seed uint64) func() {
	random := rand.New(rand.NewPCG(seed, 3))
	lengths := []uint32{32, 32, 32, 96, 20, 0}
	return func() {
		for range 1000 {
			at := random.Uint32N(minRing/device.FrameAlign) * device.FrameAlign
			block := q.TxData[at:]
			binary.LittleEndian.PutUint32(block, lengths[random.IntN(len(lengths))])
			binary.LittleEndian.PutUint32(block[4:], random.Uint32()&random.Uint32()&random.Uint32()&1)
			block[device.FrameHeader] = byte(0x40 + random.IntN(3)<<4)
		}
	}
}

func TestHeadersThatChangeWhileTheKernelReads(t *testing.T) {
	device.Sandbox(t)
	var carried, refused, broken uint64
	for seed, end := uint64(0), time.Now().Add(4*time.Second); time.Now().Before(end); seed++ {
		l := device.NewLink(t, device.Config{})
		q := l.Queue()
		plausible(rand.New(rand.NewPCG(seed, 4)), q.TxData)
		stop := background(t, flipper(q, seed), flipper(q, seed+1000))
		for q.State() == 0 && time.Now().Before(end) {
			if q.Room() >= minRing/4 {
				q.SetTxProducer(q.TxProducer() + minRing/4)
				q.Publish()
			}
		}
		stop()
		stats := q.Stats(t)
		carried += stats.TxFrames
		refused += stats.Refused()
		if q.State() != 0 {
			broken++
		}
		device.Delete(t, l.Name)
		q.Close()
	}
	t.Logf("%d frames carried, %d refused, %d rings broken", carried, refused, broken)
	if carried == 0 || refused == 0 {
		t.Error("the flipping had no effect")
	}
	device.CheckWorks(t)
}

// TestIndicesThatChangeWhileTheKernelReads flips all four of the process's
// words, among which are right ones, with frames going both ways.
func TestIndicesThatChangeWhileTheKernelReads(t *testing.T) {
	device.Sandbox(t)
	broken := 0
	for seed, end := uint64(0), time.Now().Add(4*time.Second); time.Now().Before(end); seed++ {
		l := device.NewLink(t, device.Config{})
		q := l.Queue()
		conn := l.ListenUDP(t, false, 0)
		plausible(rand.New(rand.NewPCG(seed, 5)), q.TxData)
		stop := background(t, flood(conn, l), flipIndices(q, seed), func() { device.Signal(q.TxDoorbell) })
		device.Until(time.Now().Add(time.Second), func() bool { return q.State() != 0 })
		stop()
		if q.State() != 0 {
			broken++
		}
		device.Delete(t, l.Name)
		q.Close()
	}
	if broken == 0 {
		t.Error("no ring broke")
	}
	device.CheckWorks(t)
}

func flipIndices(q *device.Queue, seed uint64) func() {
	random := rand.New(rand.NewPCG(seed, 6))
	return func() {
		for range 100 {
			atomic.StoreUint32(q.Words.TxProducer, atomic.LoadUint32(q.Words.TxConsumer)+random.Uint32N(8)*64)
			atomic.StoreUint32(q.Words.RxConsumer, atomic.LoadUint32(q.Words.RxProducer)-random.Uint32N(8)*64)
			atomic.StoreUint32(q.Words.RxNeedWakeup, random.Uint32())
			atomic.StoreUint32(q.Words.TxNeedSpace, random.Uint32())
		}
		if random.IntN(50) == 0 {
			atomic.StoreUint32(q.Words.TxProducer, random.Uint32())
		}
	}
}

// TestFrameRewrittenAfterSubmitIsOneOrTheOther: two datagrams of different
// lengths take turns in the same place, without a UDP checksum, so that a
// mixture would arrive. What arrives has one of the two lengths.
func TestFrameRewrittenAfterSubmitIsOneOrTheOther(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	long, short := unchecked(l, 160), unchecked(l, 40)
	lengths := map[int]int{}
	var place atomic.Uint32
	stop := background(t, func() {
		at := q.TxData[place.Load()+device.FrameHeader:]
		copy(at, short)
		copy(at, long)
	})
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		place.Store(q.TxProducer() & (minRing - 1))
		q.Send(t, long)
		for atomic.LoadUint32(q.Words.TxConsumer) != q.TxProducer() && q.State() == 0 {
			runtime.Gosched()
		}
		drain(t, conn, lengths)
	}
	stop()
	for length := range lengths {
		if length != 160 && length != 40 {
			t.Errorf("%d datagrams of %d bytes, which nobody sent", lengths[length], length)
		}
	}
	t.Logf("lengths %v, refused %d", lengths, q.Stats(t).Refused())
	if lengths[160] == 0 {
		t.Error("no datagram arrived")
	}
}

// unchecked is a datagram whose UDP checksum says "none".
func unchecked(l *device.Link, length int) []byte {
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: make([]byte, length)})
	frame[26], frame[27] = 0, 0
	return frame
}

// drain takes what is in the socket and counts the lengths.
func drain(t *testing.T, conn *net.UDPConn, lengths map[int]int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var b [2048]byte
	raw.Control(func(fd uintptr) {
		for {
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			lengths[n]++
		}
	})
}
