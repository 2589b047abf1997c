// SPDX-License-Identifier: MIT

package gvisor

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const queues = 4

// newSpread makes an endpoint over a device of several queues.
func newSpread(t *testing.T) (*Endpoint, *mytuntest.Kernel) {
	t.Helper()
	dev, kernel, err := mytuntest.New(mytunev.Config{Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, kernel
}

// A shape makes a packet buffer, as the parts of the stack do that send.
type shape func(p []byte, header int) *stack.PacketBuffer

var shapes = map[string]shape{
	"all is data": func(p []byte, _ int) *stack.PacketBuffer {
		return stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	},
	"headers in front": func(p []byte, header int) *stack.PacketBuffer {
		b := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: header + 4, Payload: buffer.MakeWithData(p[header+4:])})
		copy(b.TransportHeader().Push(4), p[header:])
		copy(b.NetworkHeader().Push(header), p)
		return b
	},
	"ports apart": func(p []byte, header int) *stack.PacketBuffer {
		b := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: header, Payload: buffer.MakeWithData(p[header : header+1])})
		b.Data().AppendView(buffer.NewViewWithData(p[header+1:]))
		copy(b.NetworkHeader().Push(header), p)
		return b
	},
}

// write writes packets in one call and returns what the kernel got.
func write(t *testing.T, e *Endpoint, kernel *mytuntest.Kernel, packets ...*stack.PacketBuffer) (got []mytuntest.Packet) {
	t.Helper()
	var list stack.PacketBufferList
	defer func() { list.DecRef() }()
	for _, p := range packets {
		list.PushBack(p)
	}
	if n, err := e.WritePackets(list); n != len(packets) || err != nil {
		t.Fatalf("%d of %d packets, %v", n, len(packets), err)
	}
	for range packets {
		p, err := kernel.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	return got
}

// flow is one of the flows of the tests.
func flow(i int) kind {
	return kind{six: i%2 == 1, protocol: udpProtocol, ports: [2]uint16{uint16(1000 + i), 53}}
}

// ipHeader is the length in bytes of the IP header of k.
func (k kind) ipHeader() int { return len(k.packet("")) - 4 }

// TestQueueOfAFlow: however the stack has put a packet together, its flow has one queue, and the flows have all.
func TestQueueOfAFlow(t *testing.T) {
	e, kernel := newSpread(t)
	used := map[int]bool{}
	for i := range 64 {
		k := flow(i)
		of := map[int]bool{}
		for name, shape := range shapes {
			p := k.packet(name)
			got := write(t, e, kernel, shape(p, k.ipHeader()))[0]
			if !bytes.Equal(got.Data, p) {
				t.Fatalf("%s: % x came of % x", name, got.Data, p)
			}
			used[got.Queue], of[got.Queue] = true, true
		}
		if len(of) != 1 {
			t.Errorf("flow %d went by the queues %v", i, of)
		}
	}
	if len(used) != queues {
		t.Errorf("only the queues %v were used, of %d", used, queues)
	}
}

// TestFragmentsStayTogether, and come in order.
func TestFragmentsStayTogether(t *testing.T) {
	e, kernel := newSpread(t)
	first := kind{protocol: udpProtocol, ports: [2]uint16{1, 2}, more: true}
	next, last := first, first
	next.ports, next.offset = [2]uint16{77, 78}, 1480 // which is data
	last.ports, last.offset, last.more = [2]uint16{99, 98}, 2960, false
	var sent []*stack.PacketBuffer
	for _, k := range []kind{first, next, last} {
		sent = append(sent, shapes["all is data"](k.packet(fmt.Sprint(k.offset)), 0))
	}
	got := write(t, e, kernel, sent...)
	for i, k := range []kind{first, next, last} {
		if want := k.packet(fmt.Sprint(k.offset)); !bytes.Equal(got[i].Data, want) || got[i].Queue != got[0].Queue {
			t.Errorf("fragment %d came by queue %d, the first one by %d: % x, want % x", i, got[i].Queue, got[0].Queue, got[i].Data, want)
		}
	}
}

// TestOrderWithinAFlow: packets of many flows in one list all arrive, those of each in their order.
func TestOrderWithinAFlow(t *testing.T) {
	const flows, rounds = 16, 8
	e, kernel := newSpread(t)
	var sent []*stack.PacketBuffer
	for round := range rounds {
		for i := range flows {
			sent = append(sent, shapes["all is data"](flow(i).packet(string(rune('0'+round))), 0))
		}
	}
	come := map[string]int{} // by all but the round
	for _, p := range write(t, e, kernel, sent...) {
		flow, round := string(p.Data[:len(p.Data)-1]), int(p.Data[len(p.Data)-1]-'0')
		if round != come[flow] {
			t.Errorf("% x: packet %d after %d others", flow, round, come[flow])
		}
		come[flow]++
	}
	if len(come) != flows {
		t.Errorf("packets of %d flows, want %d", len(come), flows)
	}
}

// TestSendersDoNotMeet: while somebody has the ring of one queue, a flow of another one is sent.
func TestSendersDoNotMeet(t *testing.T) {
	e, kernel := newSpread(t)
	p := flow(0).packet("goes on")
	own := write(t, e, kernel, shapes["all is data"](p, 0))[0].Queue
	for i, q := range e.dev.Queues() {
		if i == own {
			continue
		}
		err := q.SendBatch(func(tx *mytunev.Tx) error {
			if _, err := tx.Reserve(100); err != nil { // the ring is this function's until it returns
				return err
			}
			var list stack.PacketBufferList
			list.PushBack(shapes["all is data"](p, 0))
			defer list.DecRef()
			sent := make(chan tcpip.Error)
			go func() {
				_, err := e.WritePackets(list)
				sent <- err
			}()
			if err := <-sent; err != nil {
				t.Errorf("beside queue %d: %v", i, err)
			}
			if got, err := kernel.Receive(t.Context()); err != nil || got.Queue != own || !bytes.Equal(got.Data, p) {
				t.Errorf("beside queue %d: % x by %d, %v", i, got.Data, got.Queue, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWritePacketsFails: what was sent before the first error is counted, by whatever queues it went.
func TestWritePacketsFails(t *testing.T) {
	e, kernel := newSpread(t)
	var list stack.PacketBufferList
	defer func() { list.DecRef() }()
	const good = 20
	for i := range good {
		list.PushBack(shapes["all is data"](flow(i).packet(""), 0))
	}
	list.PushBack(shapes["all is data"](flow(0).packet(string(make([]byte, mytuntest.MaxFrame))), 0))
	if n, err := e.WritePackets(list); n != good || err == nil {
		t.Errorf("%d packets, %v, want %d and an error", n, err, good)
	}
	for range good {
		if _, err := kernel.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := e.WritePackets(stack.PacketBufferList{}); n != 0 || err != nil {
		t.Errorf("%d packets of none, %v", n, err)
	}
}
