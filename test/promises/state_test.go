// SPDX-License-Identifier: MIT

//go:build mytun_device

package promises

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// TestEventWordsBeginWhereNothingIsSignalled: "at a value that is not passed before it sets its own".
func TestEventWordsBeginWhereNothingIsSignalled(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q, fd := l.Queue(), socket(t, l, false, unix.SOCK_DGRAM)
	const frames = 20
	for range frames {
		if err := unix.Sendto(fd, []byte("down"), 0, sockaddr(l.Peer4, peerPort)); err != nil {
			t.Fatal(err)
		}
		q.Put(l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: 1, Payload: []byte("up")}))
	}
	q.Publish()
	q.WaitTaken(t)
	device.WaitFor(t, "the frames", func() bool { return q.Stats(t).RxFrames >= frames })
	if s := q.Settled(t); s.RxDoorbells != 0 || s.TxSpaceSignals != 0 {
		t.Errorf("%d doorbells, %d signals of room, and nobody asked for any", s.RxDoorbells, s.TxSpaceSignals)
	}
	if device.Signalled(q.RxDoorbell) || device.Signalled(q.TxSpace) {
		t.Error("an eventfd was signalled")
	}
}

// A wrong call is one that is bound to fail on a device that carries frames.
type wrong struct {
	name string
	call func(q *device.Queue) error
}

var wrongs = []wrong{
	{"TUNSETIFF", func(q *device.Queue) error { _, err := q.TryAttach("other", device.TAP); return err }},
	{"SET_RINGS", func(q *device.Queue) error {
		return q.TrySetRings(device.RingConfig{RxSize: device.RingSizeMax, TxSize: device.RingSizeMax})
	}},
	{"SET_EVENTFDS", func(q *device.Queue) error {
		return q.TrySetEventfds(device.Eventfds{RxDoorbell: -1, TxDoorbell: -1, TxSpace: int32(q.FD)})
	}},
	{"SET_EVENTFDS, reserved", func(q *device.Queue) error {
		return q.TrySetEventfds(device.Eventfds{RxDoorbell: -1, TxDoorbell: -1, TxSpace: -1, Reserved: [5]uint32{4: 1}})
	}},
	{"SET_POLL", func(q *device.Queue) error { return q.TrySetPoll(device.PollMaxUsecs + 1) }},
	{"SET_BACKPRESSURE", func(q *device.Queue) error { return q.TrySetBackpressure(2) }},
	{"SET_BATCH", func(q *device.Queue) error { return q.TrySetBatch(1 << 31) }},
	{"TUNSETOFFLOAD", func(q *device.Queue) error { return q.TrySetOffload(device.OffloadTSO4) }},
	{"TUNSETLINK", func(q *device.Queue) error { return device.IoctlValue(q.FD, unix.TUNSETLINK, 1) }},
	{"TUNSETVNETHDRSZ", func(q *device.Queue) error { return q.SetInt(unix.TUNSETVNETHDRSZ, 1) }},
	{"TUNSETSNDBUF", func(q *device.Queue) error { return q.SetInt(unix.TUNSETSNDBUF, 0) }},
	{"TUNSETQUEUE", func(q *device.Queue) error {
		return device.Ioctl(q.FD, unix.TUNSETQUEUE, device.Ifreq("", unix.IFF_DETACH_QUEUE))
	}},
}

// TestErrorsChangeNothing: "On any error the state is what it was before".
func TestErrorsChangeNothing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	q.SetPoll(t, 77)
	before := state(t, q)
	for _, w := range wrongs {
		if err := w.call(q); err == nil {
			t.Errorf("%s succeeded", w.name)
		}
		if now := state(t, q); now != before {
			t.Fatalf("%s failed, and changed\n%s to\n%s", w.name, before, now)
		}
		l.Exchange(t, false, 100)
	}
}

// state is all that can be asked of a queue and its device, but for what counts frames.
func state(t *testing.T, q *device.Queue) string {
	t.Helper()
	answer := fmt.Sprintf("%+v", q.Info(t))
	for _, request := range []uint{unix.TUNGETVNETHDRSZ, unix.TUNGETSNDBUF} {
		n, err := q.GetInt(request)
		answer += fmt.Sprintf(" %#x: %d %v", request, n, err)
	}
	b := device.Ifreq("", 0)
	err := device.Ioctl(q.FD, unix.TUNGETIFF, b)
	attrs := device.LinkOf(t, q.Name).Attrs()
	return answer + fmt.Sprintf(" %x %v, %d %s %v", b, err, attrs.MTU, attrs.EncapType, attrs.Flags)
}

// TestBackpressureStaysWithAPersistentDevice: "as the offloads of a persistent device it stays until it is changed".
func TestBackpressureStaysWithAPersistentDevice(t *testing.T) {
	device.Sandbox(t)
	const name = "mytest0"
	first := device.Open(t)
	first.Attach(t, name, device.TUN)
	first.SetBackpressure(t, true)
	if err := device.IoctlValue(first.FD, unix.TUNSETPERSIST, 1); err != nil {
		t.Fatal(err)
	}
	first.Close()
	l := device.NewLink(t, device.Config{Name: name})
	device.SetFIFO(t, name, 1)
	fd := socket(t, l, false, unix.SOCK_DGRAM)
	payload := make([]byte, 1400)
	sent := 0
	device.WaitFor(t, "the device to hold its sender", func() bool {
		if unix.Sendto(fd, payload, 0, sockaddr(l.Peer4, peerPort)) == nil {
			sent++
		}
		return l.Queue().Stats(t).RxQueueStops > 0
	})
	if s := l.Queue().Stats(t); s.RxDropped != 0 {
		t.Errorf("%d of %d frames were dropped", s.RxDropped, sent)
	}
	l.Queue().SetBackpressure(t, false)
	if err := device.IoctlValue(l.Queue().FD, unix.TUNSETPERSIST, 0); err != nil {
		t.Fatal(err)
	}
}
