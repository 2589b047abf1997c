// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newFakeDevice returns a device of n queues and their kernels.
func newFakeDevice(t *testing.T, n int) (*Device, []*fakeKernel) {
	var ports []port
	var kernels []*fakeKernel
	for range n {
		k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
		kernels = append(kernels, k)
		ports = append(ports, k.port(nil))
	}
	d := newDevice("fake0", TAP, ports)
	t.Cleanup(func() { d.Close() })
	return d, kernels
}

func TestDevice(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	if d.Name() != "fake0" || d.Mode() != TAP || len(d.Queues()) != 3 {
		t.Errorf("%s, %v, %d queues", d.Name(), d.Mode(), len(d.Queues()))
	}
	if mtu, err := d.MTU(); mtu != 1500 || err != nil {
		t.Errorf("MTU: %d, %v", mtu, err)
	}
	for i, q := range d.Queues() {
		if q.Index() != i || q.Device() != d || q.Name() != "fake0" {
			t.Errorf("queue %d: index %d, device %s", i, q.Index(), q.Name())
		}
	}
	if _, err := d.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "3 queues") {
		t.Errorf("Read of many queues: %v", err)
	}
	if n, err := d.Write(pattern(10, 1)); n != 10 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if got := kernels[0].receive(1); len(got) != 1 {
		t.Error("Write did not go through the first queue")
	}
	if s, err := d.Stats(); err != nil || s.RxFrames != 3*7 || s.KthreadSleeps != 3*9 {
		t.Errorf("Stats: %+v, %v", s, err)
	}
}

// TestStatsAfterClose: what was counted on this side is there still, of all queues.
func TestStatsAfterClose(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	for i, k := range kernels {
		k.send([]byte{1})
		if _, err := d.Queues()[i].Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	if err := d.Queues()[1].Close(); err != nil {
		t.Error(err)
	}
	if s, err := d.Stats(); err != ErrClosed || s.Frames != 3 || s.RxFrames != 2*7 {
		t.Errorf("of two queues: %+v, %v", s, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if s, err := d.Stats(); err != ErrClosed || s.Frames != 3 || s.RxFrames != 0 {
		t.Errorf("of none: %+v, %v", s, err)
	}
}

func TestDeviceRun(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	var sum atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	wait := start(ctx, d, func(b *Batch) error {
		for f := range b.Frames() {
			if len(f.Data) != b.Queue().Index()+1 {
				t.Errorf("queue %d got the frame of another", b.Queue().Index())
			}
			sum.Add(1)
		}
		if sum.Load() == 300 {
			cancel()
		}
		return nil
	})
	for range 100 {
		for i, k := range kernels {
			k.send(make([]byte, i+1))
		}
	}
	if err := wait(); err != context.Canceled {
		t.Error(err)
	}
}

func TestDeviceRunFirstError(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	wait := start(t.Context(), d, func(b *Batch) error {
		if b.Queue().Index() == 1 {
			return errStop
		}
		return nil
	})
	kernels[1].send([]byte{1})
	if err := wait(); err != errStop {
		t.Errorf("%v, want the Handler's error", err)
	}
}

// receiving reports whether a goroutine that is inside a function waits for a channel.
func receiving(function string) bool {
	text := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
		if strings.Contains(g, "[chan receive") && strings.Contains(g, function) {
			return true
		}
	}
	return false
}

// TestDeviceRunWaitsForAllQueues: the error of the first queue that ends is returned
// when all have ended.
func TestDeviceRunWaitsForAllQueues(t *testing.T) {
	d, kernels := newFakeDevice(t, 2)
	contexts, leave := make(chan context.Context, 1), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- d.Run(t.Context(), func(b *Batch) error {
			if b.Queue().Index() == 1 {
				contexts <- b.s.ctx
				<-leave
			}
			return errStop
		})
	}()
	kernels[1].send([]byte{1})
	ctx := <-contexts
	kernels[0].send([]byte{1})
	<-ctx.Done() // the first queue has ended
	until(t, "the wait for the second queue", func() bool { return len(result) > 0 || receiving("mytunev.(*Device).Run(") })
	if len(result) > 0 {
		t.Error("Run returned while a Handler was running")
	}
	close(leave)
	if err := <-result; err != errStop {
		t.Error(err)
	}
}

func TestDeviceClose(t *testing.T) {
	d, kernels := newFakeDevice(t, 3)
	wait := start(t.Context(), d, func(*Batch) error { return nil })
	if err := d.Queues()[1].Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != ErrClosed {
		t.Errorf("Run: %v, want ErrClosed", err)
	}
	if kernels[0].unmapped.Load() || !kernels[1].unmapped.Load() {
		t.Error("Close of a queue closed another")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for i, k := range kernels {
		if !k.unmapped.Load() {
			t.Errorf("queue %d is still mapped", i)
		}
	}
	if err := d.Close(); err != ErrClosed {
		t.Errorf("second Close: %v, want ErrClosed", err)
	}
}

// TestCloseOfHandlersThatCloseEachOther would deadlock if either Close waited for the other.
func TestCloseOfHandlersThatCloseEachOther(t *testing.T) {
	a, ka := newFake(t)
	b, kb := newFake(t)
	var meet [2]chan struct{}
	meet[0], meet[1] = make(chan struct{}), make(chan struct{})
	other := []*Queue{b, a}
	var waits []func() error
	for i, q := range []*Queue{a, b} {
		arrive := sync.OnceFunc(func() { close(meet[i]) })
		waits = append(waits, start(t.Context(), q, func(*Batch) error {
			arrive()
			<-meet[1-i]
			return other[i].Close()
		}))
	}
	ka.send([]byte{1})
	kb.send([]byte{1})
	for _, wait := range waits {
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	}
}

func TestCloseReportsErrors(t *testing.T) {
	d, _ := newFakeDevice(t, 2)
	d.queues[1].port.close = func() error { return errStop }
	if err := d.Close(); !errors.Is(err, errStop) {
		t.Errorf("Close: %v, want the error of the second queue", err)
	}
}

// TestLeakedDevice drops a device without Close.
func TestLeakedDevice(t *testing.T) {
	k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
	func() {
		d := newDevice("fake0", TUN, []port{k.port(nil)})
		if err := d.Send([]byte{1}); err != nil {
			t.Error(err)
		}
		d.SetReadDeadline(time.Now().Add(time.Millisecond)) // it has slept, too
		if _, err := d.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		d.SetDeadline(time.Now().Add(time.Hour)) // which nobody waits for
	}()
	until(t, "a device without references to be freed", func() bool { runtime.GC(); return k.unmapped.Load() })
}

// TestRunningDeviceIsNotLeaked keeps nothing but a Handler that runs.
func TestRunningDeviceIsNotLeaked(t *testing.T) {
	k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
	wait := start(t.Context(), newDevice("fake0", TUN, []port{k.port(nil)}), func(b *Batch) error {
		b.Queue().Close()
		return nil
	})
	for range 10 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if k.unmapped.Load() {
		t.Error("freed while Run sleeps")
	}
	k.send([]byte{1})
	if err := wait(); err != ErrClosed {
		t.Error(err)
	}
}

func TestSyscallConn(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	c, err := d.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd uintptr
	if err := c.Control(func(f uintptr) { fd = f }); err != nil || fd != 42 {
		t.Errorf("Control: %d, %v", fd, err)
	}
	if err := c.Read(nil); err != ErrNotSupported {
		t.Errorf("Read: %v", err)
	}
	if err := c.Write(nil); err != ErrNotSupported {
		t.Errorf("Write: %v", err)
	}
}

// TestSyscallConnKeepsDevice: a program may keep nothing else of a device.
func TestSyscallConnKeepsDevice(t *testing.T) {
	k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
	c, err := newDevice("fake0", TUN, []port{k.port(nil)}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if err := c.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
	c.(rawConn).q.Close()
}

// TestHandlerThatExits: of one queue it takes the caller of Run along, of several it ends Run.
func TestHandlerThatExits(t *testing.T) {
	for _, queues := range []int{1, 3} {
		d, kernels := newFakeDevice(t, queues)
		kernels[0].send([]byte{1})
		result := make(chan error, 1)
		within(t, "Run", func() {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				result <- d.Run(t.Context(), func(*Batch) error { runtime.Goexit(); return nil })
			}()
			<-ended
		})
		if len(result) == 1 != (queues > 1) {
			t.Errorf("%d queues: Run returned: %v", queues, len(result) == 1)
		} else if queues > 1 && <-result != errGoexit {
			t.Errorf("%d queues: not %v", queues, errGoexit)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		for i, k := range kernels {
			if !k.unmapped.Load() {
				t.Errorf("%d queues: the rings of %d are still mapped", queues, i)
			}
		}
	}
}
