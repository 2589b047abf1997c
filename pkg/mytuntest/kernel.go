// SPDX-License-Identifier: MIT

// Package mytuntest tests programs for package mytunev without a device, a module or
// root: New makes a [mytunev.Device] with no kernel behind its rings, and a [Kernel] that
// the test plays instead.
//
//	dev, kernel, err := mytuntest.New(mytunev.Config{})
//	go dev.Run(ctx, handler)
//	err = kernel.Send(0, request)
//	answer, err := kernel.Receive(ctx)
//
// All that a program does with a Device it does with this one: callbacks, batches, Send,
// Read and Write, deadlines, Close, several queues, super-packets, room around frames. The
// rings are real, and so are the waits; the frames are those that the test sends, and no
// stack looks at those that the program does. So there is no difference between a device
// that is up and one that is down, nothing is refused, and nothing is dropped: what a Kernel
// has sent waits, without a bound. Config.FlowHash and [mytunev.Device.SetOffload] have no
// effect, and AttachSteering, AttachFilter and SyscallConn's functions fail with
// [mytunev.ErrNotSupported].
//
// On systems other than Linux, New returns [mytunev.ErrNotSupported].
package mytuntest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/mytun/mytun/internal/double"
	"github.com/mytun/mytun/pkg/mytunev"
)

// A Packet is a frame on its way between a Kernel and a program.
type Packet struct {
	Queue int                // index in Device.Queues
	Data  []byte             // as Frame.Data, the receiver's own
	VNet  mytunev.VNetHeader // zero without Config.Offload
}

// A Kernel is what is at the other end of a Device. Its methods are safe for concurrent
// use, and none of them waits for the program but Receive.
type Kernel struct {
	device  *double.Device
	offload bool

	mu      sync.Mutex
	towards [][]Packet    // the program, by queue
	from    []Packet      // the program
	more    chan struct{} // holds a token if from may have become longer
	deleted bool
}

// New makes a device as c says, and the kernel behind it. c means what it means to
// [mytunev.Open], as far as there is a kernel to mean it to. Close of the device frees both.
func New(c mytunev.Config) (*mytunev.Device, *Kernel, error) {
	if double.Open == nil {
		return nil, nil, mytunev.ErrNotSupported
	}
	k := &Kernel{offload: c.Offload != 0, more: make(chan struct{}, 1)}
	d, err := double.Open(c, link{k})
	if err != nil {
		return nil, nil, err
	}
	device := d.Value.(*mytunev.Device)
	k.device, k.towards = d, make([][]Packet, len(device.Queues()))
	return device, k, nil
}

// Send sends a frame to the program, through the queue with that index. The frame is copied.
func (k *Kernel) Send(queue int, frame []byte) error {
	return k.SendVNet(queue, frame, mytunev.VNetHeader{})
}

// SendVNet is Send for a frame to which something is left to do: a super-packet, say. It
// fails on a device without Config.Offload unless v is zero.
func (k *Kernel) SendVNet(queue int, frame []byte, v mytunev.VNetHeader) error {
	if err := k.add(Packet{queue, slices.Clone(frame), v}); err != nil {
		return fmt.Errorf("mytuntest: send to queue %d: %w", queue, err)
	}
	k.device.Wake(queue)
	return nil
}

// MaxFrame is the longest frame that a device carries, in bytes.
const MaxFrame = 65568

func (k *Kernel) add(p Packet) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.deleted:
		return mytunev.ErrDetached
	case p.Queue < 0 || p.Queue >= len(k.towards):
		return fmt.Errorf("the device has %d", len(k.towards))
	case len(p.Data) == 0 || len(p.Data) > MaxFrame:
		return fmt.Errorf("a frame of %d bytes: it has 1 to %d", len(p.Data), MaxFrame)
	case !k.offload && p.VNet != mytunev.VNetHeader{}:
		return errors.New("a VNetHeader, and Config.Offload is not set")
	}
	k.towards[p.Queue] = append(k.towards[p.Queue], p)
	return nil
}

// Receive returns the next frame that the program has sent, by whatever queue, and waits
// for it until ctx is done. The frames of one queue come in order.
func (k *Kernel) Receive(ctx context.Context) (Packet, error) {
	for {
		if p, ok := k.take(); ok {
			return p, nil
		}
		select {
		case <-k.more:
		case <-ctx.Done():
			return Packet{}, ctx.Err()
		}
	}
}

// take takes the oldest frame. Who leaves some leaves the token for others that wait.
func (k *Kernel) take() (p Packet, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.from) == 0 {
		return p, false
	}
	p, k.from = k.from[0], k.from[1:]
	if len(k.from) > 0 {
		k.tell()
	}
	return p, true
}

// Waiting returns how many frames a queue has for the program that the program's side of
// the ring has not got yet.
func (k *Kernel) Waiting(queue int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.towards[queue])
}

// Delete deletes the network device: whatever the program waits for ends with
// [mytunev.ErrDetached].
func (k *Kernel) Delete() {
	k.mu.Lock()
	k.deleted = true
	k.mu.Unlock()
	k.device.Delete()
}

// ChangeLink does to the network device what an administrator does: change is called with its
// state, and what it makes of that is the state from then on. The device is up at first, and a
// program may send and receive when it is down; its index is 0, and stays so. change must not
// call methods of the Kernel or the Device.
func (k *Kernel) ChangeLink(change func(l *mytunev.Link)) {
	k.device.Change(func(state any) { change(state.(*mytunev.Link)) })
}

// tell leaves the token.
func (k *Kernel) tell() {
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// A link is a Kernel to package mytunev.
type link struct{ k *Kernel }

// Next implements double.Kernel.
func (l link) Next(queue int) ([]byte, any, bool) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	waiting := l.k.towards[queue]
	if len(waiting) == 0 {
		return nil, nil, false
	}
	l.k.towards[queue] = waiting[1:]
	return waiting[0].Data, waiting[0].VNet, true
}

// Take implements double.Kernel.
func (l link) Take(queue int, payload []byte, vnet any) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.k.from = append(l.k.from, Packet{queue, slices.Clone(payload), vnet.(mytunev.VNetHeader)})
	l.k.tell()
}
