// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// expect fails the test unless err is want.
func expect(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// intIoctls are those of this package's subject.
var intIoctls = []struct {
	name     string
	set, get uint
}{
	{"SNDBUF", unix.TUNSETSNDBUF, unix.TUNGETSNDBUF},
	{"VNETHDRSZ", unix.TUNSETVNETHDRSZ, unix.TUNGETVNETHDRSZ},
	{"VNETLE", unix.TUNSETVNETLE, unix.TUNGETVNETLE},
	{"VNETBE", unix.TUNSETVNETBE, unix.TUNGETVNETBE},
}

// checkNotAttached: everything that needs a device says so.
func checkNotAttached(t *testing.T, f *device.File) {
	t.Helper()
	_, err := unix.Read(f.FD, make([]byte, 100))
	expect(t, "read", err, unix.EBADFD)
	_, err = unix.Read(f.FD, nil)
	expect(t, "read of nothing", err, unix.EBADFD)
	_, err = unix.Write(f.FD, make([]byte, 100))
	expect(t, "write", err, unix.EBADFD)
	_, err = unix.Write(f.FD, nil)
	expect(t, "write of nothing", err, unix.EBADFD)
	for _, c := range intIoctls {
		expect(t, "TUNSET"+c.name, f.SetInt(c.set, 100), unix.EBADFD)
		expect(t, "TUNSET"+c.name+" of a bad address", device.IoctlValue(f.FD, c.set, 0), unix.EBADFD)
		_, err := f.GetInt(c.get)
		expect(t, "TUNGET"+c.name, err, unix.EBADFD)
	}
	if got := f.Events(t); got != unix.POLLERR {
		t.Errorf("poll says %#x", got)
	}
}

func TestNothingGoesWithoutADevice(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		checkNotAttached(t, device.OpenNode(t, node, unix.O_NONBLOCK))
		checkNotAttached(t, device.OpenNode(t, node, 0))
		p := device.NewPort(t, node, device.Config{})
		down(t, p.Link, []byte("lost with the device"))
		device.Delete(t, p.Name)
		checkNotAttached(t, p.File)
	})
}

func TestMalformedWritesAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			received := receive(t, p.Link)
			for size := range f.prefix() {
				_, err := unix.Write(p.FD, make([]byte, size))
				expect(t, f.String()+", short headers", err, unix.EINVAL)
			}
			for _, bad := range malformed(f) {
				_, err := unix.Write(p.FD, f.wrap(bad))
				expect(t, f.String()+", malformed frame", err, unix.EINVAL)
			}
			write(t, p.File, f.wrap(up(p.Link, []byte("well"))))
			received.expect(t, []byte("well"))
			received.end(t, p)
		}
	})
}

// malformed are frames that no device of that kind takes.
func malformed(f format) [][]byte {
	switch {
	case f.tap:
		return [][]byte{nil, {1}, make([]byte, 13)}
	case f.pi:
		return nil // the protocol can be any, and so can the frame
	default:
		return [][]byte{nil, {0}, {0x10, 0, 0}, {0x5f}, bytes.Repeat([]byte{0xf0}, 100)}
	}
}

func TestVnetHeadersThatDoNotFitAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range []format{{vnet: 12}, {tap: true, vnet: 12}, {pi: true, vnet: 12}} {
			p := f.newPort(t, node)
			frame := up(p.Link, []byte("frame"))
			for i, v := range []device.VnetHeader{
				{HdrLen: uint16(len(frame) + 1)}, {HdrLen: 0xffff},
				{Flags: device.VnetNeedsCsum, CsumStart: uint16(len(frame)), CsumOffset: 6},
				{Flags: device.VnetNeedsCsum, CsumStart: 0xffff, CsumOffset: 0xffff},
				{Flags: device.VnetNeedsCsum, CsumStart: 20, CsumOffset: uint16(len(frame) - 21)},
				{GSOType: device.GSOTCPv4}, {GSOType: 0x7f, GSOSize: 100}, {GSOType: device.GSOECN, GSOSize: 1},
			} {
				b := f.wrap(frame)
				v.Encode(b[f.prefix()-f.vnet:])
				_, err := unix.Write(p.FD, b)
				if onlyJust := i == 0 && node == device.StockNode; onlyJust && err == nil {
					continue // since Linux 7.2 it counts the vnet header's rest as payload there
				}
				if err != unix.EINVAL {
					t.Errorf("%v, case %d %+v: %v, want EINVAL", f, i, v, err)
				}
			}
			p.Close()
		}
	})
}

// TestHeadersShorterThanTheLinkHeader: a frame of a TAP device that says so is no frame by write(), and an ordinary one by a ring
// or among many, where nothing but the frame itself is asked where its headers end.
func TestHeadersShorterThanTheLinkHeader(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		f := format{tap: true, vnet: 12}
		p := f.newPort(t, node)
		for _, length := range []uint16{1, 13} {
			b := f.wrap(up(p.Link, []byte("frame")))
			(&device.VnetHeader{HdrLen: length}).Encode(b)
			if _, err := unix.Write(p.FD, b); err != unix.EINVAL {
				t.Errorf("hdr_len %d: %v, want EINVAL", length, err)
			}
		}
	})
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Flags: device.Vnet})
	batch := newBatch(t, device.Config{TAP: true, Flags: device.Vnet, Name: "mybatch%d", NoAddresses: true})
	received := receive(t, l)
	frame := up(l, []byte("frame"))
	for _, length := range []uint16{1, 13} {
		vnet := device.VnetHeader{HdrLen: length}
		l.Queue().SendVnet(t, vnet, frame)
		received.expect(t, []byte("frame"))
		record := device.Record(device.Header{Length: uint32(len(frame)), Vnet: vnet}, frame)
		if n, err := unix.Write(batch.FD, record); err != nil || n != len(record) {
			t.Errorf("hdr_len %d among many: %d, %v", length, n, err)
		}
	}
	if n := batch.Stats(t).Refused(); n != 0 {
		t.Errorf("%d frames among many were refused", n)
	}
}

func TestBadAddressesAreFaults(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			hole := device.Hole(t)
			_, err := unix.Write(p.FD, hole)
			expect(t, f.String()+", write", err, unix.EFAULT)
			if f.prefix() > 0 {
				down(t, p.Link, []byte("lost"))
				_, err = unix.Read(p.FD, hole)
				expect(t, f.String()+", read", err, unix.EFAULT)
			}
			_, err = unix.Read(p.FD, make([]byte, 100))
			expect(t, f.String()+", read afterwards", err, unix.EAGAIN)
			for _, c := range intIoctls[:3] {
				expect(t, "TUNSET"+c.name, device.IoctlValue(p.FD, c.set, 0xfff), unix.EFAULT)
				expect(t, "TUNGET"+c.name, device.IoctlValue(p.FD, c.get, 0xfff), unix.EFAULT)
			}
			p.Close()
		}
	})
}

// TestPayloadThatCannotBeStored: stock tun takes no notice and tells a length;
// mytun says that nothing came.
func TestPayloadThatCannotBeStored(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{})
	down(t, p.Link, []byte("lost"))
	_, err := unix.Read(p.FD, device.Hole(t))
	expect(t, "read", err, unix.EFAULT)
	down(t, p.Link, []byte("next"))
	checkDown(t, p.Link, read(t, p.File, 2000), []byte("next"))
}

// TestDeviceThatIsDown: a write fails, and poll tells when it no longer would.
func TestDeviceThatIsDown(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for _, f := range formats {
			p := f.newPort(t, node)
			device.Down(t, p.Name)
			b := f.wrap(up(p.Link, []byte("down")))
			_, err := unix.Write(p.FD, b)
			expect(t, f.String(), err, unix.EIO)
			_, err = unix.Read(p.FD, make([]byte, 100))
			expect(t, f.String(), err, unix.EAGAIN)
			if got := p.Events(t); got != 0 {
				t.Errorf("%v: poll says %#x of a device that is down", f, got)
			}
			device.Up(t, p.Name)
			if got := p.Events(t); got != unix.POLLOUT {
				t.Errorf("%v: poll says %#x of a device that is up", f, got)
			}
			write(t, p.File, b)
			p.Close()
		}
	})
}

func TestSettingsAreKeptAndChecked(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := device.NewPort(t, node, device.Config{Flags: device.Vnet})
		checkInt(t, p.File, "SNDBUF", unix.TUNGETSNDBUF, math.MaxInt32)
		checkInt(t, p.File, "VNETHDRSZ", unix.TUNGETVNETHDRSZ, 10)
		checkInt(t, p.File, "VNETLE", unix.TUNGETVNETLE, 0)
		for _, size := range []int{-1, 0, 9, math.MinInt32} {
			expect(t, "TUNSETVNETHDRSZ", p.SetInt(unix.TUNSETVNETHDRSZ, size), unix.EINVAL)
		}
		for _, size := range []int{0, -1} {
			expect(t, "TUNSETSNDBUF", p.SetInt(unix.TUNSETSNDBUF, size), unix.EINVAL)
		}
		for _, c := range []struct {
			set, get    uint
			value, want int
		}{
			{unix.TUNSETVNETHDRSZ, unix.TUNGETVNETHDRSZ, math.MaxInt32, math.MaxInt32},
			{unix.TUNSETVNETHDRSZ, unix.TUNGETVNETHDRSZ, 10, 10},
			{unix.TUNSETSNDBUF, unix.TUNGETSNDBUF, 12345, 12345},
			{unix.TUNSETVNETLE, unix.TUNGETVNETLE, 77, 1}, {unix.TUNSETVNETLE, unix.TUNGETVNETLE, 0, 0},
		} {
			expect(t, "set", p.SetInt(c.set, c.value), nil)
			checkInt(t, p.File, "get", c.get, c.want)
		}
	})
}

func checkInt(t *testing.T, f *device.File, what string, request uint, want int) {
	t.Helper()
	if got, err := f.GetInt(request); got != want || err != nil {
		t.Errorf("%s: %d, %v, want %d", what, got, err, want)
	}
}

// TestHugeVnetHeaderFitsNothing: no length of the process can make it fit.
func TestHugeVnetHeaderFitsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := device.NewPort(t, node, device.Config{Flags: device.Vnet})
		expect(t, "TUNSETVNETHDRSZ", p.SetInt(unix.TUNSETVNETHDRSZ, math.MaxInt32), nil)
		_, err := unix.Write(p.FD, make([]byte, 1<<20))
		expect(t, "write", err, unix.EINVAL)
		down(t, p.Link, []byte("lost"))
		_, err = unix.Read(p.FD, make([]byte, 1<<20))
		expect(t, "read", err, unix.EINVAL)
	})
}

// TestFramesHaveALimit: a frame that no IP packet can be is refused before
// anything is allocated for it. Stock tun's limit is another with each kernel.
func TestFramesHaveALimit(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{TAP: true})
	write(t, p.File, make([]byte, device.FrameMax))
	for _, size := range []int{device.FrameMax + 1, 1 << 20, 1 << 30} {
		_, err := unix.Write(p.FD, device.Reserved(t, size))
		expect(t, "write", err, unix.EMSGSIZE)
	}
}
