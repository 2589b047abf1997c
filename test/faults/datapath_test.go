// SPDX-License-Identifier: MIT

//go:build mytun_device

package faults

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// While memory is short frames are dropped and counted, each of them; the others
// arrive as they were sent, in their order; and afterwards all do.

const (
	// enough is how many frames a shortage must cost, before it proves anything.
	enough = 12
	// mostRounds is where a test gives up that it will.
	mostRounds = 400
)

// shortages are those of which each part of an skb can be the victim: its head, its
// data up to 2 KiB in one piece, and the pages of longer ones.
var shortages = []struct {
	name   string
	kind   string
	caches []string
	sizes  []int // payloads that have such a part
}{
	{"heads", "failslab", []string{"skbuff_head_cache"}, []int{4, 100, 600, 1400, 2000, 2100, 9000, 60000}},
	{"data", "failslab", []string{"skbuff_small_head", "kmalloc-1k", "kmalloc-2k", "kmalloc-4k"}, []int{4, 100, 600, 800, 1400, 2000}},
	{"pages", "fail_page_alloc", nil, []int{2100, 4000, 9000, 30000, 60000}},
}

// A traffic is datagrams of one direction, each with its number and a pattern.
type traffic struct {
	t     *testing.T
	l     *device.Link
	conn  *net.UDPConn
	port  int // of conn
	sizes []int
	sent  int
	seen  int // one more than the number of the newest that came
}

func newLink(t *testing.T) *device.Link {
	return device.NewLink(t, device.Config{MTU: 65535, RxSize: 4 << 20, TxSize: 4 << 20})
}

func newTraffic(t *testing.T, l *device.Link, port int, sizes []int) *traffic {
	return &traffic{t: t, l: l, conn: l.ListenUDP(t, false, port), port: port, sizes: sizes}
}

// payload is that of the datagram with a number.
func (tr *traffic) payload(number int) []byte {
	p := device.Pattern(uint64(number), tr.sizes[number%len(tr.sizes)])
	binary.LittleEndian.PutUint32(p, uint32(number))
	return p
}

// arrived checks a datagram: it was sent, and is newer than those before.
func (tr *traffic) arrived(p []byte) {
	tr.t.Helper()
	if len(p) < 4 {
		tr.t.Fatalf("a datagram of %d bytes that nobody sent", len(p))
	}
	number := int(binary.LittleEndian.Uint32(p))
	if number < tr.seen || number >= tr.sent {
		tr.t.Fatalf("datagram %d came, where one from %d to %d may", number, tr.seen, tr.sent-1)
	}
	tr.seen = number + 1
	if !bytes.Equal(p, tr.payload(number)) {
		tr.t.Fatalf("datagram %d of %d bytes came as %d others", number, len(tr.payload(number)), len(p))
	}
}

// roundFrames is how many frames are on their way at a time. Rings and sockets have
// room for all of them.
const roundFrames = 40

// A round is a number of frames on their way. Settle waits until all have come to an
// end, and returns how many were delivered and how many dropped: as many as were sent,
// or the test fails.
type round struct {
	settle func() (delivered, dropped int)
}

// fromProcess sends a round through the tx ring.
func (tr *traffic) fromProcess() round {
	q := tr.l.Queue()
	before := q.Stats(tr.t)
	for range roundFrames {
		d := device.Datagram{SrcPort: device.PeerPort, DstPort: uint16(tr.port), Payload: tr.payload(tr.sent)}
		q.Put(tr.l.Frame(false, d))
		tr.sent++
	}
	q.Publish()
	return round{func() (delivered, dropped int) {
		device.WaitFor(tr.t, "all frames of the process to be delivered or dropped", func() bool {
			now := q.Stats(tr.t)
			delivered = int(now.TxFrames - before.TxFrames)
			dropped = int(now.TxDroppedMemory - before.TxDroppedMemory)
			return delivered+dropped == roundFrames
		})
		tr.receive(delivered)
		return delivered, dropped
	}}
}

// receive takes so many datagrams from the socket: what the stack was given it must
// not lose.
func (tr *traffic) receive(count int) {
	tr.t.Helper()
	b := make([]byte, 1<<16)
	for i := range count {
		tr.conn.SetReadDeadline(time.Now().Add(device.Deadline))
		n, _, err := tr.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			tr.t.Fatalf("%d of %d frames that were counted as delivered came: %v", i, count, err)
		}
		tr.arrived(b[:n])
	}
}

// A tally is what became of the frames of one way.
type tally struct{ came, lost int }

// pass has a round of each way on its way at the same time, and adds up.
func pass(ways []func() round, sum []tally) {
	rounds := make([]round, len(ways))
	for i, start := range ways {
		rounds[i] = start()
	}
	for i, r := range rounds {
		came, lost := r.settle()
		sum[i].came += came
		sum[i].lost += lost
	}
}

// during runs rounds of all ways in a shortage until it did its damage to each, and
// some after it, which must do without.
func during(t *testing.T, s shortage, ways ...func() round) {
	t.Helper()
	// the stack's first packet to somewhere makes a neighbour of it: a loss for
	// want of that would be counted nowhere
	pass(ways, make([]tally, len(ways)))
	sum := make([]tally, len(ways))
	spared := func(s tally) bool { return s.lost < enough }
	for i := 0; slices.ContainsFunc(sum, spared); i++ {
		if i == mostRounds {
			t.Fatalf("fewer than %d frames were dropped in %d rounds: %+v", enough, i, sum)
		}
		s.begin()
		pass(ways, sum)
		s.end()
	}
	after := make([]tally, len(ways))
	for range 10 {
		pass(ways, after)
	}
	t.Logf("in the shortage %+v, after it %+v", sum, after)
	for i := range ways {
		if sum[i].came == 0 {
			t.Errorf("all frames of way %d were dropped: there was no traffic", i)
		}
		if after[i].lost != 0 {
			t.Errorf("%d frames of way %d were dropped when there was memory again", after[i].lost, i)
		}
	}
}

// Frames of the process need memory: each that there is none for is counted.
func TestShortageInTx(t *testing.T) {
	for _, c := range shortages {
		t.Run(c.name, func(t *testing.T) {
			device.Sandbox(t)
			s := newFailer(t, c.kind, c.caches...)
			tr := newTraffic(t, newLink(t), device.HostPort, c.sizes)
			during(t, shortage{s}, tr.fromProcess)
		})
	}
}

// segments is how many frames the stack makes of one datagram for the rx ring, which
// is where memory is needed on this way.
const segments = 4

// toProcess has a socket send a round of super-packets that the stack cuts up.
func (tr *traffic) toProcess() round {
	q, t := tr.l.Queue(), tr.t
	frames, drops := q.Stats(t).RxFrames, device.Counters(t, tr.l.Name).TxDropped
	for range roundFrames {
		var super []byte
		for range segments {
			super = append(super, tr.payload(tr.sent)...)
			tr.sent++
		}
		if _, err := tr.conn.WriteToUDPAddrPort(super, tr.l.PeerAddr(false, device.PeerPort)); err != nil {
			t.Fatal(err)
		}
	}
	return round{func() (delivered, dropped int) {
		device.WaitFor(t, "all frames to the process to be in the ring or dropped", func() bool {
			delivered = int(q.Stats(t).RxFrames - frames)
			// the stack drops all segments of a super-packet, and counts one
			dropped = segments * int(device.Counters(t, tr.l.Name).TxDropped-drops)
			return delivered+dropped == segments*roundFrames
		})
		tr.take(delivered)
		return delivered, dropped
	}}
}

// take takes so many frames out of the rx ring.
func (tr *traffic) take(count int) {
	tr.t.Helper()
	for range count {
		_, frame := tr.l.Queue().Receive(tr.t, nil)
		d, ok := tr.l.Parse(frame)
		if !ok {
			tr.t.Fatalf("a frame that nobody sent: %x", frame)
		}
		tr.arrived(d.Payload)
	}
}

// newSupers is traffic to the process.
func newSupers(t *testing.T, l *device.Link, port int) *traffic {
	tr := newTraffic(t, l, port, []int{1000})
	device.SetSegment(t, tr.conn, 1000)
	return tr
}

// Frames to the process are copied into the ring without new memory; a stack that has
// none for the segments of a super-packet counts them at the device.
func TestShortageInRx(t *testing.T) {
	for _, c := range shortages[:2] {
		t.Run(c.name, func(t *testing.T) {
			device.Sandbox(t)
			s := newFailer(t, c.kind, c.caches...)
			tr := newSupers(t, newLink(t), device.HostPort)
			during(t, shortage{s}, tr.toProcess)
		})
	}
}

// Both ways at once, and all kinds of shortage.
func TestShortageInBoth(t *testing.T) {
	device.Sandbox(t)
	var s shortage
	for _, c := range shortages {
		s = append(s, newFailer(t, c.kind, c.caches...))
	}
	l := newLink(t)
	up := newTraffic(t, l, device.HostPort, shortages[0].sizes)
	down := newSupers(t, l, device.HostPort+1)
	during(t, s, up.fromProcess, down.toProcess)
}
