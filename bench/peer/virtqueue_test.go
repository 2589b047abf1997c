// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// A fakeDevice is the other side of a virtqueue.
type fakeDevice struct {
	*virtqueue
	taken, done uint16
}

func newFake(t *testing.T, n uint16, size int) *fakeDevice {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, queueBytes(n, size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	return &fakeDevice{virtqueue: newVirtqueue(memory, n, size, true)}
}

// available takes the next offered descriptor.
func (d *fakeDevice) available() (i uint16, ok bool) {
	if binary.LittleEndian.Uint16(d.avail[2:]) == d.taken {
		return 0, false
	}
	i = binary.LittleEndian.Uint16(d.avail[4+2*int(d.taken%d.n):])
	d.taken++
	return i, true
}

// finish puts a descriptor into the used ring.
func (d *fakeDevice) finish(i uint16, length uint32) {
	entry := d.used[4+8*int(d.done%d.n):]
	binary.LittleEndian.PutUint32(entry, uint32(i))
	binary.LittleEndian.PutUint32(entry[4:], length)
	d.done++
	binary.LittleEndian.PutUint16(d.used[2:], d.done)
}

// wantKick sets avail_event.
func (d *fakeDevice) wantKick(event uint16) {
	binary.LittleEndian.PutUint16(d.used[4+8*int(d.n):], event)
}

func (d *fakeDevice) usedEvent() uint16 {
	return binary.LittleEndian.Uint16(d.avail[4+2*int(d.n):])
}

func TestVirtqueueLayout(t *testing.T) {
	const n, size = 8, 256
	d := newFake(t, n, size)
	for i := range uint16(n) {
		desc := d.desc[16*i:]
		if got := binary.LittleEndian.Uint64(desc); got != uint64(address(d.buffers))+uint64(i)*size {
			t.Errorf("descriptor %d is at %#x", i, got)
		}
		if binary.LittleEndian.Uint32(desc[8:]) != size || binary.LittleEndian.Uint16(desc[12:]) != 2 {
			t.Errorf("descriptor %d: %x, want %d writable bytes", i, desc[:16], size)
		}
	}
	if address(d.desc)%16 != 0 || address(d.avail)%2 != 0 || address(d.used)%4 != 0 {
		t.Error("a part is not aligned")
	}
	d.setLength(3, 77)
	if got := binary.LittleEndian.Uint32(d.desc[3*16+8:]); got != 77 {
		t.Errorf("length %d, want 77", got)
	}
}

// TestVirtqueueGoesRound lets all indices wrap.
func TestVirtqueueGoesRound(t *testing.T) {
	const n = 4
	d := newFake(t, n, 64)
	for turn := range 70000 {
		i := uint16(turn % n)
		d.offer(i)
		if _, ok := d.available(); ok {
			t.Fatal("the device sees what was not published")
		}
		d.publish()
		got, ok := d.available()
		if !ok || got != i {
			t.Fatalf("turn %d: the device got %d, %v, want %d", turn, got, ok, i)
		}
		if d.pending() != 0 {
			t.Fatalf("turn %d: something is pending", turn)
		}
		d.finish(got, uint32(turn))
		if d.pending() != 1 {
			t.Fatalf("turn %d: %d are pending, want 1", turn, d.pending())
		}
		if got, length := d.take(); got != i || length != turn {
			t.Fatalf("turn %d: took %d, %d", turn, got, length)
		}
	}
}

func TestVirtqueueKicksOnlyIfWanted(t *testing.T) {
	d := newFake(t, 8, 64)
	if d.publish() {
		t.Error("nothing was offered, and the device is kicked")
	}
	d.wantKick(1) // when the second comes
	d.offer(0)
	if d.publish() {
		t.Error("the first is not to kick")
	}
	d.offer(1)
	if !d.publish() {
		t.Error("the second is to kick")
	}
	d.offer(2)
	if d.publish() {
		t.Error("the third is not to kick")
	}
}

func TestVirtqueueArm(t *testing.T) {
	d := newFake(t, 8, 64)
	if d.arm(0) || d.usedEvent() != 0 {
		t.Errorf("ready, or event %d, want 0", d.usedEvent())
	}
	d.finish(0, 1)
	if !d.arm(0) || d.arm(1) || d.usedEvent() != 1 {
		t.Errorf("one is pending, event %d", d.usedEvent())
	}
	d.finish(1, 1)
	if !d.arm(1) {
		t.Error("two are pending and more than one is not there")
	}
}

func TestNeedEvent(t *testing.T) {
	for _, c := range []struct {
		event, next, old uint16
		want             bool
	}{{0, 1, 0, true}, {1, 1, 0, false}, {65535, 0, 65535, true}, {65535, 1, 65530, true}, {5, 5, 0, false}, {4, 5, 0, true}, {10, 5, 0, false}} {
		if got := needEvent(c.event, c.next, c.old); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
