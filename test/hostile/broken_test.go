// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// checkBroken: the queue has stopped, the process was told by every way there
// is, and the end is as any other.
func checkBroken(t *testing.T, l *device.Link, want uint32) {
	t.Helper()
	q := l.Queue()
	device.WaitFor(t, "the queue to stop", func() bool { return q.State() == want })
	device.WaitFor(t, "the rx doorbell", func() bool { return device.Signalled(q.RxDoorbell) })
	device.WaitFor(t, "the tx space signal", func() bool { return device.Signalled(q.TxSpace) })
	if got := q.Events(t); got != unix.POLLERR {
		t.Errorf("poll says %#x, want POLLERR", got)
	}
	checkSilent(t, l)
	device.Within(t, device.Deadline, "deleting the device", func() { device.Delete(t, l.Name) })
	if got := q.State(); got != want|device.StateDetached {
		t.Errorf("state %#x after the device's end", got)
	}
	if err := q.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// checkSilent: a broken queue takes nothing and gives nothing.
func checkSilent(t *testing.T, l *device.Link) {
	t.Helper()
	q := l.Queue()
	before := q.Settled(t)
	conn := l.ListenUDP(t, false, 0)
	for range 10 {
		device.Signal(q.TxDoorbell)
		conn.WriteToUDPAddrPort([]byte("anybody?"), l.PeerAddr(false, peerPort))
	}
	after := q.Settled(t)
	if after.RxFrames != before.RxFrames || after.TxFrames != before.TxFrames {
		t.Errorf("a broken queue carries frames: %+v, then %+v", before, after)
	}
}

func TestLengthPastTheProducerBreaksTheTxRing(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []struct{ length, footprint uint32 }{
		{33, 64}, {1000, 64}, {2016, 1024}, {minRing, 64}, {minRing - 32, minRing / 2}, {minRing + 1, minRing},
		{1 << 31, 64}, {1<<32 - 1, minRing}, {1<<32 - 32, 64}, {1<<32 - 33, 64}, {1<<32 - 64, minRing}, {1<<32 - 96, 64},
	} {
		l := device.NewLink(t, device.Config{})
		q := l.Queue()
		q.PutRaw(device.Header{Length: c.length}, []byte{0x45}, c.footprint)
		q.Publish()
		checkBroken(t, l, device.StateTxBroken)
	}
	device.CheckWorks(t)
}

// TestRingThatBreaksWhileADoorbellIsHeld: who puts a frame there looks whether the ring is half full and finds that it makes no
// sense, and no frame comes after that one. On a machine that took longer for the frames than a doorbell is held it was not so, and
// another ring is broken.
func TestRingThatBreaksWhileADoorbellIsHeld(t *testing.T) {
	device.Sandbox(t)
	const hold = device.PollMaxUsecs * time.Microsecond
	for {
		l := device.NewLink(t, device.Config{MTU: 9000})
		device.SetCoalesce(t, l.Name, device.Coalesce{RxUsecs: device.PollMaxUsecs, TxUsecs: 50})
		took := breakWhileHeld(t, l)
		if took < hold {
			checkBroken(t, l, device.StateRxBroken)
			break
		}
		t.Logf("the frames took %v, and a doorbell is held for %v: again", took, hold)
		device.Delete(t, l.Name)
	}
	device.CheckWorks(t)
}

// breakWhileHeld fills the ring up to its half for a process that sleeps until there is more, breaks it, and sends what exceeds that.
// The result is how long this took.
func breakWhileHeld(t *testing.T, l *device.Link) time.Duration {
	t.Helper()
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	defer conn.Close()
	payload := device.Pattern(1, 8000)
	send := func() {
		if _, err := conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
	}
	atomic.StoreUint32(q.Words.RxNeedWakeup, minRing-device.Footprint(0))
	size := device.Footprint(device.IPHeader(false) + 8 + len(payload))
	begin := time.Now()
	for used := size; used <= minRing/2; used += size {
		send()
	}
	atomic.StoreUint32(q.Words.RxConsumer, 1)
	send()
	return time.Since(begin)
}

func TestFramesBeforeABadLengthAreDelivered(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	for i := range 100 {
		q.Put(numbered(l, i))
	}
	q.PutRaw(device.Header{Length: 10000}, nil, 64)
	q.Publish()
	for i := range 100 {
		device.Expect(t, conn, number(i))
	}
	checkBroken(t, l, device.StateTxBroken)
}

func TestSenselessProducerBreaksTheTxRing(t *testing.T) {
	device.Sandbox(t)
	for _, offset := range []int64{
		-64, -128, 1, 4, 32, 63, 65, minRing + 64, minRing + 1, 2 * minRing, 1 << 31, -minRing, -1,
	} {
		l := device.NewLink(t, device.Config{})
		l.Exchange(t, false, 100, 100, 100)
		q := l.Queue()
		q.WaitTaken(t)
		device.Signalled(q.RxDoorbell)
		q.SetTxProducer(q.TxProducer() + uint32(offset))
		q.Publish()
		device.Signal(q.TxDoorbell)
		checkBroken(t, l, device.StateTxBroken)
	}
	device.CheckWorks(t)
}

// fillRx sends to the process, which takes nothing, until the ring is full.
func fillRx(t *testing.T, l *device.Link) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	payload := make([]byte, 1400)
	device.WaitFor(t, "a full rx ring", func() bool {
		if _, err := conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, peerPort)); err != nil {
			t.Fatal(err)
		}
		return l.Queue().Stats(t).RxRingFull > 0
	})
}

func TestSenselessConsumerBreaksTheRxRing(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []struct {
		what  string
		index func(producer uint32) uint32
	}{
		{"past the producer", func(p uint32) uint32 { return p + 64 }},
		{"far past the producer", func(p uint32) uint32 { return p + 1<<31 }},
		{"backwards", func(uint32) uint32 { return 1<<32 - 64 }},
		{"backwards by the ring", func(uint32) uint32 { return 1<<32 - minRing }},
		{"unaligned", func(uint32) uint32 { return 1 }},
		{"unaligned by half", func(uint32) uint32 { return 32 }},
		{"unaligned before the producer", func(p uint32) uint32 { return p - 1 }},
	} {
		l := device.NewLink(t, device.Config{})
		q := l.Queue()
		fillRx(t, l)
		atomic.StoreUint32(q.Words.RxConsumer, c.index(atomic.LoadUint32(q.Words.RxProducer)))
		device.Signal(q.TxDoorbell)
		t.Log(c.what)
		checkBroken(t, l, device.StateRxBroken)
	}
	device.CheckWorks(t)
}

// TestSenselessEventIndicesOnlyCostSignals: need_wakeup and need_space are
// hints, and whatever stands there the frames themselves are not affected.
func TestSenselessEventIndicesOnlyCostSignals(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	for _, index := range []uint32{0, 1, 1 << 31, 1<<32 - 1, 0x55555555} {
		atomic.StoreUint32(q.Words.RxNeedWakeup, index)
		atomic.StoreUint32(q.Words.TxNeedSpace, index)
		l.Exchange(t, false, 1400, 1400, 1400)
	}
	if q.State() != 0 {
		t.Errorf("state %#x", q.State())
	}
}

func TestBrokenQueueLeavesItsSiblingsAlone(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	victim := l.Queues[1]
	victim.PutRaw(device.Header{Length: 1 << 31}, nil, 64)
	victim.Publish()
	device.WaitFor(t, "the queue to stop", func() bool { return victim.State() == device.StateTxBroken })
	conn := l.ListenUDP(t, false, hostPort)
	for i := range 100 {
		l.Queue().Send(t, numbered(l, i))
		device.Expect(t, conn, number(i))
	}
	if got := l.Queue().State(); got != 0 {
		t.Errorf("sibling's state %#x", got)
	}
}
