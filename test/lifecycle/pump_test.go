// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// turned is an address behind the device of which the stack knows nothing but that: what
// the process sends there comes back to it. So there is traffic both ways without a
// socket, which would keep a namespace.
var turned = netip.MustParseAddr("10.99.0.3")

// laneFlows is how many flows each queue has, and how many frames have to come to call it
// traffic.
const laneFlows = 8

// A lane is a queue with flows of its own: what the process sends there comes back there.
type lane struct {
	*device.Queue
	frames   [][]byte
	next     int // of the frames
	received int // frames
	parked   bool
	settled  bool // parked, and what was under way has come
}

func newLane(q *device.Queue, number int) *lane {
	l := device.Link{Host4: turned, Peer4: netip.MustParseAddr("10.99.0.2")}
	n := &lane{Queue: q}
	for flow := range laneFlows {
		n.frames = append(n.frames, l.Frame(false, device.Datagram{
			SrcPort: uint16(5000 + number*laneFlows + flow), DstPort: peerPort, Payload: device.Pattern(uint64(flow), 500),
		}))
	}
	return n
}

// usable tells whether the process can see the rings, and they are well.
func (n *lane) usable() bool { return n.User != nil && n.State() == 0 }

// move puts some frames into the queue and takes all out that are there.
func (n *lane) move() {
	for range 2 * laneFlows {
		if frame := n.frames[n.next%laneFlows]; n.Room() >= device.Footprint(len(frame)) {
			n.Put(frame)
			n.next++
		}
	}
	n.Publish()
	for h, _, ok := n.Peek(); ok; h, _, ok = n.Peek() {
		n.Next(h)
		n.Release()
		n.received++
	}
}

// A mark is how far a lane was at some time.
type mark struct {
	producer uint32
	received int
}

func (n *lane) mark() mark { return mark{n.TxProducer(), n.received} }

// passed tells whether the kernel took what was put since, and gave enough.
func (n *lane) passed(since mark) bool {
	taken := int32(atomic.LoadUint32(n.Words.TxConsumer)-since.producer) > 0
	return taken && (n.parked || n.received >= since.received+laneFlows)
}

// A pump is a process's side of traffic both ways, through all queues that are mapped.
type pump struct {
	mu    sync.Mutex // held while the queues are in use
	lanes []*lane
}

// run goes on for ever, and leaves some time to others.
func (p *pump) run() {
	for ; ; time.Sleep(100 * time.Microsecond) {
		p.mu.Lock()
		for _, n := range p.usable() {
			n.move()
		}
		p.mu.Unlock()
	}
}

func (p *pump) usable() (usable []*lane) {
	for _, n := range p.lanes {
		if n.usable() {
			usable = append(usable, n)
		}
	}
	return usable
}

// settling is how often in a row frames have to go through all queues, but none to one that
// was just parked, to call what was under way to that one delivered: its thread, which may
// have some in its hands, has taken frames from it as often.
const settling = 8

// waitMore waits until frames went both ways through each queue, but for those that are
// parked, which only send.
func (p *pump) waitMore(t testing.TB) {
	t.Helper()
	rounds := 1
	if p.unsettled() {
		rounds = settling
	}
	marks, silent := p.marks(), 0
	device.WaitFor(t, "traffic through all queues, and none to those that are parked", func() bool {
		passed, came := p.passed(t, marks)
		if !passed {
			return false
		}
		marks = p.marks()
		silent++
		if came {
			silent = 0
		}
		return silent >= rounds
	})
	p.settle()
}

func (p *pump) marks() map[*lane]mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	marks := map[*lane]mark{}
	for _, n := range p.usable() {
		marks[n] = n.mark()
	}
	return marks
}

// passed tells whether there was traffic through all queues since, and whether frames came to
// those that are parked, which they must not any more to one that has settled.
func (p *pump) passed(t testing.TB, marks map[*lane]mark) (passed, came bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	passed = true
	for n, since := range marks {
		passed = passed && n.passed(since)
		if !n.parked || n.received == since.received {
			continue
		}
		came = true
		if n.settled {
			t.Fatalf("%d frames came to a parked queue", n.received-since.received)
		}
	}
	return passed, came
}

func (p *pump) unsettled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.usable(), func(n *lane) bool { return n.parked && !n.settled })
}

func (p *pump) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.usable() {
		n.settled = n.parked
	}
}
