// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Arguments of TUNSETOFFLOAD. UDP segmentation is one offload for both
// families: its bits come together.
const (
	OffloadCsum   = 0x01
	OffloadTSO4   = 0x02
	OffloadTSO6   = 0x04
	OffloadTSOECN = 0x08
	OffloadUFO    = 0x10
	OffloadUSO4   = 0x20
	OffloadUSO6   = 0x40
	OffloadUSO    = OffloadUSO4 | OffloadUSO6

	OffloadTunnel    = 0x80
	OffloadTunnelSum = 0x100 // and with a checksum in the outer UDP header
	OffloadTunnels   = OffloadTunnel | OffloadTunnelSum

	OffloadAll = OffloadCsum | OffloadTSO4 | OffloadTSO6 | OffloadTSOECN | OffloadUSO
)

// offloadsVariable makes NewLink turn all offloads on, for tests that were
// written without them: any value but the empty one.
const offloadsVariable = "MYTUN_TEST_OFFLOADS"

func offloadsWanted() bool { return os.Getenv(offloadsVariable) != "" }

// TrySetOffload calls TUNSETOFFLOAD.
func (f *File) TrySetOffload(offloads uintptr) error {
	return IoctlValue(f.FD, unix.TUNSETOFFLOAD, offloads)
}

// SetOffload is TrySetOffload that must succeed.
func (f *File) SetOffload(t testing.TB, offloads uintptr) {
	t.Helper()
	if err := f.TrySetOffload(offloads); err != nil {
		t.Fatalf("TUNSETOFFLOAD %#x: %v", offloads, err)
	}
}

// TrySetBackpressure calls MYTUN_IOC_SET_BACKPRESSURE.
func (f *File) TrySetBackpressure(on uint32) error {
	return Ioctl(f.FD, IocSetBackpressure, encode(on))
}

// SetBackpressure is TrySetBackpressure that must succeed.
func (f *File) SetBackpressure(t testing.TB, on bool) {
	t.Helper()
	var value uint32
	if on {
		value = 1
	}
	if err := f.TrySetBackpressure(value); err != nil {
		t.Fatalf("MYTUN_IOC_SET_BACKPRESSURE %d: %v", value, err)
	}
}

// PutVnet writes a frame with checksum and segmentation metadata.
func (q *Queue) PutVnet(vnet VnetHeader, payload []byte) {
	q.PutRaw(Header{Length: uint32(len(payload)), Vnet: vnet}, payload, Footprint(len(payload)))
}

// SendVnet puts and publishes such a frame, when there is room for it.
func (q *Queue) SendVnet(t testing.TB, vnet VnetHeader, payload []byte) {
	t.Helper()
	q.waitRoom(t, len(payload))
	q.PutVnet(vnet, payload)
	q.Publish()
}
