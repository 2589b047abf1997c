// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenFileOfOthers: what is no file of a tun device is not taken for one, and stays as it is.
func TestOpenFileOfOthers(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	closed, _ := os.Open(os.DevNull)
	closed.Close()
	for name, c := range map[string]struct {
		files []*os.File
		want  string
	}{
		"none":        {nil, "without a file"},
		"nil":         {[]*os.File{nil}, "without a file"},
		"null device": {[]*os.File{null}, os.DevNull + ": inappropriate ioctl for device (it is to be a file of /dev/net/mytun"},
		"pipe":        {[]*os.File{read}, "/dev/net/tun"},
		"closed":      {[]*os.File{closed}, "use of closed file"},
	} {
		before := countFDs(t)
		if _, err := OpenFile(Config{}, c.files...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := OpenFile(Config{RxRing: 3}, null); err == nil || !strings.Contains(err.Error(), "RxRing") {
			t.Errorf("%v, want what is wrong with the Config", err)
		}
		if after := countFDs(t); after != before {
			t.Errorf("%s: %d descriptors, before %d", name, after, before)
		}
	}
	if flags, err := unix.FcntlInt(null.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v: the file is another", flags, err)
	}
}

// TestInheritedFits: what a queue has to be for the Config, the device of the queues before it
// included.
func TestInheritedFits(t *testing.T) {
	const plain = unix.IFF_TUN | unix.IFF_NO_PI
	for name, c := range map[string]struct {
		is     inherited
		config Config
		device string
		want   error
	}{
		"mytun":                           {inherited{backend: BackendMytun, name: "a", flags: unix.IFF_TUN}, Config{}, "", nil},
		"stock":                           {inherited{backend: BackendTun, name: "a", flags: plain}, Config{}, "a", nil},
		"another device":                  {inherited{backend: BackendTun, name: "a", flags: plain}, Config{}, "b", unix.EINVAL},
		"stock with PI":                   {inherited{backend: BackendTun, name: "a", flags: unix.IFF_TUN}, Config{}, "", ErrNotSupported},
		"offload":                         {inherited{backend: BackendMytun, name: "a", flags: plain | unix.IFF_VNET_HDR}, Config{Offload: OffloadTx}, "", nil},
		"offload, without a header":       {inherited{backend: BackendMytun, name: "a", flags: plain}, Config{Offload: OffloadTx}, "", ErrNotSupported},
		"a header, without offload":       {inherited{backend: BackendTun, name: "a", flags: plain | unix.IFF_VNET_HDR}, Config{}, "", nil},
		"back-pressure":                   {inherited{backend: BackendTun, name: "a", flags: plain | tunBackpressure}, Config{Backpressure: true}, "", nil},
		"back-pressure that is not there": {inherited{backend: BackendTun, name: "a", flags: plain}, Config{Backpressure: true}, "", ErrNotSupported},
		"back-pressure of mytun":          {inherited{backend: BackendMytun, name: "a", flags: plain}, Config{Backpressure: true}, "", nil},
	} {
		if err := c.is.fits(c.config, c.device); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if (inherited{flags: plain}).mode() != TUN || (inherited{flags: unix.IFF_TAP}).mode() != TAP {
		t.Error("the mode is another")
	}
}

// TestTakeRings: rings that are there are taken as they are, or not at all.
func TestTakeRings(t *testing.T) {
	page := uint32(unix.Getpagesize())
	for name, c := range map[string]struct {
		change func(i *abiInfo)
		config Config
		want   error
	}{
		"as they are":   {func(*abiInfo) {}, Config{Headroom: 50, Tailroom: 16, WakeBytes: 4096}, nil},
		"without room":  {func(i *abiInfo) { i.rx.headroom, i.rx.tailroom = 0, 0 }, Config{}, nil},
		"no rx ring":    {func(i *abiInfo) { i.rx = abiRingInfo{} }, Config{}, unix.EBUSY},
		"no tx ring":    {func(i *abiInfo) { i.tx = abiRingInfo{} }, Config{Headroom: 50, Tailroom: 16}, unix.EBUSY},
		"headroom":      {func(*abiInfo) {}, Config{Headroom: 49, Tailroom: 16}, unix.EBUSY},
		"tailroom":      {func(*abiInfo) {}, Config{Headroom: 50}, unix.EBUSY},
		"WakeBytes":     {func(*abiInfo) {}, Config{Headroom: 50, Tailroom: 16, WakeBytes: 1 << 29}, unix.EBUSY},
		"nonsense":      {func(i *abiInfo) { i.rx.dataLength = 1 }, Config{Headroom: 50, Tailroom: 16}, unix.EPROTO},
		"three pages":   {func(i *abiInfo) { i.rx.size, i.rx.dataLength = 3*page, 6*uint64(page) }, Config{Headroom: 50, Tailroom: 16}, unix.EPROTO},
		"too large":     {func(i *abiInfo) { i.tx.size, i.tx.dataLength = 2*maxRing, 4*maxRing }, Config{Headroom: 50, Tailroom: 16}, unix.EPROTO},
		"words overlap": {func(i *abiInfo) { i.rx.producer = i.state }, Config{Headroom: 50, Tailroom: 16}, unix.EPROTO},
	} {
		info := goodInfo()
		c.change(info)
		if err := c.config.takeRings(info, "a"); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestEachOnce: of a file that is there twice, one queue would take what is the other's.
func TestEachOnce(t *testing.T) {
	open := func() *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	file, other := open(), open()
	if !sameFile(file, file) {
		t.Skip("this kernel does not compare files (CONFIG_KCMP)")
	}
	fd, err := duplicate(file)
	if err != nil {
		t.Fatal(err)
	}
	twin := os.NewFile(uintptr(fd), "twin")
	t.Cleanup(func() { twin.Close() })
	for name, c := range map[string]struct {
		files []*os.File
		want  error
	}{
		"one":         {[]*os.File{file}, nil},
		"two":         {[]*os.File{file, other}, nil},
		"itself":      {[]*os.File{file, other, file}, unix.EINVAL},
		"a duplicate": {[]*os.File{other, file, twin}, unix.EINVAL},
		"none":        {[]*os.File{nil, file, nil}, nil},
	} {
		if err := eachOnce(c.files); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
