// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Nodes are the kernel's own device and mytun's: what a program for the former
// does with the latter is to have the same result.
var Nodes = []string{StockNode, Node}

// A Port is a device that is read and written: a Link without rings, and its
// file. Only what both kinds of device have works on the kernel's own.
type Port struct {
	*Link
	*File
}

// OpenNode opens a device node, with flags of open(2) besides O_RDWR. The file
// is closed at the end of the test, unless the test closed it.
func OpenNode(t testing.TB, node string, flags int) *File {
	t.Helper()
	if node == StockNode {
		LoadStockTun(t)
	}
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatalf("open %s: %v", node, err)
	}
	f := &File{FD: fd}
	t.Cleanup(func() { f.Close() })
	return f
}

// NewPort makes a device of a node as Config says, but for the rings. The file
// does not block.
func NewPort(t testing.TB, node string, c Config) *Port {
	t.Helper()
	c.setDefaults()
	p := &Port{Link: c.link(), File: OpenNode(t, node, unix.O_NONBLOCK)}
	p.Name = p.Attach(t, c.Name, p.Flags)
	p.configure(t, c)
	return p
}

// SetBlocking makes read and write wait, or not.
func (f *File) SetBlocking(t testing.TB, blocking bool) {
	t.Helper()
	if err := unix.SetNonblock(f.FD, !blocking); err != nil {
		t.Fatal(err)
	}
}

// SetInt calls one of the ioctls of tun that take a pointer to an int.
func (f *File) SetInt(request uint, value int) error {
	return Ioctl(f.FD, request, encode(int32(value)))
}

// GetInt calls one of the ioctls of tun that answer with an int.
func (f *File) GetInt(request uint) (int, error) {
	var value int32
	b := encode(value)
	err := Ioctl(f.FD, request, b)
	decode(b, &value)
	return int(value), err
}

// TryWait calls MYTUN_IOC_WAIT.
func (f *File) TryWait() error { return IoctlValue(f.FD, IocWait, 0) }

// TrySetBatch calls MYTUN_IOC_SET_BATCH.
func (f *File) TrySetBatch(flags uint32) error {
	return Ioctl(f.FD, IocSetBatch, encode(flags))
}

// SetBatch is TrySetBatch that must succeed.
func (f *File) SetBatch(t testing.TB, flags uint32) {
	t.Helper()
	if err := f.TrySetBatch(flags); err != nil {
		t.Fatalf("MYTUN_IOC_SET_BATCH %#x: %v", flags, err)
	}
}

// Record is a frame as it is read and written where many go with one call, with
// the gap behind it.
func Record(h Header, payload []byte) []byte {
	length := FrameHeader + len(payload)
	b := make([]byte, (length+BatchAlign-1)/BatchAlign*BatchAlign)
	putHeader(b, &h)
	copy(b[FrameHeader:], payload)
	return b
}

// CutRecord is the first frame of many, and what is behind it. It is false if
// there is no whole one.
func CutRecord(b []byte) (h Header, payload, rest []byte, ok bool) {
	if len(b) < FrameHeader {
		return Header{}, nil, nil, false
	}
	h = getHeader(b)
	end := FrameHeader + int(h.Length)
	next := (end + BatchAlign - 1) / BatchAlign * BatchAlign
	if next > len(b) {
		return Header{}, nil, nil, false
	}
	return h, b[FrameHeader:end], b[next:], true
}

// PageSize is the kernel's, in bytes: 4096 on most machines, and not on all.
var PageSize = unix.Getpagesize()

// Hole is a mapped page that can be neither read nor written, until the end of
// the test.
func Hole(t testing.TB) []byte { return anonymous(t, PageSize, unix.PROT_NONE) }

// Reserved is zeros, for which memory is found only when they are touched.
func Reserved(t testing.TB, size int) []byte {
	return anonymous(t, size, unix.PROT_READ|unix.PROT_WRITE)
}

func anonymous(t testing.TB, size, prot int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, prot, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatalf("map %d bytes: %v", size, err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

const holder = "myhold0"

// HoldFrames makes what a device receives of IPv4 wait in another device's qdisc: it
// stays charged to the socket that it came from.
func HoldFrames(t testing.TB, name string) {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: holder}}); err != nil {
		t.Fatalf("add %s: %v", holder, err)
	}
	Up(t, holder)
	for _, command := range []string{
		"qdisc add dev " + holder + " root plug",
		"qdisc add dev " + name + " ingress",
		"filter add dev " + name + " ingress protocol ip matchall action mirred egress redirect dev " + holder,
	} {
		if out, err := exec.Command("tc", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("tc %s: %v: %s", command, err, out)
		}
	}
}

// DropHeld frees all that HoldFrames held, and what comes from now on.
func DropHeld(t testing.TB) {
	t.Helper()
	Delete(t, holder)
}

// LetHeldGo frees all that HoldFrames held, and what comes from now on, and waits for
// no other processor meanwhile.
func LetHeldGo(t testing.TB) {
	t.Helper()
	const releaseIndefinite = 2 // TCQ_PLUG_RELEASE_INDEFINITE
	request := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_ACK)
	request.AddData(&nl.TcMsg{
		Family:  nl.FAMILY_ALL,
		Ifindex: int32(LinkOf(t, holder).Attrs().Index),
		Parent:  netlink.HANDLE_ROOT,
	})
	request.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("plug")))
	request.AddData(nl.NewRtAttr(nl.TCA_OPTIONS, encode([2]uint32{releaseIndefinite, 0})))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		t.Fatalf("qdisc of %s: %v", holder, err)
	}
}

// Configure configures a device that is there already, as Config says, which
// gives the kind that it is of.
func Configure(t testing.TB, name string, c Config) *Link {
	t.Helper()
	c.Name = name
	c.setDefaults()
	l := c.link()
	l.configure(t, c)
	return l
}
