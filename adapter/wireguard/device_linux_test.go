// SPDX-License-Identifier: MIT

package wireguard

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"golang.zx2c4.com/wireguard/tun"
)

func newPair(t *testing.T, c mytunev.Config) (*Device, *mytuntest.Kernel) {
	t.Helper()
	dev, kernel, err := mytuntest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, kernel
}

// buffers are those of a reader: so many of so many bytes.
func buffers(n, length int) ([][]byte, []int) {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, length)
	}
	return bufs, make([]int, n)
}

func receive(t *testing.T, k *mytuntest.Kernel) mytuntest.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchdog.Bound)
	defer cancel()
	p, err := k.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// readAll reads until it has so many packets.
func readAll(t *testing.T, d *Device, count, buffersEach, offset int) (packets [][]byte) {
	t.Helper()
	for len(packets) < count {
		bufs, sizes := buffers(buffersEach, 2000)
		n, err := d.Read(bufs, sizes, offset)
		if err != nil || n == 0 || n > buffersEach {
			t.Fatalf("%d packets, %v", n, err)
		}
		for i := range n {
			packets = append(packets, bufs[i][offset:offset+sizes[i]])
		}
	}
	return packets
}

func checkPackets(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("packet %d is another", i)
		}
	}
}

// TestRead: one packet after the other, however many buffers there are.
func TestRead(t *testing.T) {
	for _, each := range []int{1, 3, batchSize} {
		d, k := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
		var want [][]byte
		for i := range 300 {
			p := datagram(pattern(i, 1+i%1400))
			want = append(want, p)
			if err := k.Send(0, p); err != nil {
				t.Fatal(err)
			}
		}
		checkPackets(t, readAll(t, d, len(want), each, 16), want)
	}
}

// TestReadSuperPackets: what one stands for comes in order and complete, also where it has more than
// a Read has buffers, or than are left, and with packets before and behind it.
func TestReadSuperPackets(t *testing.T) {
	for _, each := range []int{1, 7, batchSize} {
		d, k := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
		var want [][]byte
		for i, segments := range []int{1, 40, 3, 44, 2} {
			var all []byte
			for s := range segments {
				all = append(all, pattern(100*i+s, 1200)...)
			}
			all = all[:len(all)-i] // the last may be shorter
			v := vnet(1200)
			if segments == 1 {
				v = vnet(0)
			}
			if err := k.SendVNet(0, unsummed(all), v); err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(all); at += 1200 {
				want = append(want, datagram(all[at:min(at+1200, len(all))]))
			}
		}
		got := readAll(t, d, len(want), each, 0)
		for i := range got { // each segment has an identification of its own
			if len(got[i]) != len(want[i]) || !bytes.Equal(got[i][20:], want[i][20:]) {
				t.Fatalf("%d buffers: packet %d is another", each, i)
			}
		}
	}
}

// TestReadShortBuffer: what does not fit is lost, and nothing else.
func TestReadShortBuffer(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	long, short := datagram(pattern(1, 3000)), datagram(pattern(2, 10))
	for _, p := range [][]byte{long, short} {
		if err := k.Send(0, p); err != nil {
			t.Fatal(err)
		}
	}
	checkPackets(t, readAll(t, d, 1, 4, 0), [][]byte{short})
	if n, err := d.Read(nil, nil, 0); n != 0 || err != nil {
		t.Errorf("%d, %v without buffers", n, err)
	}
}

// TestWriteJoins: packets of a flow that follow each other are one super-packet to the kernel.
func TestWriteJoins(t *testing.T) {
	d, k := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
	const offset = 16
	var bufs [][]byte
	var all []byte
	for i := range 20 {
		bufs = append(bufs, append(make([]byte, offset), datagram(pattern(i, 1000))...))
		all = append(all, pattern(i, 1000)...)
	}
	if n, err := d.Write(bufs, offset); n != len(bufs) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	p := receive(t, k)
	if p.VNet.GSOType != mytunev.GSOUDPL4 || p.VNet.GSOSize != 1000 || !bytes.Equal(p.Data[headers:], all) {
		t.Errorf("%+v with %d bytes", p.VNet, len(p.Data))
	}
}

// TestWriteWithoutOffload: to a device that knows no super-packets all go one by one.
func TestWriteWithoutOffload(t *testing.T) {
	d, k := newPair(t, mytunev.Config{})
	var bufs, got [][]byte
	for i := range 20 {
		bufs = append(bufs, datagram(pattern(i, 1000)))
	}
	if n, err := d.Write(append(bufs, nil), 0); n != len(bufs)+1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for range bufs {
		got = append(got, receive(t, k).Data)
	}
	checkPackets(t, got, bufs)
}

func TestClose(t *testing.T) {
	d, _ := newPair(t, mytunev.Config{})
	if event := <-d.Events(); event != tun.EventUp {
		t.Errorf("event %v, want up", event)
	}
	read := make(chan error, 1)
	go func() {
		bufs, sizes := buffers(1, 100)
		_, err := d.Read(bufs, sizes, 0)
		read <- err
	}()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v, want os.ErrClosed", err)
	}
	if n, err := d.Write([][]byte{datagram([]byte("x"))}, 0); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %d, %v, want os.ErrClosed", n, err)
	}
	if event, ok := <-d.Events(); ok {
		t.Errorf("event %v after Close", event)
	}
	if err := d.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a second Close: %v, want os.ErrClosed", err)
	}
}

func TestProperties(t *testing.T) {
	d, _ := newPair(t, mytunev.Config{Name: "wg7"})
	name, err := d.Name()
	if name != "wg7" || err != nil || d.BatchSize() != 128 || d.File() != nil {
		t.Errorf("%s, %v, %d, %v", name, err, d.BatchSize(), d.File())
	}
	if mtu, err := d.MTU(); mtu != 1500 || err != nil {
		t.Errorf("MTU %d, %v", mtu, err)
	}
	ethernet, _, err := mytuntest.New(mytunev.Config{Mode: mytunev.TAP})
	if err != nil {
		t.Fatal(err)
	}
	defer ethernet.Close()
	if _, err := New(ethernet); err == nil {
		t.Error("a TAP device was taken")
	}
}

// TestOpen asks for less where the kernel has less, and for nothing else than a name.
func TestOpen(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		errs []error // of the calls
		want error
	}{
		{[]error{nil}, nil},
		{[]error{mytunev.ErrNotSupported, nil}, nil},
		{[]error{mytunev.ErrNotSupported, other}, other},
		{[]error{other}, other},
		{[]error{mytunev.ErrNoModule}, mytunev.ErrNoModule},
	} {
		var asked []mytunev.Config
		_, err := open(func(config mytunev.Config) (*mytunev.Device, error) {
			asked = append(asked, config)
			return nil, c.errs[len(asked)-1]
		}, "wg0")
		if err != c.want || len(asked) != len(c.errs) {
			t.Errorf("%v: %v after %d calls", c.errs, err, len(asked))
		}
		const uso = mytunev.OffloadUSO4 | mytunev.OffloadUSO6
		for i, config := range asked {
			want := mytunev.Config{Name: "wg0", Offload: mytunev.AllOffloads}
			if i == 1 {
				want.Offload &^= uso
			}
			if config != want {
				t.Errorf("call %d: %+v", i, config)
			}
		}
	}
}

// TestCreateTUNFromFileFails: a file that is no device's stays the caller's.
func TestCreateTUNFromFileFails(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := CreateTUNFromFile(file, 1420); err == nil || !strings.Contains(err.Error(), os.DevNull) {
		t.Errorf("%v, %v", d, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
