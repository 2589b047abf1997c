// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"bytes"
	"testing"
)

// The kernel takes any header of that length: a field in the wrong place would be another packet.
func TestTunSuperHeader(t *testing.T) {
	const needsChecksum, udpL4 = 1, 5
	want := []byte{needsChecksum, udpL4, 28, 0, 0x5c, 0x05, 20, 0, 6, 0}
	got := tunSuperHeader(28, 1372)
	if !bytes.Equal(got, want) {
		t.Errorf("the header of segments of 1372 bytes behind 28 is % x, want % x", got, want)
	}
	if len(got) != tunVNetHeader {
		t.Errorf("the header has %d bytes, want %d", len(got), tunVNetHeader)
	}
}
