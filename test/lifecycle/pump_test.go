// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// turned is an address behind the device of which the stack knows nothing but that: what
// the process sends there comes back to it. So there is traffic both ways without a
// socket, which would keep a namespace.
var turned = netip.MustParseAddr("10.99.0.3")

// pumpFlows is how many flows there are, to meet all queues.
const pumpFlows = 32

// A pump is a process's side of traffic both ways, through all queues that are mapped.
type pump struct {
	mu             sync.Mutex // held while the queues are in use
	queues         []*device.Queue
	frames         [][]byte
	sent, received uint64
}

func newPump() *pump {
	l := device.Link{Host4: turned, Peer4: netip.MustParseAddr("10.99.0.2")}
	p := &pump{}
	for flow := range pumpFlows {
		p.frames = append(p.frames, l.Frame(false, device.Datagram{
			SrcPort: uint16(5000 + flow), DstPort: peerPort, Payload: device.Pattern(uint64(flow), 500),
		}))
	}
	return p
}

// run goes on for ever, and leaves some time to others.
func (p *pump) run() {
	for ; ; time.Sleep(100 * time.Microsecond) {
		p.mu.Lock()
		for _, q := range p.queues {
			if q.User != nil && q.State() == 0 {
				p.move(q)
			}
		}
		p.mu.Unlock()
	}
}

// move puts some frames into the queue and takes all out that are there.
func (p *pump) move(q *device.Queue) {
	for range pumpFlows / 2 {
		if frame := p.frames[p.sent%pumpFlows]; q.Room() >= device.Footprint(len(frame)) {
			q.Put(frame)
			p.sent++
		}
	}
	q.Publish()
	for h, _, ok := q.Peek(); ok; h, _, ok = q.Peek() {
		q.Next(h)
		q.Release()
		p.received++
	}
}

// waitMore waits until frames went both ways.
func (p *pump) waitMore(t testing.TB) {
	t.Helper()
	sent, received := p.counts()
	device.WaitFor(t, "traffic both ways", func() bool {
		s, r := p.counts()
		return s >= sent+pumpFlows && r >= received+pumpFlows
	})
}

func (p *pump) counts() (sent, received uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, p.received
}
