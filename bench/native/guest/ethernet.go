// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// introduce tells an Ethernet interface the hardware address of the far end, so that it has not to ask.
func introduce(link netlink.Link) error {
	far, err := net.ParseMAC(farMAC)
	if err != nil {
		return err
	}
	err = netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(farAddr), HardwareAddr: far,
	})
	if err != nil {
		return fmt.Errorf("tell %s of %s: %w", link.Attrs().Name, farAddr, err)
	}
	return nil
}

// frame puts an Ethernet header to the interface in front of an IPv4 packet.
func frame(packet []byte) ([]byte, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", device, err)
	}
	return frameTo(link.Attrs().HardwareAddr, packet)
}

func frameTo(near net.HardwareAddr, packet []byte) ([]byte, error) {
	far, err := net.ParseMAC(farMAC)
	if err != nil {
		return nil, err
	}
	f := make([]byte, header.EthernetMinimumSize, header.EthernetMinimumSize+len(packet))
	header.Ethernet(f).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(far), DstAddr: tcpip.LinkAddress(near), Type: header.IPv4ProtocolNumber,
	})
	return append(f, packet...), nil
}
