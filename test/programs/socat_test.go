// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// socatTunnel is a tunnel of datagrams. The packets of a TUN device have the header of
// packet information, as socat asks for unless it is told otherwise.
func socatTunnel(kind string) tunnel {
	return tunnel{
		addresses: true,
		command: func(e *end) []string {
			return []string{
				"socat",
				fmt.Sprintf("TUN:%v/24,tun-device=%s,tun-name=%s,%s,iff-up", e.inner4, e.node, e.name, kind),
				fmt.Sprintf("UDP4-DATAGRAM:%v:5000,bind=%v:5000", e.peer.wire, e.wire),
			}
		},
	}
}

func TestSocat(t *testing.T) {
	need(t, "socat")
	t.Run("TUN", socatTunnel("tun-type=tun").onBoth)
	// the devices are there before the programs, and after them
	persistent := socatTunnel("tun-type=tap,iff-no-pi")
	persistent.stays = true
	persistent.prepare = func(t *testing.T, e *end) {
		device.Inside(t, e.ns, func() { run(t, atNode(e.node, "ip", "tuntap", "add", "dev", e.name, "mode", "tap")...) })
	}
	t.Run("TAP", persistent.onBoth)
}
