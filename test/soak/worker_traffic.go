// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
)

// todo is the context of all that only ends with its device.
var todo = context.Background()

// window is how many frames of a flow may be on their way to the host's socket, which
// could not hold more. The tx ring is as a rule full long before.
const window = 400

// receive is the Handler of all queues.
func (w *worker) receive(b *mytunev.Batch) error {
	for f := range b.Frames() {
		payload, port, err := payloadOf(f.Data)
		if err != nil {
			fail("%v: %d bytes %.64x", err, len(f.Data), f.Data)
		}
		size := len(payload)
		if n := f.SegmentSize(); n > 0 {
			size = n
		}
		for ; len(payload) > 0; payload = payload[min(size, len(payload)):] {
			w.received(payload[:min(size, len(payload))], port)
		}
	}
	return nil
}

// received checks one payload, of a frame or of a segment of one.
func (w *worker) received(payload []byte, port int) {
	l, err := readLabel(payload)
	flow := port - peerPorts
	switch {
	case err != nil:
		fail("to the process: %v", err)
	case l.life != w.life.Load():
		w.late.Add(1) // it waited in the qdisc while the worker before this one died
	case flow < 0 || flow >= flows || l.flow != fenceFlow && int(l.flow) != flow:
		fail("to the process: %+v came to port %d", l, port)
	case l.flow == fenceFlow:
		w.fence[flow].Store(l.seq)
	default:
		w.inOrder(l, flow)
		w.down[flow].bytes.Add(uint64(len(payload)))
		w.down[flow].received.Add(1)
	}
}

func (w *worker) inOrder(l label, flow int) {
	c := &w.check[flow]
	c.Lock()
	defer c.Unlock()
	c.loose, c.gaps = w.loose.Load() != 0, w.gaps.Load() != 0
	if err := c.add(l.seq); err != nil {
		fail("to the process, flow %d: %v", flow, err)
	}
}

// send is one flow's traffic to the host, in every way that a Queue has.
func (w *worker) send(flow int, q *mytunev.Queue) {
	r := rand.New(rand.NewPCG(uint64(w.life.Load()), uint64(flow)))
	buf := make([]byte, mtu)
	for seq := w.up[flow].sent.Load(); ; {
		n := w.mayOpen(flow, seq)
		if n == 0 {
			return
		}
		n = min(n, 1+r.Uint64N(64))
		var err error
		if flow%2 == 0 {
			err = w.sendEach(q, flow, seq, n, buf, r)
		} else {
			err = w.sendBatch(q, flow, seq, n, r)
		}
		if err != nil {
			fail("send on %s: %v", q.Name(), err)
		}
		seq += n
	}
}

// mayOpen waits until frames may be sent, and returns how many, or 0 at the end.
func (w *worker) mayOpen(flow int, seq uint64) uint64 {
	for {
		select {
		case <-w.stop:
			return 0
		default:
		}
		if open := seq - w.up[flow].received.Load(); w.brake.mayGo(flows+flow) && open < window {
			return window - open
		}
		time.Sleep(time.Millisecond)
	}
}

// sizeOf is a random length: most are small or as long as Ethernet's, some are longer.
func sizeOf(r *rand.Rand) int {
	switch r.IntN(4) {
	case 0:
		return labelSize + r.IntN(100)
	case 1, 2:
		return labelSize + r.IntN(1450)
	}
	return labelSize + r.IntN(maxPayload)
}

func (w *worker) put(frame []byte, flow int, seq uint64) {
	label{uint32(flow), w.life.Load(), seq}.write(frame[headers:])
	putHeaders(frame, flow)
	w.up[flow].sent.Add(1)
}

func (w *worker) sendEach(q *mytunev.Queue, flow int, seq, n uint64, buf []byte, r *rand.Rand) error {
	for i := range n {
		frame := buf[:headers+sizeOf(r)]
		w.put(frame, flow, seq+i)
		if err := q.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) sendBatch(q *mytunev.Queue, flow int, seq, n uint64, r *rand.Rand) error {
	return q.SendBatch(func(tx *mytunev.Tx) error {
		for i := range n {
			size := headers + sizeOf(r)
			slot, err := tx.Reserve(size)
			if errors.Is(err, mytunev.ErrFull) {
				if err = tx.WaitSpace(size); err == nil {
					slot, err = tx.Reserve(size)
				}
			}
			if err != nil {
				return err
			}
			w.put(slot, flow, seq+i)
			if err := tx.Commit(size); err != nil {
				return err
			}
		}
		return nil
	})
}
