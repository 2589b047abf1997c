// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"crypto/ecdh"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
)

const wgPort = 51820

// setKeys gives a WireGuard device its key and its one peer, the wire's other end.
func setKeys(t *testing.T, l *device.Link) {
	t.Helper()
	device.SetWireguard(t, inner, wgKey(t, l.Host4.AsSlice()), wgPort, device.WireguardPeer{
		Key: wgKey(t, l.Peer4.AsSlice()).PublicKey(), Endpoint: netip.AddrPortFrom(l.Peer4, wgPort),
	})
}

// wgKey is the key of the end with an address.
func wgKey(t *testing.T, address []byte) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(device.Pattern(uint64(binary.BigEndian.Uint32(address)), 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
