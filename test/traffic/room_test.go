// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"bytes"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// TestRoomAroundRxFrames: frames of all sizes, by their senders and by the thread, until
// they have gone around the ring many times. The process fills each frame's room before
// it gives the frame back; no frame may be changed by that, nor lie in another's room.
func TestRoomAroundRxFrames(t *testing.T) {
	for _, room := range [][2]uint32{{16, 16}, {50, 0}, {0, 1}, {33, 31}, {device.RxRoomMax, device.RxRoomMax}} {
		for byThread := range uint32(2) {
			device.Sandbox(t)
			l := device.NewLink(t, device.Config{MTU: 65535, Room: room})
			device.SetPrivateFlags(t, l.Name, byThread)
			conn := l.ListenUDP(t, false, hostPort)
			next := uint32(0)
			for _, size := range []int{65507, 40001, 9003, 1400, 333, 97, 33, 12} {
				base := device.Pattern(uint64(size), size)
				n := uint32(min(2*minRing/size+3, 400))
				for i := range n {
					if _, err := conn.WriteToUDPAddrPort(numbered(base, next+i), l.PeerAddr(false, peerPort)); err != nil {
						t.Fatal(err)
					}
				}
				for range n {
					takeRoomy(t, l, numbered(base, next))
					next++
				}
			}
			if s := l.Queue().Settled(t); s.RxDropped != 0 || s.RxRingFull == 0 || l.Queue().State() != 0 {
				t.Errorf("room %d, by thread %d: state %#x, stats %+v", room, byThread, l.Queue().State(), s)
			}
		}
	}
}

// takeRoomy takes the next frame from where its room says that it is.
func takeRoomy(t *testing.T, l *device.Link, want []byte) {
	t.Helper()
	q := l.Queue()
	for match := l.To(peerPort); ; {
		if !q.WaitFrames(time.Now().Add(device.Deadline)) {
			t.Fatalf("no frame came: state %#x, stats %+v", q.State(), q.Stats(t))
		}
		h, frame, ok := q.Peek()
		if !ok {
			t.Fatalf("queue stopped in state %#x", q.State())
		}
		q.FillRoom(h, 0xA5)
		taken := match(h, frame)
		if d, ok := l.Parse(frame); taken && (!ok || !bytes.Equal(d.Payload, want)) {
			t.Fatalf("%d bytes of payload, or others, valid %v, want %d", len(d.Payload), ok, len(want))
		}
		q.Next(h)
		q.Release()
		if taken {
			return
		}
	}
}
