// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

var children = map[string]func(testing.TB){"unprivileged": unprivileged}

// TestUnprivilegedProcessUsesAHandedFile: the descriptor is the right to use
// the queue, and to nothing else.
func TestUnprivilegedProcessUsesAHandedFile(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	conn := l.ListenUDP(t, false, hostPort)
	pair := device.SocketPair(t)
	child := device.StartChild(t, "unprivileged", 1000, pair[1], q.TxDoorbell)
	if err := device.SendFD(pair[0], q.FD); err != nil {
		t.Fatal(err)
	}
	frame := numbered(l, 42)
	if _, err := unix.Write(pair[0], frame); err != nil {
		t.Fatal(err)
	}
	child.ExpectLine(t, "sent")
	device.Expect(t, conn, number(42))
	if err := child.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}

// unprivileged receives a file and a frame, and sends the frame.
func unprivileged(t testing.TB) {
	if unix.Geteuid() == 0 {
		t.Fatal("running as root")
	}
	fd, err := device.ReceiveFD(device.ChildFile)
	if err != nil {
		t.Fatal(err)
	}
	f := &device.File{FD: fd}
	if _, err := f.TryAttach("", device.TUN); err != unix.EEXIST {
		t.Fatalf("second attach: %v", err)
	}
	frame := make([]byte, 2048)
	n, err := unix.Read(device.ChildFile, frame)
	if err != nil {
		t.Fatal(err)
	}
	q := device.MapQueue(t, f)
	q.TxDoorbell = device.ChildFile + 1
	q.Send(t, frame[:n])
	fmt.Println("sent")
}
