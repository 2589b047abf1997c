// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"
	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

func TestOpenWithoutModule(t *testing.T) {
	_, err := Open(Config{Path: filepath.Join(t.TempDir(), "mytun")})
	if !errors.Is(err, syscall.ENOENT) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), openHint(syscall.ENOENT)) {
		t.Errorf("%v, want ENOENT and what to do", err)
	}
}

func TestOpenOfAnotherFile(t *testing.T) {
	before := countFDs(t)
	_, err := Open(Config{Path: "/dev/null"})
	if !errors.Is(err, syscall.ENOTTY) || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("%v, want ENOTTY", err)
	}
	if _, err := Open(Config{Path: "/dev/null", Name: "a-name-too-long-for-linux"}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v, want EINVAL", err)
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// TestOpenQueues: the first queue creates the device, Exclusive or not; the others
// attach to what it was named.
func TestOpenQueues(t *testing.T) {
	type call struct {
		name      string
		exclusive bool
	}
	for _, failing := range []bool{false, true} {
		var calls []call
		var kernels []*fakeKernel
		d, err := openQueues(Config{Name: "vpn%d", Queues: 3, Exclusive: true}, func(_ Config, name string, exclusive bool) (port, string, error) {
			calls = append(calls, call{name, exclusive})
			if failing && len(calls) == 3 {
				return port{}, "", errStop
			}
			k := newFakeKernel(t, heapRing(fakeRing, 0), heapRing(fakeRing, 0), new(atomic.Uint32))
			kernels = append(kernels, k)
			return k.port(nil), "vpn7", nil
		})
		if want := []call{{"vpn%d", true}, {"vpn7", false}, {"vpn7", false}}; !slices.Equal(calls, want) {
			t.Errorf("opened %v, want %v", calls, want)
		}
		if failing {
			if err != errStop || !kernels[0].unmapped.Load() || !kernels[1].unmapped.Load() {
				t.Errorf("%v, want the queues before it closed", err)
			}
			continue
		}
		if err != nil || d.Name() != "vpn7" || len(d.Queues()) != 3 {
			t.Fatalf("%v, %v", d, err)
		}
		d.Close()
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestHints(t *testing.T) {
	for _, c := range []struct{ hint, want string }{
		{openHint(unix.ENODEV), "modprobe mytun"},
		{openHint(unix.EACCES), "root"},
		{openHint(unix.EIO), ""},
		{attachHint(unix.EPERM, Config{}), "CAP_NET_ADMIN"},
		{attachHint(unix.EBUSY, Config{}), "taken"},
		{attachHint(unix.EINVAL, Config{Mode: TAP, Queues: 2, Offload: OffloadTx}), "TAP with many queues with offload"},
		{attachHint(unix.E2BIG, Config{}), "as many queues"},
		{attachHint(unix.EIO, Config{}), ""},
		{ringHint(-1, Config{}, unix.ENOMEM), "memory cgroup"},
		{ringHint(-1, Config{Path: "/dev/net/tun"}, unix.EINVAL), "/dev/net/tun is not mytun's"},
		{ringHint(-1, Config{}, unix.EIO), ""},
	} {
		if !strings.Contains(c.hint, c.want) || (c.want == "") != (c.hint == "") {
			t.Errorf("hint %q, want %q in it", c.hint, c.want)
		}
	}
}

func TestAttachFlags(t *testing.T) {
	for _, c := range []struct {
		config    Config
		exclusive bool
		want      uint16
	}{
		{Config{Queues: 1}, false, 0x1001},
		{Config{Queues: 1, Mode: TAP}, true, 0x9002},
		{Config{Queues: 2, Offload: OffloadTx}, false, 0x5101},
	} {
		if got := attachFlags(c.config, c.exclusive); got != c.want {
			t.Errorf("%+v: %#x, want %#x", c.config, got, c.want)
		}
	}
}

// TestIoctlNumbers compares with what the C compiler makes of the header, where
// the direction bits are the common ones.
func TestIoctlNumbers(t *testing.T) {
	if unix.TUNSETIFF != 0x400454ca {
		t.Skip("this architecture encodes ioctl numbers in its own way")
	}
	for name, c := range map[string][2]uint{
		"GET_INFO":     {iocGetInfo, 0x80b0f700},
		"SET_RINGS":    {iocSetRings, 0x4020f701},
		"SET_EVENTFDS": {iocSetEventFDs, 0x4020f702},
		"SET_POLL":     {iocSetPoll, 0x4004f703},
		"GET_STATS":    {iocGetStats, 0x80c0f704},
		"BACKPRESSURE": {iocSetBackpressure, 0x4004f705},
	} {
		if c[0] != c[1] {
			t.Errorf("%s = %#x, want %#x", name, c[0], c[1])
		}
	}
}

// goodRings asks for rings of two pages and four, with room around rx frames.
func goodRings() abiRingConfig {
	page := uint32(unix.Getpagesize())
	return abiRingConfig{rxSize: 2 * page, txSize: 4 * page, rxHeadroom: 50, rxTailroom: 16}
}

// goodInfo is what the module might answer to goodRings.
func goodInfo() *abiInfo {
	page := uint32(unix.Getpagesize())
	return &abiInfo{
		kernelPageOffset: 0,
		userPageOffset:   uint64(page),
		pageLength:       page,
		state:            512,
		frameHeader:      32,
		frameAlign:       64,
		frameMax:         65568,
		rx: abiRingInfo{
			dataOffset: 2 * uint64(page), dataLength: 4 * uint64(page), size: 2 * page,
			producer: 0, consumer: 0, needWakeup: 128, needSpace: 128, headroom: 50, tailroom: 16,
		},
		tx: abiRingInfo{
			dataOffset: 6 * uint64(page), dataLength: 8 * uint64(page), size: 4 * page,
			producer: 256, consumer: 256, needWakeup: 384, needSpace: 384,
		},
	}
}

func TestInfoValidate(t *testing.T) {
	asked := goodRings()
	if err := goodInfo().validate(asked); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*abiInfo){
		"header":                  func(i *abiInfo) { i.frameHeader = 48 },
		"alignment":               func(i *abiInfo) { i.frameAlign = 32 },
		"no frames":               func(i *abiInfo) { i.frameMax = 0 },
		"huge frames":             func(i *abiInfo) { i.frameMax = 1<<32 - 1 },
		"no page":                 func(i *abiInfo) { i.pageLength = 0 },
		"half a page":             func(i *abiInfo) { i.pageLength /= 2 },
		"huge page":               func(i *abiInfo) { i.pageLength = 1 << 31 },
		"kernel page off":         func(i *abiInfo) { i.kernelPageOffset = 1 },
		"user page off":           func(i *abiInfo) { i.userPageOffset++ },
		"no rx ring":              func(i *abiInfo) { i.rx = abiRingInfo{} },
		"another size":            func(i *abiInfo) { i.tx.size *= 2; i.tx.dataLength *= 2 },
		"mapped once":             func(i *abiInfo) { i.rx.dataLength /= 2 },
		"mapped thrice":           func(i *abiInfo) { i.rx.dataLength += uint64(i.rx.size) },
		"data off":                func(i *abiInfo) { i.tx.dataOffset += 64 },
		"word beyond the page":    func(i *abiInfo) { i.rx.producer = i.pageLength },
		"word across the end":     func(i *abiInfo) { i.rx.producer = i.pageLength - 2 },
		"word far away":           func(i *abiInfo) { i.tx.needSpace = 1<<32 - 4 },
		"word not aligned":        func(i *abiInfo) { i.tx.consumer = 258 },
		"state beyond the page":   func(i *abiInfo) { i.state = i.pageLength },
		"no headroom":             func(i *abiInfo) { i.rx.headroom = 0 },
		"more headroom":           func(i *abiInfo) { i.rx.headroom++ },
		"huge headroom":           func(i *abiInfo) { i.rx.headroom = 1<<16 - 1 },
		"no tailroom":             func(i *abiInfo) { i.rx.tailroom = 0 },
		"huge tailroom":           func(i *abiInfo) { i.rx.tailroom = 1<<16 - 1 },
		"headroom in tx":          func(i *abiInfo) { i.tx.headroom = 50 },
		"tailroom in tx":          func(i *abiInfo) { i.tx.tailroom = 16 },
		"two words in one place":  func(i *abiInfo) { i.tx.producer = i.rx.consumer },
		"state in place of index": func(i *abiInfo) { i.state = i.rx.producer },
	} {
		t.Run(name, func(t *testing.T) {
			info := goodInfo()
			spoil(info)
			err := info.validate(asked)
			if !errors.Is(err, unix.EPROTO) || !strings.Contains(err.Error(), "same release") {
				t.Errorf("%v, want EPROTO and what to do", err)
			}
		})
	}
}

// TestMapRings maps a file in place of a device: what is where goodInfo says?
func TestMapRings(t *testing.T) {
	page := int64(unix.Getpagesize())
	fd, err := unix.MemfdCreate("mytun", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 14*page); err != nil {
		t.Fatal(err)
	}
	words := map[int64]byte{0: 1, 128: 2, 256: 3, 384: 4, 512: 5,
		page: 6, page + 128: 7, page + 256: 8, page + 384: 9, 2 * page: 10, 6 * page: 11}
	for at, value := range words {
		if _, err := unix.Pwrite(fd, []byte{value, value, value, value}, at); err != nil {
			t.Fatal(err)
		}
	}
	var s setup
	var p port
	if err := s.mapRings(fd, goodInfo(), &p); err != nil {
		t.Fatal(err)
	}
	for i, got := range []uint32{
		p.rx.producer.Load(), p.rx.needSpace.Load(), p.tx.consumer.Load(), p.tx.needWakeup.Load(), p.state.Load(),
		p.rx.consumer.Load(), p.rx.needWakeup.Load(), p.tx.producer.Load(), p.tx.needSpace.Load(),
		uint32(p.rx.data[0]) * 0x01010101, uint32(p.tx.data[0]) * 0x01010101,
	} {
		if want := uint32(i+1) * 0x01010101; got != want {
			t.Errorf("word %d is %#x, want %#x", i+1, got, want)
		}
	}
	p.rx.consumer.Store(0xAABBCCDD)
	p.tx.data[len(p.tx.data)-1] = 99
	last := make([]byte, 1)
	if unix.Pread(fd, last, 14*page-1); last[0] != 99 {
		t.Error("the mapping is not shared")
	}
	if p.rx.headroom != 50 || p.rx.tailroom != 16 || p.tx.headroom|p.tx.tailroom != 0 {
		t.Errorf("room of %d and %d bytes in rx, %d and %d in tx", p.rx.headroom, p.rx.tailroom, p.tx.headroom, p.tx.tailroom)
	}
	if len(p.rx.data) != 2*int(p.rx.size) || len(p.tx.data) != 2*int(p.tx.size) {
		t.Errorf("data of %d and %d bytes", len(p.rx.data), len(p.tx.data))
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestMapRingsFails(t *testing.T) {
	var s setup
	for _, offset := range []uint64{1 << 63, 1 << 40} {
		info := goodInfo()
		info.tx.dataOffset = offset
		if err := s.mapRings(-1, info, new(port)); err == nil {
			t.Error("mapped a descriptor that is none")
		}
	}
	if _, err := s.mmap(0, 1<<63, 4096, unix.PROT_READ); err != unix.EOVERFLOW {
		t.Errorf("%v, want EOVERFLOW", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestSetupClose(t *testing.T) {
	var s setup
	order := ""
	s.add(func() error { order += "1"; return nil })
	s.add(func() error { order += "2"; return errStop })
	s.add(func() error { order += "3"; return nil })
	if err := s.close(); !errors.Is(err, errStop) || order != "321" {
		t.Errorf("%v, order %s", err, order)
	}
}

func TestOpenFile(t *testing.T) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &openFile{fd: fd}
	if _, err := f.stats(); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("stats: %v, want ENOTTY", err)
	}
	if _, err := f.mtu(); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("mtu: %v, want ENOTTY", err)
	}
	if err := f.control(func(got uintptr) {
		if int(got) != fd {
			t.Errorf("control: %d, want %d", got, fd)
		}
	}); err != nil {
		t.Error(err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	_, statsErr := f.stats()
	_, mtuErr := f.mtu()
	for _, err := range []error{statsErr, mtuErr, f.control(nil), f.close()} {
		if err != ErrClosed {
			t.Errorf("after close: %v, want ErrClosed", err)
		}
	}
}

// TestCloseInsideControl: no lock is held while the program's function runs, and the
// descriptor is its until it returns.
func TestCloseInsideControl(t *testing.T) {
	watchdog.Watch(t, watchdog.Bound)
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &openFile{fd: fd}
	if err := f.control(func(fd uintptr) {
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if err := f.control(func(uintptr) {}); err != ErrClosed {
			t.Errorf("control after close: %v, want ErrClosed", err)
		}
		if _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil {
			t.Errorf("closed under the function that uses it: %v", err)
		}
	}); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("F_GETFD afterwards: %v, want EBADF", err)
	}
}

func TestLinkMTU(t *testing.T) {
	if mtu, err := linkMTU("lo"); mtu < 1280 || err != nil {
		t.Errorf("lo: %d, %v", mtu, err)
	}
	if index, err := linkIndex("lo"); index != 1 || err != nil {
		t.Errorf("index of lo: %d, %v", index, err)
	}
	if _, err := linkIndex("no-such-device"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("%v, want ENODEV", err)
	}
	if _, err := setLinkMTU("no-such-device", 1500); !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EPERM) {
		t.Errorf("%v, want ENODEV", err)
	}
	if _, err := linkMTU("no-such-device"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("%v, want ENODEV", err)
	}
}

// eachSleeper runs a test for both ways to sleep.
func eachSleeper(t *testing.T, test func(t *testing.T, s sleeper, bell *eventfd.EventFD)) {
	for name, locked := range map[string]bool{"poller": false, "locked": true} {
		t.Run(name, func(t *testing.T) {
			watchdog.Watch(t, watchdog.Bound)
			bell := newEvent(t)
			t.Cleanup(func() { bell.Close() })
			s, err := newSleeper(bell, locked)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.close() })
			test(t, s, bell)
		})
	}
}

// never is of who sleeps until there is a signal.
func never() bool { return false }

func TestSleeper(t *testing.T) {
	eachSleeper(t, func(t *testing.T, s sleeper, bell *eventfd.EventFD) {
		for range 100 {
			for _, signal := range []func(){func() { bell.Signal() }, s.kick} {
				// What comes while ready runs is not lost.
				if err := s.wait(func() bool { signal(); return false }); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.wait(func() bool { return true }); err != nil {
			t.Error(err)
		}
		if n, _ := bell.Drain(); n != 200 {
			t.Errorf("the bell holds %d, want 200: it is never to be read", n)
		}
	})
}

func TestSleeperSleeps(t *testing.T) {
	eachSleeper(t, func(t *testing.T, s sleeper, _ *eventfd.EventFD) {
		done := make(chan error)
		go func() { done <- s.wait(never) }()
		select {
		case <-done:
			t.Error("wait returned without a signal")
		case <-time.After(10 * time.Millisecond):
		}
		s.kick()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSleeperAfterClose(t *testing.T) {
	eachSleeper(t, func(t *testing.T, s sleeper, bell *eventfd.EventFD) {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		bell.Close()
		s.kick() // harmless
		if err := s.wait(never); err == nil {
			t.Error("wait after close succeeds")
		}
	})
}

func TestSleeperErrors(t *testing.T) {
	before := countFDs(t)
	bell := newEvent(t)
	bell.Close()
	if _, err := newSleeper(bell, false); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want os.ErrClosed", err)
	}
	if _, err := newSleeper(bell, true); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v, want EBADF", err)
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// TestSleeperErrorAfterTheLastFrames: frames that came just before a sleeper fails
// are handled before Run ends.
func TestSleeperErrorAfterTheLastFrames(t *testing.T) {
	q, k := newFake(t)
	q.framesGate.sleeper = hangingUp(func() {
		if k.rx.consumer.Load() == k.rx.producer.Load() && q.counters.batches.Load() == 0 {
			k.put(pattern(10, 1), 0)
			k.rx.producer.Store(k.rxProducer)
		}
	})
	handled := 0
	err := start(t.Context(), q, func(b *Batch) error {
		for range b.Frames() {
			handled++
		}
		return nil
	})()
	if err != ErrDetached || handled != 1 {
		t.Errorf("%v after %d frames, want ErrDetached after 1", err, handled)
	}
}

// hangingUp is a sleeper that fails, and calls itself first.
type hangingUp func()

func (h hangingUp) wait(ready func() bool) error {
	if ready() {
		return nil
	}
	h()
	return ErrDetached
}

func (hangingUp) kick() {}

func (hangingUp) close() error { return nil }
