// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"slices"
	"strconv"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// newBatch makes a device whose frames go by many.
func newBatch(t *testing.T, c device.Config) *device.Port {
	t.Helper()
	p := device.NewPort(t, device.Node, c)
	p.SetBatch(t, device.BatchRead|device.BatchWrite)
	return p
}

// cut takes what was read apart.
func cut(t *testing.T, b []byte) (headers []device.Header, frames [][]byte) {
	t.Helper()
	for len(b) > 0 {
		h, frame, rest, ok := device.CutRecord(b)
		if !ok {
			t.Fatalf("%d bytes are left, which are no frame: % x", len(b), b[:min(len(b), 64)])
		}
		headers, frames, b = append(headers, h), append(frames, frame), rest
	}
	return headers, frames
}

func TestOneReadTakesAllThatWaits(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []device.Config{{}, {TAP: true}, {PI: true}, {TAP: true, PI: true, Flags: device.Vnet}} {
		p := newBatch(t, c)
		for i, size := range sizes {
			down(t, p.Link, device.Pattern(uint64(i), size))
		}
		headers, frames := cut(t, read(t, p.File, 1<<16))
		if len(frames) != len(sizes) {
			t.Fatalf("%d frames of %d", len(frames), len(sizes))
		}
		for i, size := range sizes {
			checkDown(t, p.Link, frames[i], device.Pattern(uint64(i), size))
			h := headers[i]
			if h.Flags != device.FrameHash || h.Vnet.Flags&^device.VnetDataValid != 0 || h.Tunnel != (device.TunnelOffsets{}) || h.Reserved != 0 {
				t.Errorf("header %+v", h)
			}
		}
		_, err := unix.Read(p.FD, make([]byte, 1<<16))
		expect(t, "nothing left", err, unix.EAGAIN)
		p.Close()
	}
}

// TestFramesThatDoNotFitStay: none is cut off, and none is lost.
func TestFramesThatDoNotFitStay(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	payload := device.Pattern(1, 100)
	for range 5 {
		down(t, p.Link, payload)
	}
	record := len(device.Record(device.Header{}, up(p.Link, payload)))
	for _, size := range []int{1, device.FrameHeader, record - 1} {
		_, err := unix.Read(p.FD, make([]byte, size))
		expect(t, "read into "+strconv.Itoa(size)+" bytes", err, unix.EMSGSIZE)
	}
	for _, c := range []struct{ room, want int }{{record, 1}, {2*record + record - 1, 2}, {1 << 16, 2}} {
		b := read(t, p.File, c.room)
		if _, frames := cut(t, b); len(frames) != c.want || len(b) != c.want*record {
			t.Errorf("room for %d bytes: %d frames in %d bytes, want %d", c.room, len(frames), len(b), c.want)
		}
	}
}

func TestBatchIsReadAndWrittenInPieces(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{TAP: true})
	received := receive(t, p.Link)
	for i := range 3 {
		down(t, p.Link, device.Pattern(uint64(i), 77+i))
	}
	b := make([]byte, 4096)
	n, err := unix.Readv(p.FD, pieces(b, 1, 30, 2, 100, 7, 0, 200))
	if err != nil {
		t.Fatalf("readv: %v", err)
	}
	_, frames := cut(t, b[:n])
	for i, frame := range frames {
		checkDown(t, p.Link, frame, device.Pattern(uint64(i), 77+i))
	}
	var out []byte
	for i := range 3 {
		out = append(out, record(up(p.Link, device.Pattern(uint64(i), 50+i)))...)
	}
	if n, err := unix.Writev(p.FD, pieces(out, 5, 27, 1, 0, 90)); n != len(out) || err != nil {
		t.Fatalf("writev: %d, %v", n, err)
	}
	for i := range 3 {
		received.expect(t, device.Pattern(uint64(i), 50+i))
	}
}

// record is a plain frame.
func record(frame []byte) []byte {
	return device.Record(device.Header{Length: uint32(len(frame))}, frame)
}

func TestOneWriteSendsMany(t *testing.T) {
	device.Sandbox(t)
	for _, c := range []device.Config{{}, {TAP: true}, {PI: true, Flags: device.Vnet}} {
		p := newBatch(t, c)
		received := receive(t, p.Link)
		const frames = 100
		var b []byte
		for i := range frames {
			b = append(b, record(up(p.Link, device.Pattern(uint64(i), i)))...)
		}
		// the last gap need not be there
		last := record(up(p.Link, []byte("x")))
		b = append(b, last[:device.FrameHeader+len(up(p.Link, []byte("x")))]...)
		write(t, p.File, b)
		for i := range frames {
			received.expect(t, device.Pattern(uint64(i), i))
		}
		received.expect(t, []byte("x"))
		if s := p.Stats(t); s.TxFrames != frames+1 || s.Refused() != 0 {
			t.Errorf("stats %+v", s)
		}
		received.end(t, p)
	}
}

// TestMalformedFramesAmongMany are refused and counted; the others arrive.
func TestMalformedFramesAmongMany(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	received := receive(t, p.Link)
	good := up(p.Link, []byte("good"))
	length := uint32(len(good))
	b := slices.Concat(
		record(good),
		record(nil),
		record(good[:19]),
		record([]byte{0x70, 1, 2}),
		device.Record(device.Header{Length: length, Flags: 1 << 5}, good),
		device.Record(device.Header{Length: length, Reserved: 1}, good),
		device.Record(device.Header{Length: length, Vnet: device.VnetHeader{HdrLen: 1}}, good),
		record(good),
	)
	write(t, p.File, b)
	received.expect(t, []byte("good"))
	received.expect(t, []byte("good"))
	s := p.Stats(t)
	if s.TxFrames != 2 || s.TxRefusedLength != 2 || s.TxRefusedFlags != 2 || s.TxRefusedVnet != 1 || s.TxRefusedProtocol != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestFramesThatRunPastTheEnd: what was before them is delivered and counted,
// and they are the next call's error.
func TestFramesThatRunPastTheEnd(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	received := receive(t, p.Link)
	good := record(up(p.Link, []byte("good")))
	for _, c := range []struct {
		what string
		bad  []byte
		want error
	}{
		{"a part of a header", make([]byte, device.FrameHeader-1), unix.EINVAL},
		{"one byte more than there is", device.Record(device.Header{Length: 9}, make([]byte, 8)), unix.EINVAL},
		{"length -1", device.Record(device.Header{Length: ^uint32(0)}, make([]byte, 8)), unix.EINVAL},
		{"too long", device.Record(device.Header{Length: device.FrameMax + 1}, make([]byte, device.FrameMax+1)), unix.EMSGSIZE},
	} {
		_, err := unix.Write(p.FD, c.bad)
		expect(t, c.what, err, c.want)
		n, err := unix.Write(p.FD, slices.Concat(good, good, c.bad))
		if n != 2*len(good) || err != nil {
			t.Errorf("%s, behind two frames: %d, %v, want %d", c.what, n, err, 2*len(good))
		}
		received.expect(t, []byte("good"))
		received.expect(t, []byte("good"))
	}
}

func TestBatchFaults(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	received := receive(t, p.Link)
	hole := device.Hole(t)
	good := record(up(p.Link, []byte("good")))
	_, err := unix.Write(p.FD, hole)
	expect(t, "write", err, unix.EFAULT)
	n, err := unix.Writev(p.FD, [][]byte{good, hole})
	if n != len(good) || err != nil {
		t.Errorf("writev of a frame and a hole: %d, %v, want %d", n, err, len(good))
	}
	received.expect(t, []byte("good"))
	for range 3 {
		down(t, p.Link, []byte("down"))
	}
	first := make([]byte, len(record(up(p.Link, []byte("down")))))
	n, err = unix.Readv(p.FD, [][]byte{first, hole})
	if n != len(first) || err != nil {
		t.Errorf("readv into a buffer and a hole: %d, %v, want %d", n, err, len(first))
	}
	// the second one went into the hole
	if _, frames := cut(t, read(t, p.File, 4096)); len(frames) != 1 {
		t.Errorf("%d frames are left", len(frames))
	}
}

func TestBatchOfADeviceThatIsDown(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	device.Down(t, p.Name)
	_, err := unix.Write(p.FD, record(up(p.Link, []byte("down"))))
	expect(t, "write", err, unix.EIO)
	if s := p.Stats(t); s.TxDroppedDown != 1 {
		t.Errorf("stats %+v", s)
	}
	device.Delete(t, p.Name)
	_, err = unix.Write(p.FD, record(up(p.Link, []byte("gone"))))
	expect(t, "write", err, unix.EBADFD)
}

func TestFrameWakesABatchReader(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{})
	p.SetBlocking(t, true)
	for range 10 {
		b := make([]byte, 1<<16)
		done := background(t, func() (int, error) { return unix.Read(p.FD, b) })
		down(t, p.Link, []byte("wake"))
		r := finish(t, done)
		if r.err != nil {
			t.Fatal(r.err)
		}
		_, frames := cut(t, b[:r.n])
		checkDown(t, p.Link, frames[0], []byte("wake"))
	}
}

// TestFullSendBufferEndsABatch: what went is told, and the rest is for later.
func TestFullSendBufferEndsABatch(t *testing.T) {
	device.Sandbox(t)
	p := newBatch(t, device.Config{TAP: true, NoAddresses: true})
	device.HoldFrames(t, p.Name)
	if err := p.SetInt(unix.TUNSETSNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	one := record(up(p.Link, device.Pattern(1, 1000)))
	rest := slices.Repeat(one, 50)
	n, err := unix.Write(p.FD, rest)
	for ; err == nil; n, err = unix.Write(p.FD, rest) {
		if n == 0 || n >= len(rest) || n%len(one) != 0 {
			t.Fatalf("%d of %d bytes went, in frames of %d", n, len(rest), len(one))
		}
		rest = rest[n:]
	}
	expect(t, "write into a full buffer", err, unix.EAGAIN)
	p.SetBlocking(t, true)
	done := background(t, func() (int, error) { return unix.Write(p.FD, rest) })
	device.DropHeld(t)
	if r := finish(t, done); r.n != len(rest) || r.err != nil {
		t.Errorf("write of the rest, %d bytes: %d, %v", len(rest), r.n, r.err)
	}
}
