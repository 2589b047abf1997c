// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// testDeviceQueues: the frames of a flow come by one queue, whose Handler runs on its CPU, and
// by the one that is left when the other is closed.
func testDeviceQueues(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one CPU")
	}
	d := openDevice(t, Config{Queues: 2, CPUs: "0-1"})
	setUp(t, d)
	var mu sync.Mutex
	flows := map[string]int{} // the queue of each, by its ports
	var frames [2]int
	handler := func(b *Batch) error {
		index := b.Queue().Index()
		var at unix.CPUSet
		if err := unix.SchedGetaffinity(0, &at); err != nil || at.Count() != 1 || !at.IsSet(index) {
			t.Errorf("queue %d: its Handler may run on %d CPUs, %v", index, at.Count(), err)
		}
		for f := range b.Frames() {
			if isUDP(f.Data) {
				mu.Lock()
				flow := string(f.Data[12:24])
				if first, known := flows[flow]; known && first != index {
					t.Errorf("flow %x came by queue %d, and by %d", flow, first, index)
				}
				flows[flow] = index
				frames[index]++
				mu.Unlock()
			}
			if err := echoFrame(b, f); err != nil {
				return err
			}
		}
		return nil
	}
	var ended [2]sync.WaitGroup
	for i, q := range d.Queues() {
		ended[i].Go(func() {
			if err := q.Run(t.Context(), handler); err != ErrClosed {
				t.Errorf("queue %d: %v, want ErrClosed", q.Index(), err)
			}
		})
	}
	pingMany := func() {
		var group sync.WaitGroup
		for i := range 24 {
			group.Go(func() {
				if err := ping(fmt.Sprintf("10.9.0.%d:7", 2+i), 30, 100); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	pingMany()
	mu.Lock()
	if len(flows) != 24 || frames[0] == 0 || frames[1] == 0 {
		t.Errorf("%d flows; frames by queue: %v", len(flows), frames)
	}
	clear(flows)
	frames = [2]int{}
	mu.Unlock()
	if err := d.Queues()[1].Close(); err != nil {
		t.Error(err)
	}
	// the Handler that sent the last answer may be on its way back: until then it gets frames
	ended[1].Wait()
	pingMany()
	d.Close()
	ended[0].Wait()
	if frames != [2]int{24 * 30, 0} {
		t.Errorf("frames by queue: %v, want all by the one that is left", frames)
	}
}

// withDescriptor calls an ioctl that takes a number.
func withDescriptor(t *testing.T, d *Device, request uint, value int) {
	t.Helper()
	raw, err := d.SyscallConn()
	if err == nil {
		if e := raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), request, value) }); e != nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testDevicePersistent: a device that stays is what the one who opens it next asks for, and not
// what the one before asked for.
func testDevicePersistent(t *testing.T) {
	d := openDevice(t, Config{Name: "kept0", Exclusive: true})
	setUp(t, d)
	withDescriptor(t, d, unix.TUNSETPERSIST, 1)
	d.Close()
	if !exists("kept0") {
		t.Fatal("a persistent device is gone")
	}
	for _, c := range []Config{
		{Offload: OffloadTSO4 | OffloadTSO6}, {}, {Offload: OffloadTx}, {Offload: OffloadChecksum, Headroom: 16}, {},
	} {
		c.Name = "kept0"
		d := openDevice(t, c)
		s := &farSide{}
		wait := start(t.Context(), d, s.handle)
		if err := errors.Join(ping("10.9.0.2:7", 10, 1000), carry("10.9.0.2", 1<<20)); err != nil {
			t.Errorf("%v: %v", c.Offload, err)
		}
		if whole := s.supers.Load() != 0; whole != (c.Offload&OffloadTSO4 != 0) {
			t.Errorf("%v: super-packets came: %v", c.Offload, whole)
		}
		for other, want := range map[*Config]error{
			{}: syscall.EBUSY, {Exclusive: true}: syscall.EBUSY,
			{Mode: TAP}: syscall.EINVAL, {Queues: 2}: syscall.EINVAL,
		} {
			other.Name = "kept0"
			if _, err := Open(*other); !errors.Is(err, want) {
				t.Errorf("%+v: %v, want %v", *other, err, want)
			}
		}
		d.Close()
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
	}
	d = openDevice(t, Config{Name: "kept0"})
	withDescriptor(t, d, unix.TUNSETPERSIST, 0)
	d.Close()
	if exists("kept0") {
		t.Error("the device outlives Close")
	}
}

// testDeviceOwner: its owner opens a device without a capability, and nobody else does.
func testDeviceOwner(t *testing.T) {
	const owner = 4711
	d := openDevice(t, Config{Name: "owned0"})
	setUp(t, d)
	withDescriptor(t, d, unix.TUNSETPERSIST, 1)
	withDescriptor(t, d, unix.TUNSETOWNER, owner)
	d.Close()
	for _, node := range []string{defaultPath, tunPath} {
		if err := os.Chmod(node, 0o666); err != nil { // as the rules of udev say
			t.Fatal(err)
		}
	}
	as := func(uid uintptr, c Config) (d *Device, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid); errno != 0 {
				err = errno
				return
			}
			d, err = Open(c)
		}()
		<-done
		return d, err
	}
	for uid, c := range map[uintptr]Config{owner: {Name: "other0"}, owner + 1: {Name: "owned0"}} {
		if _, err := as(uid, c); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("user %d opens %s: %v, want EPERM and what to do", uid, c.Name, err)
		}
	}
	d, err := as(owner, Config{Name: "owned0", Offload: OffloadTSO4 | OffloadTSO6})
	if err != nil {
		t.Fatal(err)
	}
	wait := start(t.Context(), d, (&farSide{}).handle)
	if err := errors.Join(ping("10.9.0.2:7", 10, 1000), carry("10.9.0.2", 1<<20)); err != nil {
		t.Error(err)
	}
	withDescriptor(t, d, unix.TUNSETPERSIST, 0)
	d.Close()
	wait()
}

// testDeviceOfAnotherKind: who joins a device whose frames look otherwise gets an error, and no
// frames that it would misread. The device goes on. For its name see openDevice.
func testDeviceOfAnotherKind(t *testing.T) {
	for _, c := range []struct{ first, second Offload }{{0, OffloadTx}, {OffloadTx, 0}} {
		d := openDevice(t, Config{Name: "stock0", Queues: 2, Offload: c.first})
		setUp(t, d)
		wait := start(t.Context(), d, (&farSide{}).handle)
		before := countFDs(t)
		_, err := Open(Config{Name: "stock0", Queues: 2, Offload: c.second})
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "such a device exists and is not") {
			t.Errorf("%v joins %v: %v, want EINVAL and why", c.second, c.first, err)
		}
		if after := countFDs(t); after != before {
			t.Errorf("%d descriptors, before %d", after, before)
		}
		same, err := Open(Config{Name: "stock0", Queues: 2, Offload: c.first})
		if err != nil {
			t.Fatal(err)
		}
		same.Close()
		if err := ping("10.9.0.2:7", 100, 100); err != nil {
			t.Errorf("%v: %v", c.first, err)
		}
		d.Close()
		wait()
	}
}
