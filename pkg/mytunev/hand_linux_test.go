// SPDX-License-Identifier: MIT

package mytunev

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/internal/watchdog"
)

// What it costs to wait: the times are those of the scheduler, the eventfds real ones.

// keepThread makes Run wait as Open has it for l.
func keepThread(t testing.TB, q *Queue, k *fakeKernel, l loop) {
	q.loop = l
	s, err := newSleeper(k.rxBell, l.lock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close(); s.close() })
	q.framesGate.init(s)
}

// TestSleeperHasNoP: a Run that waits is parked, and what it has handed to others can
// run. One that keeps its thread is in a system call instead.
func TestSleeperHasNoP(t *testing.T) {
	for state, l := range map[string]loop{"[IO wait": {}, "[syscall": {lock: true}} {
		q, k := newFake(t)
		keepThread(t, q, k, l)
		wait := start(t.Context(), q, sendBack)
		untilRunIs(t, state)
		q.Close()
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	}
}

// untilRunIs waits until a Run is in a state, as the beginning of a goroutine's stack tells it.
func untilRunIs(t *testing.T, state string) {
	t.Helper()
	until(t, state, func() bool {
		text := make([]byte, 1<<20)
		for g := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
			if strings.Contains(g, "(*Queue).Run(") && strings.Contains(g, state) {
				return true
			}
		}
		return false
	})
}

// TestNoWakeupIsLost puts Run to sleep again and again, and hands every frame on.
func TestNoWakeupIsLost(t *testing.T) {
	for _, l := range []loop{{}, {lock: true}} {
		q, k := newFake(t)
		keepThread(t, q, k, l)
		handed := make(chan byte)
		wait := start(t.Context(), q, func(b *Batch) error {
			for f := range b.Frames() {
				handed <- f.Data[0]
			}
			return nil
		})
		for i := range 10000 {
			if i%3 != 0 { // at all stages of falling asleep
				runtime.Gosched()
			}
			k.send(pattern(64, byte(i)))
			watchdog.Watch(t, watchdog.Bound)
			if got := <-handed; got != pattern(64, byte(i))[0] {
				t.Fatalf("frame %d begins with %d", i, got)
			}
		}
		q.Close()
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	}
}

// handOverRig has a Handler that hands every frame to another goroutine, which hands
// it on to who plays the kernel.
func handOverRig(b *testing.B, l loop) (send func()) {
	q, k := newBenchQueue(b, 64, 64)
	q.loop = l
	keepThread(b, q, k, l)
	handed, answered := make(chan byte, 256), make(chan byte, 256)
	go func() {
		for first := range handed {
			answered <- first
		}
	}()
	b.Cleanup(func() { close(handed) })
	go q.Run(b.Context(), func(batch *Batch) error {
		for f := range batch.Frames() {
			handed <- f.Data[0]
		}
		return nil
	})
	payload := pattern(64, 1)
	return func() {
		k.send(payload)
		<-answered
	}
}

// BenchmarkHandOver is a lone frame whose Handler hands it to another goroutine. Who
// plays the kernel waits for it in a channel, and so gives up its P.
func BenchmarkHandOver(b *testing.B) {
	for name, l := range map[string]loop{"free": {}, "locked": {lock: true}} {
		b.Run(name, func(b *testing.B) {
			send := handOverRig(b, l)
			for b.Loop() {
				send()
			}
		})
	}
}

func sendBack(b *Batch) error {
	for f := range b.Frames() {
		if err := b.SendFrame(f); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWakeup is a lone frame that the Handler answers itself. Who plays the
// kernel keeps a P and looks at the ring all the time.
func BenchmarkWakeup(b *testing.B) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("the kernel's side needs a P of its own")
	}
	for name, l := range map[string]loop{"free": {}, "locked": {lock: true}} {
		b.Run(name, func(b *testing.B) {
			q, k := newBenchQueue(b, 64, 64)
			q.loop = l
			keepThread(b, q, k, l)
			go q.Run(b.Context(), sendBack)
			payload := pattern(64, 1)
			for b.Loop() {
				for k.rx.needWakeup.Load() != k.rxProducer { // until it is armed
				}
				k.send(payload)
				for k.tx.producer.Load() == k.tx.consumer.Load() {
				}
				k.tx.consumer.Store(k.tx.producer.Load())
			}
		})
	}
}

// BenchmarkStream is a kernel that never lets the ring run empty for long.
func BenchmarkStream(b *testing.B) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("the kernel's side needs a P of its own")
	}
	for name, l := range map[string]loop{"free": {}, "locked": {lock: true}} {
		b.Run(name, func(b *testing.B) {
			q, k := newFake(b)
			q.loop = l
			keepThread(b, q, k, l)
			var seen atomic.Uint64
			go q.Run(b.Context(), func(batch *Batch) error {
				n := uint64(0)
				for range batch.Frames() {
					n++
				}
				seen.Add(n)
				return nil
			})
			payload := pattern(1400, 1)
			b.ResetTimer()
			for range b.N {
				if !k.send(payload) {
					b.FailNow()
				}
			}
			for seen.Load() < uint64(b.N) {
				runtime.Gosched()
			}
			b.ReportMetric(float64(q.counters.wakeups.Load())/float64(b.N), "wakeups/op")
		})
	}
}
