// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// A numbered payload: sequence number, checksum of the rest, the rest.
const numberedHeader = 8

func numbered(base []byte, sequence uint32) []byte {
	binary.LittleEndian.PutUint32(base, sequence)
	binary.LittleEndian.PutUint32(base[numberedHeader:], sequence*2654435761)
	binary.LittleEndian.PutUint32(base[4:], crc32.ChecksumIEEE(base[numberedHeader:])^sequence)
	return base
}

// sequenceOf is the number of a payload; false if its content is not as sent.
func sequenceOf(payload []byte) (uint32, bool) {
	if len(payload) < numberedHeader+4 {
		return 0, false
	}
	sequence := binary.LittleEndian.Uint32(payload)
	sum := binary.LittleEndian.Uint32(payload[4:])
	return sequence, crc32.ChecksumIEEE(payload[numberedHeader:])^sequence == sum
}

// window bounds how far a sender may be ahead of its receiver.
type window chan struct{}

func (w window) open(t *testing.T) bool {
	select {
	case w <- struct{}{}:
		return true
	case <-time.After(device.Deadline):
		t.Error("the receiver stands still")
		return false
	}
}

func (w window) close() { <-w }

// sizes are the payload lengths of a bulk test, in turns.
func sizeOf(sizes []int, i uint32) int { return sizes[int(i)%len(sizes)] }

// up sends count datagrams from the process to the kernel and checks each.
func up(t *testing.T, l *device.Link, conn *net.UDPConn, count uint32, sizes []int) {
	t.Helper()
	limit := make(window, 64)
	var sending sync.WaitGroup
	sending.Go(func() {
		base := device.Pattern(11, 1<<16)
		for i := uint32(0); i < count && limit.open(t); i++ {
			payload := numbered(base[:sizeOf(sizes, i)], i)
			l.Queue().Send(t, l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload}))
		}
	})
	defer sending.Wait()
	b := make([]byte, 1<<16)
	for i := range count {
		conn.SetReadDeadline(time.Now().Add(device.Deadline))
		n, _, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Errorf("datagram %d: %v", i, err)
			return
		}
		if got, ok := sequenceOf(b[:n]); !ok || got != i || n != sizeOf(sizes, i) {
			t.Errorf("datagram %d came as %d, %d bytes, intact %v", i, got, n, ok)
			return
		}
		limit.close()
	}
}

// down sends count datagrams from the kernel to the process and checks each.
func down(t *testing.T, l *device.Link, conn *net.UDPConn, count uint32, sizes []int) {
	t.Helper()
	limit := make(window, 64)
	var sending sync.WaitGroup
	sending.Go(func() {
		base := device.Pattern(12, 1<<16)
		for i := uint32(0); i < count && limit.open(t); i++ {
			if _, err := conn.WriteToUDPAddrPort(numbered(base[:sizeOf(sizes, i)], i), l.PeerAddr(false, peerPort)); err != nil {
				t.Errorf("send: %v", err)
				return
			}
		}
	})
	defer sending.Wait()
	q := l.Queue()
	for i := uint32(0); i < count; {
		if !q.WaitFrames(time.Now().Add(device.Deadline)) {
			t.Errorf("frame %d did not come: %+v", i, q.Stats(t))
			return
		}
		for h, frame, ok := q.Peek(); ok && i < count; h, frame, ok = q.Peek() {
			if !checkDown(t, l, frame, i, sizes) {
				return
			}
			q.Next(h)
			q.Release()
			limit.close()
			i++
		}
	}
}

func checkDown(t *testing.T, l *device.Link, frame []byte, i uint32, sizes []int) bool {
	t.Helper()
	d, ok := l.Parse(frame)
	got, intact := sequenceOf(d.Payload)
	if !ok || !intact || got != i || len(d.Payload) != sizeOf(sizes, i) {
		t.Errorf("frame %d came as %d, %d bytes, parsed %v, intact %v", i, got, len(d.Payload), ok, intact)
		return false
	}
	return true
}

// checkBulk runs both directions at once, through more than one full ring.
func checkBulk(t *testing.T, c device.Config, count uint32, sizes []int) {
	t.Helper()
	l := device.NewLink(t, c)
	conn := l.ListenUDP(t, false, hostPort)
	var both sync.WaitGroup
	both.Go(func() { up(t, l, conn, count, sizes) })
	both.Go(func() { down(t, l, conn, count, sizes) })
	both.Wait()
	s := l.Queue().Settled(t)
	if s.TxFrames != uint64(count) || s.RxFrames != uint64(count) || s.RxDropped != 0 || s.Refused() != 0 {
		t.Errorf("stats %+v, want %d frames each way", s, count)
	}
	for name, bytes := range map[string]uint64{"rx": s.RxBytes, "tx": s.TxBytes} {
		if bytes < uint64(max(c.RxSize, minRing)) {
			t.Errorf("%d bytes do not wrap the %s ring", bytes, name)
		}
	}
	checkDeviceCounters(t, l)
}

// checkDeviceCounters: the device's statistics are the sum of its queues'.
func checkDeviceCounters(t *testing.T, l *device.Link) {
	t.Helper()
	var sum device.Stats
	for _, q := range l.Queues {
		s := q.Settled(t)
		sum.RxFrames += s.RxFrames
		sum.RxBytes += s.RxBytes
		sum.TxFrames += s.TxFrames
		sum.TxBytes += s.TxBytes
		sum.RxDropped += s.RxDropped
	}
	d := device.Counters(t, l.Name)
	if d.TxPackets != sum.RxFrames || d.TxBytes != sum.RxBytes || d.RxPackets != sum.TxFrames ||
		d.RxBytes != sum.TxBytes || d.TxDropped != sum.RxDropped || d.RxErrors != 0 {
		t.Errorf("the device counts %+v, its queues %+v", d, sum)
	}
}

func TestSmallestRingsWrapManyTimes(t *testing.T) {
	device.Sandbox(t)
	checkBulk(t, device.Config{MTU: 9000}, 6000, []int{12, 100, 1400, 8972, 33, 4000, 2016, 63})
}

func TestSmallestRingsWrapOnTap(t *testing.T) {
	device.Sandbox(t)
	checkBulk(t, device.Config{TAP: true}, 6000, []int{1472, 12, 700})
}

func TestSmallestRingsCarryTheLargestFrames(t *testing.T) {
	device.Sandbox(t)
	checkBulk(t, device.Config{MTU: 65535}, 500, []int{65507, 60000, 30000, 65507})
}

func TestLargestRingsWrap(t *testing.T) {
	device.Sandbox(t)
	checkBulk(t, device.Config{MTU: 65535, RxSize: maxRing, TxSize: maxRing}, 1300, []int{65507, 65000, 65507})
}

func TestRingsOfDifferentSizes(t *testing.T) {
	device.Sandbox(t)
	checkBulk(t, device.Config{RxSize: 4 * minRing, TxSize: minRing}, 2000, []int{1472, 600, 1472})
}

func TestNoPollWindowAndALargeOne(t *testing.T) {
	device.Sandbox(t)
	for _, usecs := range []uint32{0, 1, 1000, device.PollMaxUsecs} {
		l := device.NewLink(t, device.Config{})
		conn := l.ListenUDP(t, false, hostPort)
		l.Queue().SetPoll(t, usecs)
		up(t, l, conn, 1000, []int{100})
		down(t, l, conn, 1000, []int{100})
		device.Delete(t, l.Name)
		l.Queue().Close()
		conn.Close()
	}
}

// TestEventfdsReplacedUnderTraffic swaps all three again and again; the new
// ones are watched before the kernel knows them, so no wake-up may be lost. There is
// traffic for as long as that takes.
func TestEventfdsReplacedUnderTraffic(t *testing.T) {
	const times = 50
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 0)
	conn := l.ListenUDP(t, false, hostPort)
	var traffic sync.WaitGroup
	var over atomic.Bool
	for _, way := range []func(*testing.T, *device.Link, *net.UDPConn, uint32, []int){up, down} {
		traffic.Go(func() {
			for last := false; !last && !t.Failed(); {
				last = over.Load()
				way(t, l, conn, 500, []int{100, 1400})
			}
		})
	}
	for range times {
		replaceEventfds(t, q)
	}
	over.Store(true)
	traffic.Wait()
}

// replaceEventfds gives the kernel new eventfds. The tx doorbell stays: the
// sender has it in hand.
func replaceEventfds(t *testing.T, q *device.Queue) {
	t.Helper()
	rx, space := device.Eventfd(t), device.Eventfd(t)
	q.WatchMore(t, rx, space)
	err := q.TrySetEventfds(device.Eventfds{RxDoorbell: int32(rx), TxDoorbell: int32(q.TxDoorbell), TxSpace: int32(space)})
	if err != nil {
		t.Fatal(err)
	}
}
