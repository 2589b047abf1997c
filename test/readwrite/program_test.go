// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func TestIoUringReadsAndWrites(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		p.SetBlocking(t, true)
		received := receive(t, p.Link)
		uring, b := device.NewUring(t), device.Reserved(t, 4096)
		for i := range 10 {
			payload := device.Pattern(uint64(i), 100)
			uring.Submit(t, device.UringRead, p.FD, b)
			if i > 0 && !uring.Pending() {
				t.Error("a read of nothing has ended")
			}
			down(t, p.Link, payload)
			n, err := uring.Wait(t)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			checkDown(t, p.Link, b[:n], payload)
			n = copy(b, up(p.Link, payload))
			uring.Submit(t, device.UringWrite, p.FD, b[:n])
			if got, err := uring.Wait(t); got != n || err != nil {
				t.Fatalf("write: %d, %v", got, err)
			}
			received.expect(t, payload)
		}
		uring.Submit(t, device.UringRead, p.FD, b)
		device.Delete(t, p.Name)
		_, err := uring.Wait(t)
		expect(t, "read of a device that went", err, unix.EBADFD)
	})
}

// TestPositionsAreOfNoAccount: pread and pwrite are read and write.
func TestPositionsAreOfNoAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		p := format{}.newPort(t, node)
		received := receive(t, p.Link)
		down(t, p.Link, []byte("down"))
		b := make([]byte, 2000)
		n, err := unix.Pread(p.FD, b, 12345)
		if err != nil {
			t.Fatalf("pread: %v", err)
		}
		checkDown(t, p.Link, b[:n], []byte("down"))
		if _, err := unix.Pwrite(p.FD, up(p.Link, []byte("up")), 1<<40); err != nil {
			t.Fatalf("pwrite: %v", err)
		}
		received.expect(t, []byte("up"))
		_, err = unix.Seek(p.FD, 0, 0)
		expect(t, "lseek", err, unix.ESPIPE)
	})
}
