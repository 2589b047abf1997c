// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"bytes"
	"net"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestFrameTo(t *testing.T) {
	packet := datagram(64, false)
	before := bytes.Clone(packet)
	near := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	f, err := frameTo(near, packet)
	if err != nil {
		t.Fatal(err)
	}
	e := header.Ethernet(f)
	if string(e.DestinationAddress()) != string(near) || e.SourceAddress().String() != farMAC || e.Type() != header.IPv4ProtocolNumber {
		t.Errorf("the header is % x", f[:header.EthernetMinimumSize])
	}
	if !bytes.Equal(f[header.EthernetMinimumSize:], before) || !bytes.Equal(packet, before) {
		t.Errorf("the packet is % x, or was changed", f[header.EthernetMinimumSize:])
	}
}

func TestFrameWithoutInterface(t *testing.T) {
	if f, err := frame(datagram(64, false)); err == nil {
		t.Errorf("without the interface there is a frame: % x", f)
	}
}
