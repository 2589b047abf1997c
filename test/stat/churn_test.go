// SPDX-License-Identifier: MIT

//go:build mytun_device

package stat

import (
	"encoding/json"
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
	lines, done := make(chan []byte, reports), make(chan bool)
	go func() {
		defer close(done)
		defer close(lines)
		for len(lines) < reports && stat.lines.Scan() {
			lines <- append([]byte(nil), stat.lines.Bytes()...)
		}
	}()
	changes := 0
	for ; !isClosed(done); changes++ {
		first, second := device.Open(t), device.Open(t)
		first.Attach(t, l.Name, l.Flags|device.Multi)
		second.Attach(t, l.Name, l.Flags|device.Multi)
		first.Close()
		second.Close()
	}
	if len(lines) < reports {
		t.Errorf("mytunstat ended after %d reports", len(lines))
	}
	for line := range lines {
		var r report
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
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
	t.Logf("%d queues came and went", 2*changes)
}

func isClosed(c chan bool) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
