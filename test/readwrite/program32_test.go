// SPDX-License-Identifier: MIT

//go:build mytun_device && amd64

package readwrite

import (
	"encoding/binary"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// TestProgramsOf32Bits: addresses and structures of half the size.
func TestProgramsOf32Bits(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		f := device.OpenNode(t, node, unix.O_NONBLOCK)
		low := device.Low(t, 8192)
		at, iov, data := device.Address(low), low[64:80], low[4096:]
		// their struct ifreq is 8 bytes shorter; what follows is not touched
		copy(low, device.Ifreq("my32", device.TUN)[:32])
		copy(low[32:], "untouched")
		call32(t, device.Ioctl32, f.FD, unix.TUNSETIFF, at)
		call32(t, device.Ioctl32, f.FD, unix.TUNGETIFF, at)
		if got := device.IfreqName(low); got != "my32" || string(low[32:41]) != "untouched" {
			t.Errorf("name %q, then %q", got, low[32:41])
		}
		binary.NativeEndian.PutUint32(low, 4242)
		call32(t, device.Ioctl32, f.FD, unix.TUNSETSNDBUF, at)
		checkInt(t, f, "SNDBUF", unix.TUNGETSNDBUF, 4242)

		l := device.Configure(t, "my32", device.Config{})
		received := receive(t, l)
		n := copy(data, up(l, []byte("up")))
		call32(t, device.Write32, f.FD, device.Address(data), uintptr(n))
		received.expect(t, []byte("up"))
		down(t, l, []byte("down"))
		for i, v := range []uint32{uint32(device.Address(data)), 5, uint32(device.Address(data)) + 5, 2000} {
			binary.NativeEndian.PutUint32(iov[4*i:], v)
		}
		n = call32(t, device.Readv32, f.FD, device.Address(iov), 2)
		checkDown(t, l, data[:n], []byte("down"))
		_, err := device.Call32(device.Read32, f.FD, device.Address(data), 2000)
		expect(t, "read of nothing", err, unix.EAGAIN)
	})
}

func call32(t *testing.T, number uintptr, fd int, a, b uintptr) int {
	t.Helper()
	n, err := device.Call32(number, fd, a, b)
	if err != nil {
		t.Fatalf("call %d of a 32-bit program, %#x: %v", number, a, err)
	}
	return n
}
