// SPDX-License-Identifier: MIT

//go:build mytun_device

package traffic

import (
	"testing"

	"github.com/mytun/mytun/test/device"
)

// heldFrames have more bytes than the memory that a queue has for frames on their way.
const heldFrames = 600

// TestFramesThatAreHeldHoldNobodyUp: datagrams stay with a socket that nobody reads, and others come and are right. What is held outlives the
// queue and the device, as it was.
func TestFramesThatAreHeldHoldNobodyUp(t *testing.T) {
	device.Sandbox(t)
	for _, size := range []int{1, 700, 1400} {
		l := device.NewLink(t, device.Config{IPv6: size == 700})
		q := l.Queue()
		send := func(seed, port int) {
			q.Send(t, l.Frame(size == 700, device.Datagram{SrcPort: 1, DstPort: uint16(port), Payload: device.Pattern(uint64(seed), size)}))
		}
		holder, reader := l.ListenUDP(t, size == 700, 5001), l.ListenUDP(t, size == 700, 5002)
		for i := range heldFrames {
			send(i, 5001)
			if i%2 == 0 { // pages of which one piece is held
				send(i+1, 5002)
				device.Expect(t, reader, device.Pattern(uint64(i+1), size))
			}
		}
		q.WaitTaken(t)
		q.Unmap()
		q.Close()
		device.WaitGone(t, l.Name)
		for i := range heldFrames {
			device.Expect(t, holder, device.Pattern(uint64(i), size))
		}
		holder.Close()
		reader.Close()
	}
}
