// SPDX-License-Identifier: MIT

//go:build mytun_device

package wireguard

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// TestModuleTailscale: what the kernel sends at once comes in a slab, what the device writes at once comes to the kernel, and
// events come in the fork's type.
func TestModuleTailscale(t *testing.T) {
	device.OnBothBackends(t, func(t *testing.T) {
		device.Sandbox(t)
		testTailscale(t)
	})
}

func testTailscale(t *testing.T) {
	d, err := CreateTailscaleTUN[forkEvent, forkReadPacket]("fork0", 1280)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	device.AddAddress(t, "fork0", here.String()+"/24")
	device.Up(t, "fork0")
	select {
	case event := <-d.Events():
		if event != 1 {
			t.Errorf("event %v, want up", event)
		}
	case <-time.After(device.Deadline):
		t.Error("no event came")
	}
	kernel, err := net.DialUDP("udp", &net.UDPAddr{IP: here.AsSlice(), Port: 2000}, &net.UDPAddr{IP: there.AsSlice(), Port: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	const size, count = 1000, 40
	device.SetSegment(t, kernel, size)
	all := pattern(1, size*count)
	if _, err := kernel.Write(all); err != nil {
		t.Fatal(err)
	}
	var bufs [][]byte
	for i, p := range readSlabs(t, d, count, 1<<16, batchSize) {
		if !bytes.Equal(p[headers:], all[i*size:(i+1)*size]) {
			t.Fatalf("packet %d is another", i)
		}
		turnAround(p)
		bufs = append(bufs, p)
	}
	if n, err := d.Write(bufs, 0); n != count || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for i := range count {
		device.Expect(t, kernel, all[i*size:(i+1)*size])
	}
}

// turnAround makes the answer of an echo server of a datagram. Sums do not care for order, so all stay valid.
func turnAround(p []byte) {
	p[12], p[13], p[14], p[15], p[16], p[17], p[18], p[19] = p[16], p[17], p[18], p[19], p[12], p[13], p[14], p[15]
	p[20], p[21], p[22], p[23] = p[22], p[23], p[20], p[21]
}
