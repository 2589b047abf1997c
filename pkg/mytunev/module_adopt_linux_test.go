// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"golang.org/x/sys/unix"
)

// openNodeFile opens the node of the backend under test, in blocking mode, as most programs do.
func openNodeFile(t *testing.T) *os.File {
	t.Helper()
	path := defaultPath
	if onTun() {
		path = tunPath
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return f
}

// attachFile attaches a file to the device with that name.
func attachFile(t *testing.T, f *os.File, name string, flags uint16) {
	t.Helper()
	ifr, err := unix.NewIfreq(name)
	must(t, err)
	ifr.SetUint16(flags)
	must(t, withFD(f, func(fd int) error { return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr) }))
}

// openInheritedDevice opens a device of files that a test has, and closes them.
func openInheritedDevice(t *testing.T, c Config, files ...*os.File) *Device {
	t.Helper()
	d, err := OpenFile(c, files...)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	for _, f := range files {
		must(t, f.Close())
	}
	return d
}

// carries wants d to echo, and to be gone after Close.
func (d *Device) carries(t *testing.T, name string) {
	t.Helper()
	if d.Name() != name {
		t.Errorf("the name is %s, want %s", d.Name(), name)
	}
	want := BackendMytun
	if onTun() {
		want = BackendTun
	}
	if b, why := d.Backend(); b != want || why == "" {
		t.Errorf("%v, because %q; want %v", b, why, want)
	}
	setUp(t, d)
	wait := start(t.Context(), d, echo)
	for _, size := range []int{1, 100, 1400} {
		if err := ping("10.9.0.2:7", 50, size); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	must(t, d.Close())
	if err := wait(); err != ErrClosed {
		t.Error(err)
	}
	if exists(name) {
		t.Error("the device is still there")
	}
}

// TestModuleFile: a file that is attached, with and without a vnet header, and one that is not.
func TestModuleFile(t *testing.T) {
	const plain = unix.IFF_TUN | unix.IFF_NO_PI
	onBoth(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			flags  uint16 // 0: not attached
			config Config
		}{
			"attached":                     {plain, Config{}},
			"attached, of another name":    {plain, Config{Name: "no0", Exclusive: true}},
			"with a header":                {plain | unix.IFF_VNET_HDR, Config{}},
			"with a header and offload":    {plain | unix.IFF_VNET_HDR, Config{Offload: OffloadTSO4 | OffloadTSO6}},
			"of a device with many queues": {plain | unix.IFF_MULTI_QUEUE, Config{}},
			"not attached":                 {0, Config{Name: "file0"}},
			"not attached, with offload":   {0, Config{Name: "file0", Offload: OffloadTx}},
		} {
			t.Run(name, func(t *testing.T) {
				f := openNodeFile(t)
				if c.flags != 0 {
					attachFile(t, f, "file0", c.flags)
				}
				openInheritedDevice(t, c.config, f).carries(t, "file0")
			})
		}
	})
}

// TestModuleFileName: a file that is not attached gets a device of the name that Open gives it.
func TestModuleFileName(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for mode, prefix := range map[Mode]string{TUN: "mytun", TAP: "mytap"} {
			d := openInheritedDevice(t, Config{Mode: mode}, openNodeFile(t))
			if !strings.HasPrefix(d.Name(), prefix) {
				t.Errorf("%v: the name is %s, want one that begins with %s", mode, d.Name(), prefix)
			}
		}
	})
}

// TestModuleFiles: one for each queue, of which some are attached. For the name see openDevice.
func TestModuleFiles(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		const flags = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE
		files := []*os.File{openNodeFile(t), openNodeFile(t), openNodeFile(t)}
		attachFile(t, files[0], "stock0", flags)
		attachFile(t, files[1], "stock0", flags)
		d := openInheritedDevice(t, Config{}, files...)
		if n := len(d.Queues()); n != 3 {
			t.Errorf("%d queues, want 3", n)
		}
		d.carries(t, "stock0")
	})
}

// TestModuleFileMode: the device tells what it is.
func TestModuleFileMode(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		f := openNodeFile(t)
		attachFile(t, f, "file0", unix.IFF_TAP|unix.IFF_NO_PI)
		if d := openInheritedDevice(t, Config{Mode: TUN}, f); d.Mode() != TAP {
			t.Errorf("%v, want TAP", d.Mode())
		}
	})
}

// TestModuleFileErrors: what does not fit is refused, and nothing is left open or closed.
func TestModuleFileErrors(t *testing.T) {
	const plain = unix.IFF_TUN | unix.IFF_NO_PI
	onBoth(t, func(t *testing.T) {
		other := BackendMytun
		if !onTun() {
			other = BackendTun
		}
		for name, c := range map[string]struct {
			flags  [2]uint16 // of one file or two
			config Config
			want   error
		}{
			"offload without a header": {[2]uint16{plain}, Config{Offload: OffloadTx}, ErrNotSupported},
			"another backend":          {[2]uint16{plain}, Config{Backend: other}, ErrNotSupported},
			"two devices":              {[2]uint16{plain, plain}, Config{}, unix.EINVAL},
			"a small ring":             {[2]uint16{plain}, Config{RxRing: 4096}, unix.EINVAL},
		} {
			var files []*os.File
			for i, flags := range c.flags {
				if flags != 0 {
					f := openNodeFile(t)
					attachFile(t, f, fmt.Sprintf("file%d", i), flags)
					files = append(files, f)
				}
			}
			before := countFDs(t)
			_, err := OpenFile(c.config, files...)
			t.Log(err)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if after := countFDs(t); after != before || !exists("file0") {
				t.Errorf("%s: %d descriptors, before %d; the device is there: %v", name, after, before, exists("file0"))
			}
			for _, f := range files {
				must(t, f.Close())
			}
		}
	})
}

// TestModuleFileTwice: two queues are not made of one.
func TestModuleFileTwice(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		f := openNodeFile(t)
		if !sameFile(f, f) {
			t.Skip("this kernel does not compare files (CONFIG_KCMP)")
		}
		attachFile(t, f, "file0", unix.IFF_TUN|unix.IFF_NO_PI|unix.IFF_MULTI_QUEUE)
		before := countFDs(t)
		if _, err := OpenFile(Config{}, f, f); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%v, want EINVAL", err)
		}
		if after := countFDs(t); after != before {
			t.Errorf("%d descriptors, before %d", after, before)
		}
		openInheritedDevice(t, Config{}, f).carries(t, "file0")
	})
}

// TestModuleFileOfADeviceThatIsGone ends as one that Open has opened.
func TestModuleFileOfADeviceThatIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		f := openNodeFile(t)
		attachFile(t, f, "file0", unix.IFF_TUN|unix.IFF_NO_PI)
		d := openInheritedDevice(t, Config{}, f)
		link, _ := linkOf(t, d)
		wait := start(t.Context(), d, echo)
		if out, err := exec.Command("ip", "link", "del", link.Attrs().Name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := wait(); err != ErrDetached {
			t.Errorf("%v, want ErrDetached", err)
		}
	})
}

// TestModuleFileTakesRingsOver: a file that was in use keeps its rings, their sizes and the frames in
// them, and does so again and again.
func TestModuleFileTakesRingsOver(t *testing.T) {
	const config = 2 << 17
	first := openDevice(t, Config{Backend: BackendMytun, Name: "file0", RxRing: config, TxRing: config, Headroom: 16, Tailroom: 32})
	setUp(t, first)
	wanted := Config{Headroom: 16, Tailroom: 32}
	for round := range 3 {
		first.carriesOn(t)
		var f *os.File
		c, err := first.SyscallConn()
		must(t, err)
		must(t, c.Control(func(fd uintptr) {
			copied, e := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
			f, err = os.NewFile(uintptr(copied), "inherited"), e
		}), err, first.Close())
		conn, err := net.Dial("udp", "10.9.0.2:7")
		must(t, err)
		_, err = conn.Write([]byte{byte(round)}) // nobody has the device just now
		must(t, err, conn.Close())
		if _, err := OpenFile(Config{}, f); !errors.Is(err, unix.EBUSY) {
			t.Errorf("without its room: %v, want EBUSY", err)
		}
		next := openInheritedDevice(t, wanted, f)
		if size := next.queues[0].port.rx.size; size != config {
			t.Errorf("a ring of %d bytes, want %d", size, config)
		}
		wantDatagram(t, next, byte(round))
		first = next
	}
	first.carriesOn(t)
}

// wantDatagram reads up to the next datagram, which has to be of this byte.
func wantDatagram(t *testing.T, d *Device, want byte) {
	t.Helper()
	must(t, d.SetReadDeadline(time.Now().Add(watchdog.Bound)))
	p := make([]byte, 2000)
	for {
		n, err := d.Read(p)
		must(t, err)
		if isUDP(p[:n]) {
			if n != 29 || p[28] != want {
				t.Errorf("%x, want a datagram of %d", p[:n], want)
			}
			return
		}
	}
}

// carriesOn is carries of a device that is set up.
func (d *Device) carriesOn(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	wait := start(ctx, d, echo)
	if err := ping("10.9.0.2:7", 50, 100); err != nil {
		t.Error(err)
	}
	cancel()
	wait()
}
