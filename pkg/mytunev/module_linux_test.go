// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

// These tests need root and the module: they open real devices.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"github.com/vishvananda/netlink"
)

// openDevice has one of several queues over stock tun called stock0: test/complaints.sh knows what stock tun does when they go one by one.
func openDevice(t *testing.T, c Config) *Device {
	t.Helper()
	if c.Name == "" && c.Queues > 1 && onTun() {
		c.Name = "stock%d"
	}
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// setUp gives d an address and sets it up. The network behind it is 10.9.0.0/24.
func setUp(t *testing.T, d *Device) {
	t.Helper()
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	address, _ := netlink.ParseAddr("10.9.0.1/24")
	if err := netlink.AddrAdd(link, address); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
}

func exists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// isUDP reports whether p is an IPv4 packet with UDP and no options.
func isUDP(p []byte) bool {
	return len(p) >= 28 && p[0] == 0x45 && p[9] == 17
}

// turnAround makes the answer of a UDP echo server out of a packet to it. Sums
// do not care for order, so all checksums stay valid.
func turnAround(p []byte) {
	var address [4]byte
	copy(address[:], p[12:])
	copy(p[12:16], p[16:])
	copy(p[16:20], address[:])
	p[20], p[21], p[22], p[23] = p[22], p[23], p[20], p[21]
}

func echo(b *Batch) error {
	for f := range b.Frames() {
		if err := echoFrame(b, f); err != nil {
			return err
		}
	}
	return nil
}

// echoFrame answers f, if it is of UDP.
func echoFrame(b *Batch, f Frame) error {
	if !isUDP(f.Data) {
		return nil
	}
	turnAround(f.Data)
	slot, err := b.Reserve(len(f.Data))
	if err == ErrFull {
		if err = b.WaitSpace(len(f.Data)); err == nil {
			slot, err = b.Reserve(len(f.Data))
		}
	}
	if err != nil {
		return err
	}
	return b.CommitVNet(copy(slot, f.Data), f.VNet())
}

// ping sends messages to a UDP echo server one at a time and wants them back.
func ping(to string, count, size int) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	got := make([]byte, size+1)
	for i := range count {
		c.SetDeadline(time.Now().Add(watchdog.Bound))
		sent := pattern(size, byte(i))
		if _, err := c.Write(sent); err != nil {
			return err
		}
		n, err := c.Read(got)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if !bytes.Equal(got[:n], sent) {
			return fmt.Errorf("message %d: %d bytes that were not sent", i, n)
		}
	}
	return nil
}

func testDeviceEcho(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":       {},
		"small rings": {RxRing: 128 << 10, TxRing: 128 << 10},
		"no poll":     {Poll: -1},
		"long poll":   {Poll: 100 * time.Millisecond},
		"vnet":        {Offload: OffloadTx},
		"queues":      {Queues: 3},
		"wake bytes":  {WakeBytes: 64 << 10},
		"busy poll":   {BusyPoll: 50 * time.Microsecond},
		"threads":     {LockThreads: true, Queues: 2},
		"CPUs":        {CPUs: "0", Queues: 2, BusyPoll: 20 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDevice(t, c)
			setUp(t, d)
			for i, q := range d.Queues() {
				if want := c.loop(i); q.loop != want {
					t.Errorf("queue %d: %+v, want %+v", i, q.loop, want)
				}
			}
			wait := start(t.Context(), d, echo)
			var group sync.WaitGroup
			for client := range 4 {
				group.Add(1)
				go func() {
					defer group.Done()
					if err := ping(fmt.Sprintf("10.9.0.%d:7", 2+client), 300, 1+client*400); err != nil {
						t.Error(err)
					}
				}()
			}
			group.Wait()
			// The last answer may be there before it is counted.
			until(t, "1200 frames counted", func() bool { s, err := d.Stats(); return err != nil || s.TxFrames >= 1200 })
			s, err := d.Stats()
			if err != nil || s.Frames < 1200 || s.TxFrames < 1200 || s.Malformed != 0 ||
				s.TxRefusedLength+s.TxRefusedFlags+s.TxRefusedVNet+s.TxRefusedProtocol != 0 {
				t.Errorf("%+v, %v", s, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if err := wait(); err != ErrClosed {
				t.Error(err)
			}
			if exists(d.Name()) {
				t.Error("the device outlives Close")
			}
		})
	}
}

// testDeviceFlowHash: the frames of a flow have one hash, where the program asked for it.
func testDeviceFlowHash(t *testing.T) {
	for _, asked := range []bool{false, true} {
		d := openDevice(t, Config{FlowHash: asked})
		setUp(t, d)
		var hashes []uint32
		wait := start(t.Context(), d, func(b *Batch) error {
			for f := range b.Frames() {
				if f.HashValid != (asked && !onTun()) {
					t.Errorf("FlowHash %v: a frame with HashValid %v", asked, f.HashValid)
				}
				if isUDP(f.Data) {
					hashes = append(hashes, f.Hash)
				}
				if err := echoFrame(b, f); err != nil {
					return err
				}
			}
			return nil
		})
		if err := ping("10.9.0.2:7", 3, 100); err != nil {
			t.Error(err)
		}
		d.Close()
		wait()
		if len(hashes) != 3 || hashes[0] != hashes[1] || hashes[1] != hashes[2] || (hashes[0] != 0) != (asked && !onTun()) {
			t.Errorf("FlowHash %v: the hashes %#x", asked, hashes)
		}
	}
}

func testDeviceReadWrite(t *testing.T) {
	d := openDevice(t, Config{})
	setUp(t, d)
	go func() {
		p := make([]byte, 2000)
		for {
			n, err := d.Read(p)
			if err != nil {
				return
			}
			if isUDP(p[:n]) {
				turnAround(p[:n])
				d.Write(p[:n])
			}
		}
	}()
	if err := ping("10.9.0.2:7", 1000, 100); err != nil {
		t.Error(err)
	}
	d.SetReadDeadline(time.Now())
	if mtu, err := d.MTU(); mtu != 1500 || err != nil {
		t.Errorf("MTU: %d, %v", mtu, err)
	}
}

// testDeviceReadBatch answers in a loop of its own, until a deadline ends it.
func testDeviceReadBatch(t *testing.T) {
	d := openDevice(t, Config{Offload: AllOffloads &^ (OffloadUSO4 | OffloadUSO6)})
	setUp(t, d)
	q := d.Queues()[0]
	result := make(chan error, 1)
	go func() { result <- pullAll(q, echo) }()
	if err := ping("10.9.0.2:7", 1000, 100); err != nil {
		t.Error(err)
	}
	q.SetReadDeadline(time.Unix(1, 0))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
	q.SetReadDeadline(time.Time{})
	go func() { result <- pullAll(q, echo) }()
	if err := ping("10.9.0.2:7", 10, 1400); err != nil {
		t.Error(err)
	}
	d.Close()
	if err := <-result; err != ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// testDeviceInterface renames the device, and asks it for what it has kept.
func testDeviceInterface(t *testing.T) {
	d := openDevice(t, Config{})
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.Name(), "renamed0"} {
		if err := netlink.LinkSetName(link, name); err != nil {
			t.Fatal(err)
		}
		if index, err := d.Index(); index != link.Attrs().Index || err != nil {
			t.Errorf("%s: index %d, %v, want %d", name, index, err, link.Attrs().Index)
		}
		for _, mtu := range []int{68, 65535, 1280} {
			err := d.SetMTU(mtu)
			if got, e := d.MTU(); err != nil || e != nil || got != mtu {
				t.Errorf("%s: MTU %d, %v, %v, want %d", name, got, err, e, mtu)
			}
		}
		for _, mtu := range []int{-1, 0, 67, 65536, math.MinInt + 1500} { // whose lower half is right
			if err := d.SetMTU(mtu); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "68 to 65535") {
				t.Errorf("%s: MTU %d: %v, want EINVAL", name, mtu, err)
			}
		}
	}
	if now, err := net.InterfaceByName("renamed0"); err != nil || now.MTU != 1280 {
		t.Errorf("%+v, %v", now, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Index(); err != ErrDetached {
		t.Errorf("Index of a device that is gone: %v, want ErrDetached", err)
	}
	if err := d.SetMTU(1400); err != ErrDetached {
		t.Errorf("SetMTU of a device that is gone: %v, want ErrDetached", err)
	}
}

// testDeviceRoom answers from a copy after all room around the frames was written to, with
// a vnet header and without, in rings that wrap.
func testDeviceRoom(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":     {Headroom: 16, Tailroom: 16},
		"vnet":      {Headroom: 1, Tailroom: 255, Offload: AllOffloads &^ (OffloadUSO4 | OffloadUSO6)},
		"in front":  {Headroom: 256},
		"behind":    {Tailroom: 256},
		"TX alone":  {Headroom: 50, Offload: OffloadTx},
		"with hash": {Headroom: 7, Tailroom: 9, FlowHash: !onTun()},
	} {
		t.Run(name, func(t *testing.T) {
			c.RxRing = 128 << 10
			d := openDevice(t, c)
			setUp(t, d)
			answer := func(b *Batch) error {
				for f := range b.Frames() {
					room := f.Extend(c.Headroom, c.Tailroom)
					if len(room) != c.Headroom+len(f.Data)+c.Tailroom {
						return fmt.Errorf("%d bytes with room, of %d without", len(room), len(f.Data))
					}
					clear(room[:c.Headroom])
					clear(room[c.Headroom+len(f.Data):])
					if err := echoFrame(b, f); err != nil {
						return err
					}
				}
				return nil
			}
			ended := make(chan error, 1)
			go func() { ended <- d.Run(context.Background(), answer) }()
			for _, size := range []int{0, 1, 32, 64, 1400} {
				if err := ping("10.9.0.2:7", 200, size); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			d.Close()
			if err := <-ended; err != ErrClosed {
				t.Errorf("%v, want ErrClosed", err)
			}
		})
	}
}

// testDeviceSetOffload turns checksums off and on while another socket sends as much as may
// wait, so that nothing is dropped: a datagram that is sent afterwards is as it was asked for.
func testDeviceSetOffload(t *testing.T) {
	d := openDevice(t, Config{Offload: OffloadTx, Backpressure: !onTun()})
	setUp(t, d)
	dial := func(to string) net.Conn {
		c, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	counted, other := dial("10.9.0.2:7"), dial("10.9.0.2:8")
	left, room := make(chan bool, 1), make(chan struct{}, 100)
	wait := start(t.Context(), d, func(b *Batch) error {
		for f := range b.Frames() {
			switch {
			case !isUDP(f.Data):
			case f.Data[23] == 7:
				left <- f.NeedsChecksum()
			case f.Data[23] == 8:
				<-room
			}
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var sender sync.WaitGroup
	sender.Go(func() {
		for {
			select {
			case room <- struct{}{}:
				other.Write(make([]byte, 500))
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range 50 {
		o := []Offload{OffloadTx, OffloadChecksum, 0, OffloadTSO4 | OffloadTSO6}[i%4]
		if err := d.SetOffload(o); err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		if _, err := counted.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-left:
			if got != o.rx() {
				t.Errorf("%v: the checksum was left to the process: %v", o, got)
			}
		case <-time.After(watchdog.Bound):
			t.Fatalf("%v: no frame", o)
		}
	}
	stop()
	sender.Wait()
	if link, err := netlink.LinkByName(d.Name()); err != nil || netlink.LinkDel(link) != nil {
		t.Fatal(err)
	}
	wait()
	if err := d.SetOffload(OffloadTx); err != ErrDetached {
		t.Errorf("of a device that is gone: %v, want ErrDetached", err)
	}
	d.Close()
	if err := d.SetOffload(OffloadTx); err != ErrClosed {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// testDeviceFlood sends many times the ring, without and with waiting.
func testDeviceFlood(t *testing.T) {
	const frames = 20000
	d := openDevice(t, Config{TxRing: 128 << 10})
	setUp(t, d)
	packet := make([]byte, 1000)
	copy(packet, []byte{0x45, 0, 1000 >> 8, 1000 & 0xFF, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1})
	for range frames {
		if err := d.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	err := d.Queues()[0].SendBatch(func(tx *Tx) error {
		for range frames {
			if err := tx.Send(packet); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var s Stats
	until(t, "all frames counted", func() bool { s, err = d.Stats(); return err != nil || s.TxFrames == 2*frames })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sleeps for room, %d doorbells for %d frames", s.SpaceWaits, s.Doorbells, s.TxFrames)
}

func testDeviceDetached(t *testing.T) {
	d := openDevice(t, Config{Queues: 2})
	wait := start(t.Context(), d, echo)
	q := d.Queues()[1]
	asleep(&q.framesGate)
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != ErrDetached {
		t.Errorf("Run: %v, want ErrDetached", err)
	}
	if err := q.Send([]byte{0x45}); err != ErrDetached {
		t.Errorf("Send: %v, want ErrDetached", err)
	}
	if _, err := q.Read(nil); err != ErrDetached {
		t.Errorf("Read: %v, want ErrDetached", err)
	}
	if _, err := d.MTU(); err != ErrDetached {
		t.Errorf("MTU: %v, want ErrDetached", err)
	}
	if err := d.DetachFilter(); err != ErrDetached {
		t.Errorf("DetachFilter: %v, want ErrDetached", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestModuleBroken writes what a program never may.
func TestModuleBroken(t *testing.T) {
	d := openDevice(t, Config{Backend: BackendMytun})
	q := d.Queues()[0]
	wait := start(t.Context(), d, echo)
	asleep(&q.framesGate)
	q.tx.producer.Store(1 << 31)
	q.ring()
	if err := wait(); err != ErrRingBroken {
		t.Errorf("Run: %v, want ErrRingBroken", err)
	}
	if err := q.Send([]byte{0x45}); err != ErrRingBroken {
		t.Errorf("Send: %v, want ErrRingBroken", err)
	}
}

func testDeviceOpenErrors(t *testing.T) {
	d := openDevice(t, Config{Name: "taken0"})
	for _, c := range []struct {
		config Config
		want   error
	}{
		{Config{Name: "taken0"}, syscall.EBUSY},
		{Config{Name: "taken0", Exclusive: true}, syscall.EBUSY},
		{Config{Name: "taken0", Mode: TAP}, syscall.EINVAL},
		{Config{Name: "taken0", Queues: 2}, syscall.EINVAL},
		{Config{Name: "lo"}, nil},
		{Config{Name: "a/b"}, syscall.EINVAL},
		{Config{RxRing: 4096}, syscall.EINVAL},
		{Config{TxRing: 128 << 20}, syscall.EINVAL},
	} {
		before := countFDs(t)
		_, err := Open(c.config)
		t.Log(err)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.config, err, c.want)
		}
		if after := countFDs(t); after != before {
			t.Errorf("%+v: %d descriptors, before %d", c.config, after, before)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	openDevice(t, Config{Name: "taken0", Exclusive: true, Mode: TAP})
}

// TestModuleStockNode opens a device of another module by its node.
func TestModuleStockNode(t *testing.T) {
	loadTun(t)
	_, err := Open(Config{Path: "/dev/net/tun"})
	if d, err := Open(Config{Path: "/dev/net/tun", Backend: BackendTun}); err != nil {
		t.Error(err)
	} else {
		d.Close()
	}
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "/dev/net/tun is not mytun's device node") {
		t.Errorf("%v, want what is wrong with the path", err)
	}
}

func testDeviceNames(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "mytun0"}, {Config{}, "mytun1"}, {Config{Mode: TAP}, "mytap0"},
		{Config{Name: "vpn%d", Queues: 2}, "vpn0"}, {Config{Name: "own"}, "own"},
	} {
		if d := openDevice(t, c.config); d.Name() != c.want || !exists(c.want) {
			t.Errorf("%+v: %s, want %s", c.config, d.Name(), c.want)
		}
	}
}

func testDeviceNoRights(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
		t.Fatal(errno)
	}
	_, err := Open(Config{})
	t.Log(err)
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v, want EPERM or EACCES", err)
	}
}

func testDeviceCloseUnderTraffic(t *testing.T) {
	name := "again0"
	if onTun() {
		name = "stock0" // see openDevice
	}
	for range 20 {
		d := openDevice(t, Config{Name: name, Exclusive: true, Queues: 2})
		setUp(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		wait := start(ctx, d, echo)
		var group sync.WaitGroup
		for range 2 {
			group.Add(1)
			go func() {
				defer group.Done()
				c, err := net.Dial("udp", "10.9.0.2:7")
				if err != nil {
					return
				}
				defer c.Close()
				for exists(name) {
					for range 100 {
						c.Write(make([]byte, 500))
					}
				}
			}()
		}
		time.Sleep(5 * time.Millisecond)
		within(t, "Close", func() { d.Close() })
		if err := wait(); err != ErrClosed {
			t.Error(err)
		}
		within(t, "the clients", group.Wait)
		cancel()
	}
}

func testDeviceLeakedDevice(t *testing.T) {
	func() {
		if _, err := Open(Config{Name: "leaked0"}); err != nil {
			t.Fatal(err)
		}
	}()
	until(t, "a device without references to be freed", func() bool { runtime.GC(); return !exists("leaked0") })
}
