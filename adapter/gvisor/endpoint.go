// SPDX-License-Identifier: MIT

package gvisor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// received are the offloads that gVisor's stack can take: it has none for UDP.
const received = mytunev.OffloadChecksum | mytunev.OffloadTSO4 | mytunev.OffloadTSO6

// An Endpoint is a stack.LinkEndpoint over a TUN device. Its methods are safe for concurrent use.
type Endpoint struct {
	dev     *mytunev.Device
	link    *link
	offload bool

	mu         sync.Mutex
	attached   *reception   // nil if no dispatcher is
	receptions []*reception // all that have not ended
	changed    sync.Cond    // one of these was stopped, or has ended
	onClose    func()
	err        error // why nothing can be received any more
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// New makes an Endpoint of an open TUN device, which it then owns: Close closes it. If the device
// was opened with Config.Offload, New sets the offloads that the stack can take, which
// are checksums and TCP. What comes through all queues is received once the stack has attached
// itself, which Stack.CreateNIC does; what the stack sends is spread over all of them by its flow.
func New(dev *mytunev.Device) (*Endpoint, error) {
	if dev.Mode() != mytunev.TUN {
		return nil, fmt.Errorf("mytun for gvisor: %s is a %v device and has to be a TUN device", dev.Name(), dev.Mode())
	}
	e := &Endpoint{dev: dev}
	e.changed.L = &e.mu
	switch err := dev.SetOffload(received); {
	case err == nil:
		e.offload = true
	case !errors.Is(err, mytunev.ErrNotSupported):
		return nil, err
	}
	var err error
	if e.link, err = watchLink(dev, e.fail); err != nil {
		return nil, fmt.Errorf("mytun for gvisor: watch %s: %w", dev.Name(), err)
	}
	return e, nil
}

// Attach starts receiving. With nil it ends that: what comes from then on waits in the device. It
// does not wait for a packet that is on its way to the dispatcher, for the stack, which
// calls this with locks that packets need, would hang.
func (e *Endpoint) Attach(dispatcher stack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detach()
	if dispatcher == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reception{dispatcher: dispatcher, trusted: e.offload, cancel: cancel}
	e.attached, e.receptions = r, append(e.receptions, r)
	go func() {
		var err error
		defer func() { e.ended(r, err) }() // a dispatcher may end the goroutine
		err = r.run(ctx, e.dev)
	}()
}

// detach stops the reception of who is attached, if somebody is. The caller holds mu.
func (e *Endpoint) detach() {
	r := e.attached
	if r == nil {
		return
	}
	e.attached = nil
	r.stopped.Store(true)
	r.cancel()
	e.changed.Broadcast()
}

// ended is told of a reception that has ended, and why.
func (e *Endpoint) ended(r *reception, err error) {
	if !r.stopped.Load() {
		e.fail(err)
	}
	r.cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.receptions = slices.DeleteFunc(e.receptions, func(other *reception) bool { return other == r })
	e.changed.Broadcast()
}

// fail keeps the first reason why nothing is received any more.
func (e *Endpoint) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

// IsAttached implements stack.LinkEndpoint.
func (e *Endpoint) IsAttached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attached != nil
}

// Wait waits until nothing is received any more: after Close or Attach(nil), or because the device
// is gone. It does not wait for a packet that is on its way to the dispatcher after one of the first two, for the stack calls
// this as it calls Attach; the device is not free before the dispatcher has returned.
func (e *Endpoint) Wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for slices.ContainsFunc(e.receptions, (*reception).isAwaited) {
		e.changed.Wait()
	}
}

// Err tells why nothing can be received any more, attached or not, nil as long as something can:
// [mytunev.ErrDetached], for one, if somebody has deleted the device.
func (e *Endpoint) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Close closes the device. It does not wait for packets that are on their way to the
// stack.
func (e *Endpoint) Close() {
	e.dev.Close()
	<-e.link.ended
	e.fail(mytunev.ErrClosed)
	e.mu.Lock()
	e.detach()
	action := e.onClose
	e.onClose = nil
	e.mu.Unlock()
	if action != nil {
		action()
	}
}

// SetOnCloseAction implements stack.LinkEndpoint.
func (e *Endpoint) SetOnCloseAction(action func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onClose = action
}

// MTU returns the device's MTU, whoever has set it: an administrator too. Of a device that is moved to another network
// namespace it is the last from before.
func (e *Endpoint) MTU() uint32 { return e.link.mtu.Load() }

// SetMTU, and with it Stack.SetNICMTU, sets the MTU of the device, which takes CAP_NET_ADMIN: the two ends of a link
// have one. An MTU that the device does not take changes nothing.
func (e *Endpoint) SetMTU(mtu uint32) { e.link.setMTU(mtu) }

// MaxHeaderLength returns 0: a TUN device has no link header.
func (*Endpoint) MaxHeaderLength() uint16 { return 0 }

// LinkAddress returns none.
func (*Endpoint) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress does nothing.
func (*Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities says that the stack need not look at checksums, if the device has offloads: it cannot
// be told so of single packets. Those that are complete are looked at before it gets them, but for
// fragments.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	if e.offload {
		return stack.CapabilityRXChecksumOffload
	}
	return 0
}

// ARPHardwareType says that there is no link layer.
func (*Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader does nothing.
func (*Endpoint) AddHeader(*stack.PacketBuffer) {}

// ParseHeader does nothing.
func (*Endpoint) ParseHeader(*stack.PacketBuffer) bool { return true }

// GSOMaxSize is the longest super-packet: what the length in an IP header can say.
func (*Endpoint) GSOMaxSize() uint32 { return math.MaxUint16 }

// SupportedGSO says that the kernel cuts super-packets up, if the device has offloads.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO {
	if e.offload {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}
