// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"unsafe"
)

// roomyConsumer is the consumer of a ring that begins at index start and has room
// around its frames.
func roomyConsumer(size, start, headroom, tailroom uint32) *consumer {
	m := heapRing(size, start)
	m.headroom, m.tailroom = headroom, tailroom
	c := newConsumer(m, testMaxFrame)
	return &c
}

// putRoomy writes a frame as struct mytun_frame says, and shows it.
func putRoomy(c *consumer, payload []byte) {
	index := c.producer.Load()
	at := index % c.size
	clear(c.data[at : at+32])
	binary.NativeEndian.PutUint32(c.data[at:], uint32(len(payload)))
	copy(c.data[at+32+c.headroom:], payload)
	c.producer.Store(index + (32+c.headroom+uint32(len(payload))+c.tailroom+63)/64*64)
}

// rooms are none, WireGuard's, VXLAN's, odd ones and the largest.
var rooms = [][2]uint32{{0, 0}, {16, 16}, {50, 0}, {0, 1}, {1, 0}, {33, 31}, {maxRoom, maxRoom}}

// TestRoomAroundFrames: of every room and of lengths around each step of the ring's
// grid, three times around it. Each byte of a frame's room is its own: what is written
// there changes neither the payload nor the frames beside it.
func TestRoomAroundFrames(t *testing.T) {
	for _, room := range rooms {
		c := roomyConsumer(4096, 1<<32-128, room[0], room[1])
		for n := 1; n < 400; n++ {
			first, second := pattern(n, byte(n)), pattern(401-n, byte(2*n))
			putRoomy(c, first)
			putRoomy(c, second)
			f := mustPeek(t, c, first)
			g := mustPeek(t, c, second)
			f.checkRoom(t, int(room[0]), int(room[1]))
			g.checkRoom(t, int(room[0]), int(room[1]))
			if !bytes.Equal(f.Data, first) || !bytes.Equal(g.Data, second) {
				t.Fatalf("room %d, length %d: to write to the room changed the frames", room, n)
			}
			mustBeEmpty(t, c)
			c.release()
		}
	}
}

// checkRoom fills a frame's room and compares every slice that Extend can return.
func (f Frame) checkRoom(t *testing.T, headroom, tailroom int) {
	t.Helper()
	all := f.Extend(headroom, tailroom)
	fill(all[:headroom], 100)
	fill(all[headroom+len(f.Data):], 200)
	for front := range headroom + 1 {
		part := f.Extend(front, tailroom*front/max(headroom, 1))
		if want := all[headroom-front:][:len(part)]; &part[0] != &want[0] || cap(part) != len(part) {
			t.Fatalf("Extend by %d bytes in front is not where it should be", front)
		}
	}
	for behind := range tailroom + 1 {
		if part := f.Extend(0, behind); len(part) != len(f.Data)+behind || &part[0] != &f.Data[0] {
			t.Fatalf("Extend by %d bytes behind has %d around %d", behind, len(part), len(f.Data))
		}
	}
}

// TestRoomIsOfTheFrameAsItCame: a Handler that cut Data, or put another slice there,
// gets the ring's memory all the same.
func TestRoomIsOfTheFrameAsItCame(t *testing.T) {
	c := roomyConsumer(4096, 0, 16, 8)
	payload := pattern(100, 3)
	putRoomy(c, payload)
	f := mustPeek(t, c, payload)
	for _, data := range [][]byte{f.Data[20:], f.Data[:1], nil, make([]byte, 9000)} {
		f.Data = data
		if all := f.Extend(16, 8); len(all) != 124 || !bytes.Equal(all[16:116], payload) {
			t.Errorf("with Data of %d bytes: %d", len(data), len(all))
		}
	}
	// nor does it go by a length that changed since
	binary.NativeEndian.PutUint32(c.data, 1<<31)
	if all := f.Extend(16, 8); len(all) != 124 {
		t.Errorf("%d bytes after the length in the ring changed, want 124", len(all))
	}
}

// TestRoomThatIsNotThere: Extend says what was asked for, and what there is.
func TestRoomThatIsNotThere(t *testing.T) {
	c := roomyConsumer(4096, 0, 16, 8)
	putRoomy(c, pattern(100, 3))
	f := mustPeek(t, c, pattern(100, 3))
	for _, ask := range [][2]int{{17, 0}, {0, 9}, {-1, 0}, {0, -1}, {math.MaxInt/2 + 1, 0}, {0, math.MaxInt}} {
		text := panicOf(func() { f.Extend(ask[0], ask[1]) })
		if !strings.Contains(text, "Config.Headroom is 16 and Config.Tailroom 8") {
			t.Errorf("Extend(%d, %d): %q", ask[0], ask[1], text)
		}
	}
	if text := panicOf(func() { Frame{}.Extend(0, 0) }); !strings.Contains(text, "no Handler") {
		t.Errorf("Extend of the zero Frame: %q", text)
	}
}

func panicOf(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}

// TestRoomOfALyingKernel: a frame whose room runs past what the kernel says it has put
// there breaks the ring, however its length is chosen; one byte less is right.
func TestRoomOfALyingKernel(t *testing.T) {
	for _, room := range rooms {
		around := frameHeader + room[0] + room[1]
		for _, shown := range []uint32{64, 128, 576, 1024, 4096} {
			lengths := []uint32{shown, shown - 32, 1<<32 - 1, -around, -around + 1, 1 << 31}
			if shown > around {
				lengths = append(lengths, shown-around+1)
				c := roomyConsumer(4096, 64, room[0], room[1])
				binary.NativeEndian.PutUint32(c.data[64:], shown-around)
				c.producer.Add(shown)
				if f := mustPeek(t, c, c.data[64+32+room[0]:][:shown-around]); len(f.Extend(int(room[0]), int(room[1]))) != int(shown-32) {
					t.Errorf("room %d: a frame of all %d bytes is cut", room, shown)
				}
			}
			for _, length := range lengths {
				if uint64(length)+uint64(around) <= uint64(shown) {
					continue
				}
				c := roomyConsumer(4096, 64, room[0], room[1])
				binary.NativeEndian.PutUint32(c.data[64:], length)
				c.producer.Add(shown)
				c.poll()
				if f, ok, err := peek(c); ok || err != ErrRingBroken {
					t.Errorf("room %d, %d bytes shown, length %d: %d bytes, %v, want ErrRingBroken", room, shown, length, len(f.Data), err)
				}
			}
		}
	}
}

// TestRoomSkipsMalformed: a frame without payload has its room in the ring all the same.
func TestRoomSkipsMalformed(t *testing.T) {
	c := roomyConsumer(4096, 0, 50, 16)
	putRoomy(c, nil)
	putRoomy(c, []byte{1, 2, 3})
	mustPeek(t, c, []byte{1, 2, 3})
	if c.skipped != 1 {
		t.Errorf("%d frames skipped, want 1", c.skipped)
	}
}

// TestFrameIsSmall: it is passed by value, several times for each that comes.
func TestFrameIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Frame{}); size > 48 {
		t.Errorf("a Frame has %d bytes", size)
	}
}
