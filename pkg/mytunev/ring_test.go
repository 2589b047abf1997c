// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

const testMaxFrame = 65568

// heapRing is a ring in ordinary memory, where the race detector sees it. Both
// sides find a frame by where it begins and take it as contiguous, so the second
// half need not mirror the first.
func heapRing(size, start uint32) ringMemory {
	m := ringMemory{
		data:       make([]byte, 2*size),
		size:       size,
		producer:   new(atomic.Uint32),
		consumer:   new(atomic.Uint32),
		needWakeup: new(atomic.Uint32),
		needSpace:  new(atomic.Uint32),
	}
	m.producer.Store(start)
	m.consumer.Store(start)
	m.needWakeup.Store(start + 1<<31)
	m.needSpace.Store(start + 1<<31)
	return m
}

// ends returns the two ends of one ring that begins at index start.
func ends(size, start uint32) (*producer, *consumer) {
	m := heapRing(size, start)
	p, c := newProducer(m, testMaxFrame), newConsumer(m, testMaxFrame)
	return &p, &c
}

func fill(p []byte, seed byte) {
	for i := range p {
		p[i] = seed + byte(i)
	}
}

func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	fill(p, seed)
	return p
}

func mustCommit(t *testing.T, p *producer, payload []byte) {
	t.Helper()
	slot, err := p.reserve(len(payload))
	if err != nil {
		t.Fatalf("reserve(%d): %v", len(payload), err)
	}
	if err := p.commit(copy(slot, payload), nil); err != nil {
		t.Fatalf("commit(%d): %v", len(payload), err)
	}
}

// peek is consumer.peek with the frame as a result.
func peek(c *consumer) (Frame, bool, error) {
	var f Frame
	ok, err := c.peek(&f)
	return f, ok, err
}

// frameWith is a frame without a payload that says v of itself.
func frameWith(v VNetHeader) Frame {
	m := &ringMemory{data: make([]byte, frameHeader)}
	encodeVNet((*[vnetSize]byte)(m.data[offVNet:]), v)
	return Frame{ring: m}
}

func mustPeek(t *testing.T, c *consumer, want []byte) Frame {
	t.Helper()
	if ready, err := c.poll(); !ready || err != nil {
		t.Fatalf("poll: %v, %v, want a frame", ready, err)
	}
	f, ok, err := peek(c)
	if !ok || err != nil {
		t.Fatalf("peek: %v, %v, want a frame", ok, err)
	}
	if !bytes.Equal(f.Data, want) {
		t.Fatalf("peek: %d bytes %.16x, want %d bytes %.16x", len(f.Data), f.Data, len(want), want)
	}
	return f
}

func mustBeEmpty(t *testing.T, c *consumer) {
	t.Helper()
	if ready, err := c.poll(); ready || err != nil {
		t.Fatalf("poll: %v, %v, want nothing", ready, err)
	}
	if _, ok, err := peek(c); ok || err != nil {
		t.Fatalf("peek: %v, %v, want nothing", ok, err)
	}
}

func TestFrameSize(t *testing.T) {
	for _, c := range []struct{ payload, want uint32 }{
		{1, 64}, {32, 64}, {33, 128}, {96, 128}, {97, 192}, {1500, 1536}, {65536, 65600},
		{maxPayload, maxPayload + 64},
	} {
		if got := frameSize(c.payload); got != c.want {
			t.Errorf("frameSize(%d) = %d, want %d", c.payload, got, c.want)
		}
	}
}

func TestCrossed(t *testing.T) {
	const top = 1<<32 - 64
	for _, c := range []struct {
		event, old, now uint32
		want            bool
	}{
		{0, 0, 64, true},        // asleep at 0, first frame
		{0, 64, 128, false},     // that one has been announced
		{64, 0, 64, false},      // not past it yet
		{64, 0, 128, true},      // past it
		{127, 0, 128, true},     // threshold within the step
		{128, 0, 128, false},    // threshold at its end
		{5, 0, 0, false},        // no move, no signal
		{top, top, 0, true},     // across 2^32
		{top, 0, 64, false},     // behind
		{0, top, 64, true},      // across 2^32, in the middle
		{1 << 31, 0, 64, false}, // far ahead
	} {
		if got := crossed(c.event, c.old, c.now); got != c.want {
			t.Errorf("crossed(%d, %d, %d) = %v, want %v", c.event, c.old, c.now, got, c.want)
		}
	}
}

func TestEmptyRead(t *testing.T) {
	_, c := ends(4096, 0)
	mustBeEmpty(t, c)
	if c.release() {
		t.Error("release of nothing wants a doorbell")
	}
}

func TestTooLargeWrite(t *testing.T) {
	p, _ := ends(4096, 0)
	if _, err := p.reserve(4096 - frameHeader + 1); err != ErrTooLong {
		t.Errorf("reserve of more than the ring: %v, want ErrTooLong", err)
	}
	if _, err := p.reserve(4096 - frameHeader); err != nil {
		t.Errorf("reserve of the whole ring: %v", err)
	}
	p, _ = ends(1<<20, 0)
	if _, err := p.reserve(testMaxFrame + 1); err != ErrTooLong {
		t.Errorf("reserve of more than the largest frame: %v, want ErrTooLong", err)
	}
	if _, err := p.reserve(testMaxFrame); err != nil {
		t.Errorf("reserve of the largest frame: %v", err)
	}
	for _, n := range []int{0, -1, -1 << 31} {
		if _, err := p.reserve(n); err != errEmpty {
			t.Errorf("reserve(%d): %v, want %v", n, err, errEmpty)
		}
	}
}

func TestFullWrite(t *testing.T) {
	p, c := ends(4096, 0)
	for i := range 4096 / 128 {
		mustCommit(t, p, pattern(96, byte(i)))
	}
	if _, err := p.reserve(1); err != ErrFull {
		t.Fatalf("reserve in a full ring: %v, want ErrFull", err)
	}
	p.publish()
	mustPeek(t, c, pattern(96, 0))
	if _, err := p.reserve(1); err != ErrFull {
		t.Fatalf("reserve before release: %v, want ErrFull", err)
	}
	c.release()
	if _, err := p.reserve(97); err != ErrFull {
		t.Fatalf("reserve of more than was released: %v, want ErrFull", err)
	}
	mustCommit(t, p, pattern(96, 32))
	p.publish()
	for i := range 4096 / 128 {
		mustPeek(t, c, pattern(96, byte(i+1)))
	}
	mustBeEmpty(t, c)
}

func TestFlushTwice(t *testing.T) {
	p, c := ends(4096, 0)
	mustCommit(t, p, pattern(10, 1))
	mustBeEmpty(t, c) // not published yet
	p.needWakeup.Store(0)
	if !p.publish() {
		t.Error("publish past need_wakeup: no doorbell")
	}
	if p.publish() {
		t.Error("publish of nothing wants a doorbell")
	}
	mustPeek(t, c, pattern(10, 1))
	c.needSpace.Store(0)
	if !c.release() {
		t.Error("release past need_space: no doorbell")
	}
	if c.release() {
		t.Error("release of nothing wants a doorbell")
	}
}

func TestWrapInMiddle(t *testing.T) {
	for _, start := range []uint32{0, 4096 - 64, 1<<32 - 64, 1<<32 - 4096, 1<<31 - 64} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			p, c := ends(4096, start)
			for i := range 200 {
				payload := pattern(1+i*37%3000, byte(i))
				mustCommit(t, p, payload)
				p.publish()
				f := mustPeek(t, c, payload)
				if cap(f.Data) != len(f.Data) {
					t.Fatalf("cap %d, len %d: an append would write into the ring", cap(f.Data), len(f.Data))
				}
				c.release()
			}
		})
	}
}

func TestNoRoomToWrap(t *testing.T) {
	p, c := ends(4096, 0)
	mustCommit(t, p, pattern(2000, 1))
	mustCommit(t, p, pattern(1500, 2))
	p.publish()
	mustPeek(t, c, pattern(2000, 1))
	c.release()
	// 4096-3584 bytes at the end and 2048 at the beginning: one frame, contiguous
	mustCommit(t, p, pattern(2400, 3))
	if _, err := p.reserve(100); err != ErrFull {
		t.Fatalf("reserve: %v, want ErrFull", err)
	}
	p.publish()
	mustPeek(t, c, pattern(1500, 2))
	mustPeek(t, c, pattern(2400, 3))
	mustBeEmpty(t, c)
}

func TestWriteAbort(t *testing.T) {
	p, c := ends(4096, 0)
	for _, n := range []int{0, -1, 101} {
		if _, err := p.reserve(100); err != nil {
			t.Fatal(err)
		}
		err := p.commit(n, nil)
		if (err == nil) != (n == 0) {
			t.Errorf("commit(%d) of 100: %v", n, err)
		}
		if err := p.commit(1, nil); err != errNoReservation {
			t.Errorf("commit after commit(%d): %v, want %v", n, err, errNoReservation)
		}
	}
	slot, _ := p.reserve(100)
	fill(slot, 99)
	if _, err := p.reserve(5000); err != ErrTooLong {
		t.Fatal(err)
	}
	if err := p.commit(100, nil); err != errNoReservation {
		t.Errorf("commit after a failed reserve: %v, want %v", err, errNoReservation)
	}
	if p.publish() || p.producer.Load() != 0 {
		t.Error("an aborted frame was published")
	}
	mustBeEmpty(t, c)
	slot, _ = p.reserve(100)
	fill(slot, 7)
	if err := p.commit(40, nil); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, p, pattern(5, 8))
	p.publish()
	mustPeek(t, c, pattern(40, 7))
	mustPeek(t, c, pattern(5, 8))
}

func TestPullAfterPullingEntire(t *testing.T) {
	p, c := ends(4096, 0)
	for i := range 10 {
		mustCommit(t, p, pattern(100, byte(i)))
		mustCommit(t, p, pattern(200, byte(i)))
		p.publish()
		mustPeek(t, c, pattern(100, byte(i)))
		mustPeek(t, c, pattern(200, byte(i)))
		mustBeEmpty(t, c)
		mustBeEmpty(t, c)
		c.release()
	}
}

func TestHeader(t *testing.T) {
	p, c := ends(4096, 4096-64)
	for i := range p.data {
		p.data[i] = 0xEE // what an earlier frame left
	}
	v := VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv4 | GSOECN, HdrLen: 0x0102,
		GSOSize: 0x0304, CsumStart: 0x0506, CsumOffset: 0x0708, NumBuffers: 0x090A,
		OuterTHOffset: 0x0B0C, InnerNHOffset: 0x0D0E}
	slot, _ := p.reserve(300)
	fill(slot, 1)
	m := vnetMetadata(v)
	if err := p.commit(300, &m); err != nil {
		t.Fatal(err)
	}
	p.publish()
	header := p.data[4096-64:][:frameHeader]
	want := make([]byte, frameHeader)
	binary.NativeEndian.PutUint32(want, 300)
	copy(want[offVNet:], []byte{1, 0x81, 2, 1, 4, 3, 6, 5, 8, 7, 0x0A, 9, 0x0C, 0x0B, 0x0E, 0x0D})
	if !bytes.Equal(header, want) {
		t.Errorf("header\n%x, want\n%x", header, want)
	}
	f := mustPeek(t, c, pattern(300, 1))
	if f.VNet() != v {
		t.Errorf("VNet() = %+v, want %+v", f.VNet(), v)
	}
	if f.HashValid {
		t.Error("HashValid without the flag")
	}
	c.head -= frameSize(300) // once more
	binary.NativeEndian.PutUint32(header[offFlags:], flagHash|1<<31)
	binary.NativeEndian.PutUint32(header[offHash:], 0xCAFEBABE)
	f = mustPeek(t, c, pattern(300, 1))
	if !f.HashValid || f.Hash != 0xCAFEBABE {
		t.Errorf("hash %v %#x, want true 0xcafebabe", f.HashValid, f.Hash)
	}
	if (Frame{}).VNet() != (VNetHeader{}) {
		t.Error("VNet of the zero Frame is not zero")
	}
}

func TestChangeInPlace(t *testing.T) {
	p, c := ends(4096, 0)
	mustCommit(t, p, pattern(100, 1))
	mustCommit(t, p, pattern(100, 2))
	p.publish()
	f := mustPeek(t, c, pattern(100, 1))
	fill(f.Data, 200)
	mustPeek(t, c, pattern(100, 2))
}

func TestBadRxProducer(t *testing.T) {
	for _, c := range []struct {
		name     string
		start    uint32
		producer uint32
	}{
		{"more than the ring", 0, 4096 + 64},
		{"far ahead", 0, 1 << 31},
		{"not aligned", 0, 65},
		{"not aligned by much", 0, 32},
		{"backwards", 8192, 8192 - 64},
		{"backwards across zero", 0, 1<<32 - 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rx := ends(4096, c.start)
			rx.producer.Store(c.producer)
			for range 3 { // it stays broken
				if ready, err := rx.poll(); ready || err != ErrRingBroken {
					t.Fatalf("poll: %v, %v, want ErrRingBroken", ready, err)
				}
				if ready, err := rx.arm(); ready || err != ErrRingBroken {
					t.Fatalf("arm: %v, %v, want ErrRingBroken", ready, err)
				}
			}
			if rx.release() {
				t.Error("release wants a doorbell")
			}
		})
	}
}

func TestRxProducerGoesBackWithinWhatWasPeeked(t *testing.T) {
	p, c := ends(4096, 0)
	mustCommit(t, p, pattern(10, 1))
	mustCommit(t, p, pattern(10, 2))
	p.publish()
	mustPeek(t, c, pattern(10, 1))
	mustPeek(t, c, pattern(10, 2))
	c.producer.Store(64)
	if _, err := c.poll(); err != ErrRingBroken {
		t.Errorf("poll: %v, want ErrRingBroken", err)
	}
}

func TestBadRxLength(t *testing.T) {
	for _, length := range []uint32{33, 64, 4096, 4096 - 32 + 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 32, 1<<32 - 1} {
		_, c := ends(4096, 4096-64)
		binary.NativeEndian.PutUint32(c.data[4096-64:], length)
		c.producer.Store(4096)
		if ready, err := c.poll(); !ready || err != nil {
			t.Fatal(ready, err)
		}
		for range 3 {
			if f, ok, err := peek(c); ok || err != ErrRingBroken {
				t.Errorf("length %d: peek %d bytes, %v, %v, want ErrRingBroken", length, len(f.Data), ok, err)
			}
		}
	}
}

func TestMalformedFramesAreSkipped(t *testing.T) {
	m := heapRing(1<<18, 0)
	p, c := newProducer(m, 1<<17), newConsumer(m, testMaxFrame)
	mustCommit(t, &p, pattern(10, 1))
	mustCommit(t, &p, pattern(testMaxFrame+1, 2)) // longer than frame_max
	mustCommit(t, &p, pattern(10, 3))
	binary.NativeEndian.PutUint32(p.data[p.head&(p.size-1):], 0)
	p.head += frameAlign // an empty frame
	mustCommit(t, &p, pattern(10, 4))
	p.publish()
	mustPeek(t, &c, pattern(10, 1))
	mustPeek(t, &c, pattern(10, 3))
	mustPeek(t, &c, pattern(10, 4))
	mustBeEmpty(t, &c)
	if c.skipped != 2 {
		t.Errorf("skipped %d, want 2", c.skipped)
	}
	c.release()
	if got := m.consumer.Load(); got != p.head {
		t.Errorf("released up to %d, want %d", got, p.head)
	}
}

func TestRingFullOfEmptyFrames(t *testing.T) {
	_, c := ends(4096, 64)
	c.producer.Store(64 + 4096)
	if ready, err := c.poll(); !ready || err != nil {
		t.Fatal(ready, err)
	}
	if _, ok, err := peek(c); ok || err != nil {
		t.Fatal(ok, err)
	}
	if c.skipped != 4096/64 {
		t.Errorf("skipped %d, want %d", c.skipped, 4096/64)
	}
}

func TestBadTxConsumer(t *testing.T) {
	for _, c := range []struct {
		name     string
		consumer uint32
	}{
		{"beyond what was published", 4096 + 64},
		{"far ahead", 1 << 31},
		{"backwards", 1<<32 - 64},
		{"not aligned", 65},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := ends(4096, 0)
			mustCommit(t, p, pattern(4000, 1))
			p.publish()
			p.consumer.Store(c.consumer)
			for range 3 {
				if _, err := p.reserve(100); err != ErrRingBroken {
					t.Fatalf("reserve: %v, want ErrRingBroken", err)
				}
				if ready, err := p.arm(100); ready || err != ErrRingBroken {
					t.Fatalf("arm: %v, %v, want ErrRingBroken", ready, err)
				}
			}
		})
	}
}

func TestTxConsumerPassesUnpublished(t *testing.T) {
	p, _ := ends(4096, 0)
	mustCommit(t, p, pattern(2000, 1))
	p.publish()
	mustCommit(t, p, pattern(1900, 2)) // not published
	p.consumer.Store(p.head)
	if _, err := p.reserve(100); err != ErrRingBroken {
		t.Errorf("reserve: %v, want ErrRingBroken", err)
	}
}

func TestEnableNotification(t *testing.T) {
	for _, start := range []uint32{0, 1<<32 - 64, 1<<32 - 128} {
		p, c := ends(4096, start)
		if ready, err := c.arm(); ready || err != nil {
			t.Fatalf("arm of an empty ring: %v, %v", ready, err)
		}
		mustCommit(t, p, pattern(10, 1))
		mustCommit(t, p, pattern(10, 2))
		if !p.publish() {
			t.Error("publish to a sleeper: no doorbell")
		}
		mustCommit(t, p, pattern(10, 3))
		if p.publish() {
			t.Error("second publish rings again: one sleep is worth one doorbell")
		}
		if ready, err := c.arm(); !ready || err != nil {
			t.Errorf("arm beside frames: %v, %v, want ready", ready, err)
		}
	}
}

// TestNotificationAhead: a consumer that wants more is rung for what it wants, and
// must not go to sleep beside less.
func TestNotificationAhead(t *testing.T) {
	for _, start := range []uint32{0, 1<<32 - 64, 1<<32 - 256} {
		p, c := ends(4096, start)
		c.ahead = Config{WakeBytes: 200}.ahead()
		if ready, err := c.arm(); ready || err != nil {
			t.Fatalf("arm of an empty ring: %v, %v", ready, err)
		}
		for i, want := range []bool{false, false, false, true, false} {
			mustCommit(t, p, pattern(10, byte(i)))
			if got := p.publish(); got != want {
				t.Errorf("start %#x: doorbell for frame %d: %v, want %v", start, i, got, want)
			}
		}
		if ready, err := c.arm(); !ready || err != nil {
			t.Errorf("arm beside frames: %v, %v, want ready", ready, err)
		}
	}
}

func TestConfigAhead(t *testing.T) {
	for bytes, want := range map[int]uint32{0: 0, 1: 0, 64: 0, 65: 64, 128: 64, 129: 128, 1 << 20: 1<<20 - 64} {
		if got := (Config{WakeBytes: bytes}).ahead(); got != want {
			t.Errorf("WakeBytes %d: %d bytes without a doorbell, want %d", bytes, got, want)
		}
	}
}

func TestDisableNotification(t *testing.T) {
	p, c := ends(4096, 0)
	rung := 0
	for i := range 1000 {
		mustCommit(t, p, pattern(10, byte(i)))
		if p.publish() {
			rung++
		}
		mustPeek(t, c, pattern(10, byte(i)))
		if c.release() {
			rung++
		}
	}
	if rung != 0 {
		t.Errorf("%d doorbells between two that never slept", rung)
	}
}

func TestArmRace(t *testing.T) {
	p, c := ends(4096, 0)
	mustBeEmpty(t, c)
	mustCommit(t, p, pattern(10, 1))
	p.publish() // between the look and arm
	if ready, err := c.arm(); !ready || err != nil {
		t.Errorf("arm: %v, %v, want ready", ready, err)
	}
}

func TestArmSpace(t *testing.T) {
	for _, start := range []uint32{0, 1<<32 - 2048, 1<<32 - 64, 64} {
		for _, n := range []uint32{1, 1000, 2016, 2017, 3000, 4064} {
			p, c := ends(4096, start)
			for range 64 {
				mustCommit(t, p, pattern(1, 1))
			}
			p.publish()
			if ready, err := p.arm(n); ready || err != nil {
				t.Fatalf("arm of a full ring: %v, %v", ready, err)
			}
			want := max(frameSize(n), 2048)
			for freed := uint32(64); freed <= 4096; freed += 64 {
				mustPeek(t, c, pattern(1, 1))
				if got := c.release(); got != (freed == want) {
					t.Fatalf("start %d, %d bytes: signal %v with %d free, wanted at %d", start, n, got, freed, want)
				}
			}
			if ready, err := p.fits(n); !ready || err != nil {
				t.Errorf("fits after the signal: %v, %v", ready, err)
			}
		}
	}
}

func TestArmSpaceRace(t *testing.T) {
	p, c := ends(4096, 0)
	mustCommit(t, p, pattern(4000, 1))
	p.publish()
	if ok, _ := p.fits(100); ok {
		t.Fatal("fits in a full ring")
	}
	mustPeek(t, c, pattern(4000, 1))
	c.release() // between the look and arm
	if ready, err := p.arm(100); !ready || err != nil {
		t.Errorf("arm: %v, %v, want ready", ready, err)
	}
}

// TestConcurrentReaderWriter runs both ends at once, as fast as they go, across
// 2^32, and checks every byte. Under -race the detector checks that the indices
// order all accesses to the frames.
func TestConcurrentReaderWriter(t *testing.T) {
	const frames = 20000
	size := func(i int) int { return 1 + i*7919%3000 }
	p, c := ends(1<<14, 1<<32-1<<16)
	go func() {
		for i := 0; i < frames; {
			slot, err := p.reserve(size(i))
			if err == ErrFull {
				p.publish()
				runtime.Gosched()
				continue
			}
			fill(slot, byte(i))
			p.commit(len(slot), nil)
			if i++; i%7 == 0 {
				p.publish()
			}
		}
		p.publish()
	}()
	for i := 0; i < frames; {
		ready, err := c.poll()
		if err != nil {
			t.Fatal(err)
		}
		if !ready {
			runtime.Gosched()
			continue
		}
		for f, ok, err := peek(c); ok || err != nil; f, ok, err = peek(c) {
			if err != nil {
				t.Fatal(err)
			}
			if i >= frames {
				t.Fatal("more frames than were sent")
			}
			if !bytes.Equal(f.Data, pattern(size(i), byte(i))) {
				t.Fatalf("frame %d, %d bytes, is not what was sent", i, len(f.Data))
			}
			i++
		}
		c.release()
	}
}

func TestRingAllocs(t *testing.T) {
	p, c := ends(1<<14, 0)
	payload := pattern(1400, 1)
	allocs := testing.AllocsPerRun(1000, func() {
		for range 4 {
			slot, err := p.reserve(len(payload))
			if err != nil {
				t.Fatal(err)
			}
			p.commit(copy(slot, payload), &metadata{vnet: [vnetSize]byte{vnetGSOSize: 1}})
		}
		p.publish()
		c.poll()
		for f, ok, _ := peek(c); ok; f, ok, _ = peek(c) {
			if f.VNet().GSOSize != 1 {
				t.Fatal("vnet header lost")
			}
		}
		c.release()
		c.arm()
	})
	if allocs != 0 {
		t.Errorf("%v allocations a batch, want 0", allocs)
	}
}

// TestTakenOverWithFrames: a producer that begins at a ring with frames that were not taken yet leaves
// them as they are, and has the room beside them.
func TestTakenOverWithFrames(t *testing.T) {
	const size, n = 4096, 1000
	m := heapRing(size, 1<<32-2048)
	before, c := newProducer(m, testMaxFrame), newConsumer(m, testMaxFrame)
	mustCommit(t, &before, pattern(n, 1))
	mustCommit(t, &before, pattern(n, 2))
	before.publish()
	p := newProducer(m, testMaxFrame)
	if got, want := p.room(), size-2*frameSize(n); got != want {
		t.Errorf("room for %d bytes, want %d", got, want)
	}
	mustCommit(t, &p, pattern(n, 3))
	if _, err := p.reserve(2 * n); err != ErrFull {
		t.Errorf("%v, want ErrFull", err)
	}
	p.publish()
	mustPeek(t, &c, pattern(n, 1))
	c.release()
	mustCommit(t, &p, pattern(n, 4))
	p.publish()
	for seed := byte(2); seed <= 4; seed++ {
		mustPeek(t, &c, pattern(n, seed))
	}
	mustBeEmpty(t, &c)
}

// TestTakenOverBroken: of a ring that seems to hold more than it can nothing is written over.
func TestTakenOverBroken(t *testing.T) {
	for _, ahead := range []uint32{1 << 18, 1 << 31, 1<<32 - frameAlign} {
		m := heapRing(4096, 4096)
		m.producer.Store(4096 + ahead)
		p := newProducer(m, testMaxFrame)
		if _, err := p.reserve(1); err != ErrRingBroken {
			t.Errorf("%d bytes ahead: %v, want ErrRingBroken", ahead, err)
		}
	}
}
