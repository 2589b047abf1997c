// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"crypto/ecdh"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of linux/wireguard.h.
const (
	wgSetDevice = 1

	wgDeviceName       = 2
	wgDevicePrivateKey = 3
	wgDevicePort       = 6
	wgDevicePeers      = 8

	wgPeerPublicKey  = 1
	wgPeerEndpoint   = 4
	wgPeerAllowedIPs = 9

	wgAllowedFamily  = 1
	wgAllowedAddress = 2
	wgAllowedMask    = 3
)

// A WireguardPeer is who a WireGuard device sends everything to.
type WireguardPeer struct {
	Key      *ecdh.PublicKey
	Endpoint netip.AddrPort // of IPv4
}

// genericHeader is a struct genlmsghdr: command, version, and two bytes that are reserved. In netlink's own Genlmsg those are what happens to
// lie behind it, and the kernel refuses them now and then.
type genericHeader [nl.SizeofGenlmsg]byte

func (genericHeader) Len() int            { return nl.SizeofGenlmsg }
func (h genericHeader) Serialize() []byte { return h[:] }

// SetWireguard gives a device of the kernel's WireGuard its key, its port and its one peer.
func SetWireguard(t testing.TB, name string, key *ecdh.PrivateKey, port uint16, to WireguardPeer) {
	t.Helper()
	family, err := netlink.GenlFamilyGet("wireguard")
	if err != nil {
		t.Fatalf("generic netlink family of WireGuard: %v", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(genericHeader{wgSetDevice, 1})
	request.AddData(nl.NewRtAttr(wgDeviceName, nl.ZeroTerminated(name)))
	request.AddData(nl.NewRtAttr(wgDevicePrivateKey, key.Bytes()))
	request.AddData(nl.NewRtAttr(wgDevicePort, nl.Uint16Attr(port)))
	peers := nl.NewRtAttr(wgDevicePeers|unix.NLA_F_NESTED, nil)
	peer := peers.AddRtAttr(unix.NLA_F_NESTED, nil)
	peer.AddRtAttr(wgPeerPublicKey, to.Key.Bytes())
	peer.AddRtAttr(wgPeerEndpoint, socketAddress(to.Endpoint))
	allowed := peer.AddRtAttr(wgPeerAllowedIPs|unix.NLA_F_NESTED, nil)
	for _, zero := range []net.IP{net.IPv4zero.To4(), net.IPv6zero} {
		allowAll(allowed.AddRtAttr(unix.NLA_F_NESTED, nil), zero)
	}
	request.AddData(peers)
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		t.Fatalf("WG_CMD_SET_DEVICE: %v", err)
	}
}

// socketAddress is a struct sockaddr_in.
func socketAddress(a netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	return append(append(b, a.Addr().AsSlice()...), make([]byte, 8)...)
}

// allowAll lets a peer have all addresses of the family that zero is of.
func allowAll(attribute *nl.RtAttr, zero net.IP) {
	family := uint16(unix.AF_INET)
	if len(zero) == net.IPv6len {
		family = unix.AF_INET6
	}
	attribute.AddRtAttr(wgAllowedFamily, nl.Uint16Attr(family))
	attribute.AddRtAttr(wgAllowedAddress, zero)
	attribute.AddRtAttr(wgAllowedMask, []byte{0})
}
