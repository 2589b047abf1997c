// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Busy is traffic in both directions through all queues of a link, from
// goroutines of this process, which stop caring when anything fails.
type Busy struct {
	Received, Sent atomic.Uint64 // frames out of the rx ring, into the tx ring

	kernel, process           sync.WaitGroup
	kernelStopped, ourStopped atomic.Bool
}

// busySenders is how many send to the link at once: with one, nobody ever finds the
// ring taken by another sender.
const busySenders = 2

// NewBusy starts the traffic and waits until frames went both ways. It is
// stopped at the end of the test.
func NewBusy(t testing.TB, l *Link) *Busy {
	t.Helper()
	b := &Busy{}
	frame := l.Frame(false, Datagram{SrcPort: 5555, DstPort: 5556, Payload: Pattern(1, 700)})
	for range busySenders {
		conn := l.ListenUDP(t, false, 0)
		b.kernel.Go(func() { b.flood(conn, l) })
	}
	b.process.Go(func() { b.send(l.Queues, frame) })
	b.process.Go(func() { b.receive(l.Queues) })
	t.Cleanup(b.Stop)
	b.WaitMore(t, 200)
	return b
}

// NewBusySender is NewBusy towards the kernel alone, without a socket.
func NewBusySender(t testing.TB, l *Link) *Busy {
	t.Helper()
	b := &Busy{}
	frame := l.Frame(false, Datagram{SrcPort: 5555, DstPort: 5556, Payload: Pattern(1, 700)})
	b.process.Go(func() { b.send(l.Queues, frame) })
	t.Cleanup(b.Stop)
	b.WaitSent(t, 200)
	return b
}

// WaitSent waits until so many more frames went to the kernel.
func (b *Busy) WaitSent(t testing.TB, frames uint64) {
	t.Helper()
	sent := b.Sent.Load() + frames
	WaitFor(t, "traffic", func() bool { return b.Sent.Load() >= sent })
}

func (b *Busy) flood(conn *net.UDPConn, l *Link) {
	payload := Pattern(2, 700)
	for !b.kernelStopped.Load() {
		conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, 5555))
	}
}

func (b *Busy) send(queues []*Queue, frame []byte) {
	for i := 0; !b.ourStopped.Load(); i++ {
		q := queues[i%len(queues)]
		if q.State() != 0 || q.Room() < Footprint(len(frame)) {
			runtime.Gosched()
			continue
		}
		q.Put(frame)
		q.Publish()
		b.Sent.Add(1)
	}
}

// receive lets others run when it has found all queues empty. Beside senders, each time
// may last as long as they are let run: not for each of 256 queues.
func (b *Busy) receive(queues []*Queue) {
	for !b.ourStopped.Load() {
		before := b.Received.Load()
		for _, q := range queues {
			b.receiveFrom(q)
		}
		if b.Received.Load() == before {
			runtime.Gosched()
		}
	}
}

// receiveFrom takes a frame, if there is one and the queue is well.
func (b *Busy) receiveFrom(q *Queue) {
	if q.State() != 0 {
		return
	}
	if h, _, ok := q.Peek(); ok {
		q.Next(h)
		q.Release()
		b.Received.Add(1)
	}
}

// WaitMore waits until so many more frames went each way.
func (b *Busy) WaitMore(t testing.TB, frames uint64) {
	t.Helper()
	received, sent := b.Received.Load()+frames, b.Sent.Load()+frames
	WaitFor(t, "traffic", func() bool {
		return b.Received.Load() >= received && b.Sent.Load() >= sent
	})
}

// StopProcess stops this process's side; the kernel's goes on.
func (b *Busy) StopProcess() {
	b.ourStopped.Store(true)
	b.process.Wait()
}

// Stop stops both sides.
func (b *Busy) Stop() {
	b.StopProcess()
	b.kernelStopped.Store(true)
	b.kernel.Wait()
}
