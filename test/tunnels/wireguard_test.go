// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

import (
	"crypto/ecdh"
	"encoding/binary"
	"net"
	"testing"

	"github.com/mytun/mytun/test/device"
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

	wgPort = 51820
)

// genericHeader is a struct genlmsghdr: command, version, and two bytes that are reserved. In netlink's own Genlmsg those are what happens to
// lie behind it, and the kernel refuses them now and then.
type genericHeader [nl.SizeofGenlmsg]byte

func (genericHeader) Len() int            { return nl.SizeofGenlmsg }
func (h genericHeader) Serialize() []byte { return h[:] }

// setKeys gives a WireGuard device its key and its one peer, the wire's other end.
func setKeys(t *testing.T, l *device.Link) {
	t.Helper()
	family, err := netlink.GenlFamilyGet("wireguard")
	if err != nil {
		t.Fatalf("generic netlink family of WireGuard: %v", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(genericHeader{wgSetDevice, 1})
	request.AddData(nl.NewRtAttr(wgDeviceName, nl.ZeroTerminated(inner)))
	request.AddData(nl.NewRtAttr(wgDevicePrivateKey, wgKey(t, l.Host4.AsSlice()).Bytes()))
	request.AddData(nl.NewRtAttr(wgDevicePort, nl.Uint16Attr(wgPort)))
	peers := nl.NewRtAttr(wgDevicePeers|unix.NLA_F_NESTED, nil)
	peer := peers.AddRtAttr(unix.NLA_F_NESTED, nil)
	peer.AddRtAttr(wgPeerPublicKey, wgKey(t, l.Peer4.AsSlice()).PublicKey().Bytes())
	peer.AddRtAttr(wgPeerEndpoint, endpoint(l.Peer4.AsSlice()))
	allowed := peer.AddRtAttr(wgPeerAllowedIPs|unix.NLA_F_NESTED, nil)
	for _, prefix := range []net.IP{net.IPv4zero.To4(), net.IPv6zero} {
		allow(allowed.AddRtAttr(unix.NLA_F_NESTED, nil), prefix)
	}
	request.AddData(peers)
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		t.Fatalf("WG_CMD_SET_DEVICE: %v", err)
	}
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

// endpoint is a struct sockaddr_in.
func endpoint(address []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	b = binary.BigEndian.AppendUint16(b, wgPort)
	return append(append(b, address...), make([]byte, 8)...)
}

// allow lets a peer have all addresses of a family.
func allow(attribute *nl.RtAttr, zero net.IP) {
	family := uint16(unix.AF_INET)
	if len(zero) == net.IPv6len {
		family = unix.AF_INET6
	}
	attribute.AddRtAttr(wgAllowedFamily, nl.Uint16Attr(family))
	attribute.AddRtAttr(wgAllowedAddress, zero)
	attribute.AddRtAttr(wgAllowedMask, []byte{0})
}
