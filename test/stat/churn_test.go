// SPDX-License-Identifier: MIT

//go:build mytun_device

package stat

import (
	"testing"

	"github.com/mytun/mytun/test/device"
)

// TestQueuesComeAndGo while they are looked at: each counter stays with its queue. The kernel gives
// names and values apart, and both in an order that changes as a queue in the middle goes.
func TestQueuesComeAndGo(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Flags: device.Multi})
	conn := l.ListenUDP(t, false, device.HostPort)
	const frames, reports = 4, 20
	sendDown(t, l, conn, frames)
	device.WaitFor(t, "the frames to come", func() bool { return l.Queue().Stats(t).RxFrames == frames })
	stat := goOn(t, l.Name)
	for range reports {
		comeAndGo(t, l)
		r := stat.next(t)
		for _, q := range r.only(t, l.Name).Queues {
			want := uint64(0)
			if q.Queue == 0 {
				want = frames
			}
			if got := q.Counters["rx_frames"]; got != want {
				t.Errorf("queue %d has %d frames, want %d", q.Queue, got, want)
			}
		}
	}
}

// comeAndGo has two queues come, and the one in the middle go first.
func comeAndGo(t *testing.T, l *device.Link) {
	t.Helper()
	first, second := device.Open(t), device.Open(t)
	first.Attach(t, l.Name, l.Flags|device.Multi)
	second.Attach(t, l.Name, l.Flags|device.Multi)
	first.Close()
	second.Close()
}
