// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"bytes"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// TestChecksumOfAnUnknownProtocol: that a frame is not of IP is no reason to leave its checksum unfinished, or to refuse it.
func TestChecksumOfAnUnknownProtocol(t *testing.T) {
	const experimental = 0x88b5 // of IEEE 802
	frame := device.VnetFrame{
		Vnet: device.VnetHeader{Flags: device.VnetNeedsCsum, CsumStart: 20, CsumOffset: 2},
		Data: append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, experimental >> 8, experimental & 0xff},
			device.Pattern(1, 100)...),
	}
	for _, way := range device.Ways {
		t.Run(way.Name, func(t *testing.T) {
			w := newWire(t, way, true)
			var far *device.VnetSocket
			device.Inside(t, w.namespaces[1], func() { far = device.NewVnetSocket(t, "wire", experimental) })
			near := device.NewVnetSocket(t, "wire", 0)
			for _, complete := range []bool{false, true} {
				w.complete.Store(complete)
				near.Send(t, frame)
				device.WaitFor(t, "the frame at the far end", func() bool {
					if err := w.problem(t); err != nil {
						t.Fatal(err)
					}
					return far.Ready()
				})
				if got := finish(far.Receive(t)); !bytes.Equal(got, finish(frame)) {
					t.Errorf("completed %v: %d bytes came, % x..., want % x...", complete, len(got), got[:24], finish(frame)[:24])
				}
			}
			if w.unfinished.Load() != 2 {
				t.Errorf("%d of 2 frames were handed out with a checksum to fill in", w.unfinished.Load())
			}
		})
	}
}

// finish is a frame with its checksum.
func finish(f device.VnetFrame) []byte {
	data := bytes.Clone(f.Data)
	if f.Vnet.Flags&device.VnetNeedsCsum != 0 {
		f.Vnet.FillChecksum(data)
	}
	return data
}
