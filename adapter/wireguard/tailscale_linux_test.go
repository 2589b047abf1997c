// SPDX-License-Identifier: MIT

package wireguard

import (
	"errors"
	"os"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"
)

// What the fork has of these names, whose module is not this one's to depend on.
type (
	forkEvent      int
	forkReadPacket struct{ Offset, Size int }
	forkDevice     interface {
		File() *os.File
		Read(slab []byte, packets []forkReadPacket) (n int, err error)
		Write(bufs [][]byte, offset int) (int, error)
		MTU() (int, error)
		Name() (string, error)
		Events() <-chan forkEvent
		Close() error
		BatchSize() int
	}
	forkTUN = TailscaleDevice[forkEvent, forkReadPacket]
)

var _ forkDevice = (*forkTUN)(nil)

func newTailscale(t *testing.T, c mytunev.Config) (*forkTUN, *mytuntest.Kernel) {
	t.Helper()
	dev, kernel, err := mytuntest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewTailscale[forkEvent, forkReadPacket](dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, kernel
}

// readSlabs reads until it has so many packets, and looks at the room around each.
func readSlabs(t *testing.T, d *forkTUN, count, length, entries int) (got [][]byte) {
	t.Helper()
	for len(got) < count {
		slab, packets := make([]byte, length), make([]forkReadPacket, entries)
		n, err := d.Read(slab, packets)
		if err != nil || n == 0 || n > entries {
			t.Fatalf("%d packets, %v", n, err)
		}
		end := 0
		for _, p := range packets[:n] {
			if p.Offset != end+slabSpacing {
				t.Fatalf("a packet at %d behind one that ends at %d", p.Offset, end)
			}
			end = p.Offset + p.Size
			if end+slabSpacing > length {
				t.Fatalf("a packet ends at %d of %d", end, length)
			}
			got = append(got, slab[p.Offset:end])
		}
	}
	return got
}

// TestSlab: packets and what super-packets stand for come in order and complete, whatever of a slab ends first: its
// memory or its entries.
func TestSlab(t *testing.T) {
	const size = 1200
	for _, c := range []struct{ length, entries int }{
		{size + headers + 2*slabSpacing, 128}, {size + headers + 2*slabSpacing, 1}, {5000, 128}, {1 << 16, 128}, {1 << 16, 3}, {1 << 18, 128},
	} {
		d, k := newTailscale(t, mytunev.Config{Offload: mytunev.AllOffloads})
		var want [][]byte
		for i, segments := range []int{1, 40, 1, 1, 3, 44, 1, 2} {
			var all []byte
			for s := range segments {
				all = append(all, pattern(100*i+s, size)...)
			}
			all = all[:len(all)-i] // the last may be shorter
			v := vnet(size)
			if segments == 1 {
				v = vnet(0)
			}
			if err := k.SendVNet(0, unsummed(all), v); err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(all); at += size {
				want = append(want, datagram(all[at:min(at+size, len(all))])[headers:])
			}
		}
		got := readSlabs(t, d, len(want), c.length, c.entries)
		for i := range got {
			got[i] = got[i][headers:]
		}
		checkPackets(t, got, want)
	}
}

// TestSlabTooShort: what does not fit is lost, and nothing else; a slab that nothing fits into is an error at once.
func TestSlabTooShort(t *testing.T) {
	d, k := newTailscale(t, mytunev.Config{})
	long, short := datagram(pattern(1, 3000)), datagram(pattern(2, 10))
	for _, p := range [][]byte{long, short} {
		if err := k.Send(0, p); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Read(make([]byte, 2*slabSpacing), make([]forkReadPacket, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v with a slab without room", n, err)
	}
	if n, err := d.Read(make([]byte, 5000), nil); n != 0 || err == nil {
		t.Errorf("%d, %v without entries", n, err)
	}
	checkPackets(t, readSlabs(t, d, 1, 3000, 4), [][]byte{short})
}

// TestTailscaleClose: also with an event that nobody has read.
func TestTailscaleClose(t *testing.T) {
	for _, heard := range []bool{true, false} {
		d, _ := newTailscale(t, mytunev.Config{})
		if heard {
			if event := <-d.Events(); event != 1 {
				t.Errorf("event %v, want up", event)
			}
		}
		read := make(chan error)
		go func() {
			_, err := d.Read(make([]byte, 5000), make([]forkReadPacket, 1))
			read <- err
		}()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read: %v, want os.ErrClosed", err)
		}
		for range d.Events() { // ends
		}
		if err := d.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a second Close: %v, want os.ErrClosed", err)
		}
	}
}

func TestTailscaleMode(t *testing.T) {
	ethernet, _, err := mytuntest.New(mytunev.Config{Mode: mytunev.TAP})
	if err != nil {
		t.Fatal(err)
	}
	defer ethernet.Close()
	if _, err := NewTailscale[forkEvent, forkReadPacket](ethernet); err == nil {
		t.Error("a TAP device was taken")
	}
}
