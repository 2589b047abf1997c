// SPDX-License-Identifier: MIT

package mytunev

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
)

// What a frame costs the process, beside its content: the ring is ordinary memory,
// the kernel's side no more than a store to its index, and nobody sleeps. ns/op is
// for one frame.

// eachSize runs a benchmark for lengths of payload and of batches.
func eachSize(b *testing.B, run func(b *testing.B, size, batch int)) {
	for _, size := range []int{64, 1400, 65536} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d/batch=%d", size, batch), func(b *testing.B) { run(b, size, batch) })
		}
	}
}

// newBenchQueue returns a queue with room for two batches, so that what is measured
// is not the way to memory.
func newBenchQueue(b *testing.B, size, batch int) (*Queue, *fakeKernel) {
	ring := uint32(1 << 17)
	for ring < 2*uint32(batch)*frameSize(uint32(size)) {
		ring *= 2
	}
	k := newFakeKernel(b, heapRing(ring, 0), heapRing(ring, 0), new(atomic.Uint32))
	d := newDevice("fake0", TUN, []port{k.port(nil)})
	b.Cleanup(func() { d.Close() })
	return d.queues[0], k
}

// BenchmarkReceive peeks and releases: Run, without the sleep.
func BenchmarkReceive(b *testing.B) {
	eachSize(b, func(b *testing.B, size, batch int) {
		q, k := newBenchQueue(b, size, batch)
		batches := prepareRx(k, size, batch)
		step := uint32(batch) * frameSize(uint32(size))
		view := newBatch(q, b.Context())
		sum := 0
		handler := func(batch *Batch) error {
			for f := range batch.Frames() {
				sum += int(f.Data[0])
			}
			return nil
		}
		b.ResetTimer()
		for done, n := 0, 0; done < b.N; done += batch {
			if n == batches { // once more through the same frames
				n = 0
				q.rx.released, q.rx.head, q.rx.tail = 0, 0, 0
				k.rx.producer.Store(0)
			}
			n++
			k.rx.producer.Store(uint32(n) * step)
			if idle, err := q.deliver(view, handler); idle || err != nil {
				b.Fatal(idle, err)
			}
		}
	})
}

// prepareRx fills the rx ring with batches of frames and returns how many fit.
func prepareRx(k *fakeKernel, size, batch int) int {
	frames := k.rx.size / frameSize(uint32(size))
	for i := range frames {
		at := i * frameSize(uint32(size))
		binary.NativeEndian.PutUint32(k.rx.data[at:], uint32(size))
	}
	return int(frames) / batch
}

// BenchmarkSendBatch reserves, commits and submits.
func BenchmarkSendBatch(b *testing.B) {
	eachSize(b, func(b *testing.B, size, batch int) {
		q, k := newBenchQueue(b, size, batch)
		fn := func(tx *Tx) error {
			for range batch {
				slot, err := tx.Reserve(size)
				if err != nil {
					return err
				}
				slot[0] = 1
				if err := tx.Commit(size); err != nil {
					return err
				}
			}
			return nil
		}
		b.ReportAllocs()
		b.ResetTimer()
		for done := 0; done < b.N; done += batch {
			if err := q.SendBatch(fn); err != nil {
				b.Fatal(err)
			}
			k.tx.consumer.Store(k.tx.producer.Load())
		}
	})
}

// BenchmarkForward is both: frames of one queue, with their metadata, copied to
// another one.
func BenchmarkForward(b *testing.B) {
	eachSize(b, func(b *testing.B, size, batch int) {
		q, k := newBenchQueue(b, size, batch)
		batches := prepareRx(k, size, batch)
		step := uint32(batch) * frameSize(uint32(size))
		view := newBatch(q, b.Context())
		handler := func(batch *Batch) error {
			for f := range batch.Frames() {
				if err := batch.SendFrame(f); err != nil {
					return err
				}
			}
			return nil
		}
		b.SetBytes(int64(size))
		b.ResetTimer()
		for done, n := 0, 0; done < b.N; done += batch {
			if n == batches {
				n = 0
				q.rx.released, q.rx.head, q.rx.tail = 0, 0, 0
				k.rx.producer.Store(0)
			}
			n++
			k.rx.producer.Store(uint32(n) * step)
			if idle, err := q.deliver(view, handler); idle || err != nil {
				b.Fatal(idle, err)
			}
			k.tx.consumer.Store(k.tx.producer.Load())
		}
	})
}

// BenchmarkSend is a frame that is sent alone, with its copy.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{64, 1400, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q, k := newBenchQueue(b, size, 1)
			payload := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Send(payload); err != nil {
					b.Fatal(err)
				}
				k.tx.consumer.Store(k.tx.producer.Load())
			}
		})
	}
}
