// SPDX-License-Identifier: MIT

package gvisor

import (
	"runtime"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// waitMTU waits until the endpoint, and with it the stack, knows of an MTU.
func (h *host) waitMTU(mtu uint32) {
	for h.stack.NICInfo()[nic].MTU != mtu || h.endpoint.MTU() != mtu {
		runtime.Gosched()
	}
}

// TestMTUIsFollowed: what an administrator sets is the stack's too, attached or not, and what the stack sets is the device's.
func TestMTUIsFollowed(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.kernel.ChangeLink(func(l *mytunev.Link) { l.MTU = 1300 })
	h.waitMTU(1300)
	h.endpoint.Attach(nil)
	h.kernel.ChangeLink(func(l *mytunev.Link) { l.MTU = 9000 })
	h.waitMTU(9000)
	if err := h.stack.SetNICMTU(nic, 1400); err != nil {
		t.Fatal(err)
	}
	if mtu, err := h.endpoint.dev.MTU(); mtu != 1400 || err != nil || h.endpoint.MTU() != 1400 {
		t.Errorf("the device's MTU is %d, %v, the endpoint's %d", mtu, err, h.endpoint.MTU())
	}
}

// TestOldNews of the MTU does not undo what the stack has set meanwhile.
func TestOldNews(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.endpoint.SetMTU(1280)
	h.endpoint.link.follow(mytunev.Link{MTU: 1500})
	if mtu := h.endpoint.MTU(); mtu != 1280 {
		t.Errorf("MTU %d, want 1280", mtu)
	}
}

// TestNewsOfADeviceThatCannotBeAsked are believed.
func TestNewsOfADeviceThatCannotBeAsked(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.endpoint.Close()
	h.endpoint.link.follow(mytunev.Link{MTU: 1300})
	if mtu := h.endpoint.MTU(); mtu != 1300 {
		t.Errorf("MTU %d, want 1300", mtu)
	}
	h.endpoint.SetMTU(1400)
	if mtu := h.endpoint.MTU(); mtu != 1300 {
		t.Errorf("MTU %d of a device that does not take 1400", mtu)
	}
}

// TestDeleted: the endpoint says what has become of the device, and the stack keeps it until it is closed.
func TestDeleted(t *testing.T) {
	h := newHost(t, mytunev.Config{Queues: 2}, v4[0])
	h.kernel.Delete()
	h.endpoint.Wait()
	if err := h.endpoint.Err(); err != mytunev.ErrDetached {
		t.Errorf("%v, want ErrDetached", err)
	}
	var packets stack.PacketBufferList
	packets.PushBack(shapes["all is data"](flow(0).packet(""), 0))
	defer packets.DecRef()
	n, err := h.endpoint.WritePackets(packets)
	if _, closed := err.(*tcpip.ErrClosedForSend); n != 0 || !closed {
		t.Errorf("%d packets sent, %v", n, err)
	}
	if !h.stack.HasNIC(nic) {
		t.Error("the stack has no such interface any more")
	}
	h.endpoint.Close()
	if h.stack.HasNIC(nic) {
		t.Error("the stack has the interface still")
	}
	if err := h.endpoint.Err(); err != mytunev.ErrDetached {
		t.Errorf("%v after Close, want ErrDetached", err)
	}
}

// TestDeletedWhileDetached: nobody receives then, and the endpoint says it all the same.
func TestDeletedWhileDetached(t *testing.T) {
	h := newHost(t, mytunev.Config{}, v4[0])
	h.endpoint.Attach(nil)
	h.endpoint.Wait()
	h.kernel.Delete()
	<-h.endpoint.link.ended
	if err := h.endpoint.Err(); err != mytunev.ErrDetached {
		t.Errorf("%v, want ErrDetached", err)
	}
}

// TestCloseEndsTheWatch, of an endpoint that no stack had too.
func TestCloseEndsTheWatch(t *testing.T) {
	e, _ := newSpread(t)
	for range 2 {
		e.Close()
		select {
		case <-e.link.ended:
		default:
			t.Error("the device is watched still")
		}
	}
	if err := e.Err(); err != mytunev.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}
