// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"net"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func TestEventfdsNeedRings(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	refused(t, f, "SET_EVENTFDS before the rings", unix.EINVAL, func() error {
		return f.TrySetEventfds(device.NoEventfds)
	})
}

// TestBadDescriptorsReplaceNoEventfd puts a bad descriptor into each place and
// then makes sure that the eventfds from before are still the queue's.
func TestBadDescriptorsReplaceNoEventfd(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	epoll := device.NewEpoll(t)
	for _, bad := range []struct {
		fd   int
		want error
	}{
		{-2, unix.EBADF}, {1 << 30, unix.EBADF}, {-1 << 31, unix.EBADF},
		{0, unix.EINVAL}, {epoll, unix.EINVAL}, {q.FD, unix.EINVAL},
	} {
		for place := range 3 {
			fds := [3]int32{int32(device.Eventfd(t)), int32(device.Eventfd(t)), int32(device.Eventfd(t))}
			fds[place] = int32(bad.fd)
			refused(t, q.File, "SET_EVENTFDS", bad.want, func() error {
				return q.TrySetEventfds(device.Eventfds{RxDoorbell: fds[0], TxDoorbell: fds[1], TxSpace: fds[2]})
			})
		}
	}
	checkDoorbells(t, l)
}

// checkDoorbells: a frame each way, with both sides asleep before it.
func checkDoorbells(t *testing.T, l *device.Link) {
	t.Helper()
	q := l.Queue()
	q.SetPoll(t, 0)
	conn := l.ListenUDP(t, false, 7000)
	q.WaitAsleep(t)
	before := q.Stats(t)
	q.Send(t, l.Frame(false, device.Datagram{SrcPort: 9, DstPort: 7000, Payload: []byte("up")}))
	receive(t, conn, "up")
	if after := q.Stats(t); after.TxDoorbells <= before.TxDoorbells {
		t.Error("the tx doorbell was not heard")
	}
	if _, err := conn.WriteToUDPAddrPort([]byte("down"), l.PeerAddr(false, 9)); err != nil {
		t.Fatal(err)
	}
	if _, frame := q.Receive(t, l.To(9)); string(frame[len(frame)-4:]) != "down" {
		t.Errorf("frame % x", frame)
	}
}

func receive(t *testing.T, conn *net.UDPConn, want string) {
	t.Helper()
	b := make([]byte, 2048)
	conn.SetReadDeadline(deadline())
	n, _, err := conn.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != want {
		t.Fatalf("received %q, %v, want %q", b[:n], err, want)
	}
}

func TestEventfdsCanBeTakenBack(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	none := device.NoEventfds
	if err := q.TrySetEventfds(none); err != nil {
		t.Fatalf("SET_EVENTFDS to none: %v", err)
	}
	before := q.Stats(t).TxDoorbells
	device.Signal(q.TxDoorbell)
	if after := q.Stats(t).TxDoorbells; after != before {
		t.Errorf("the old tx doorbell still rings: %d, then %d", before, after)
	}
	if err := q.TrySetEventfds(none); err != nil {
		t.Fatalf("SET_EVENTFDS to none again: %v", err)
	}
	q.SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	checkDoorbells(t, l)
}

func TestSameEventfdsCanBeSetAgain(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	for range 10 {
		q.SetEventfds(t, q.RxDoorbell, q.TxDoorbell, q.TxSpace)
	}
	checkDoorbells(t, l)
}
