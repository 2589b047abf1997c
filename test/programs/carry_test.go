// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// streamSize is how many bytes go through a tunnel with each stream, each way.
const streamSize = 64 << 10

// carried is how many bytes certainly have gone through a tunnel, each way.
const carried = 2 * streamSize

// icmpHeader is how many bytes precede a ping's payload, with either family.
const icmpHeader = 8

// datagramSizes are payloads: the last is sent in fragments.
var datagramSizes = []int{0, 1, 3, 100, 1000, 1452, 1453, 5000, 20000}

// carry takes traffic of every kind through a tunnel, with both families, and checks all of it.
func carry(t *testing.T, ends [2]*end) {
	t.Helper()
	a, b := ends[0], ends[1]
	device.Enter(t, a.ns)
	a.waitFor(t, "an answer through the tunnel", func() bool {
		return command("ping", "-n", "-q", "-c", "1", "-W", "1", b.inner4.String()).Run() == nil
	})
	for _, address := range []netip.Addr{b.inner4, b.inner6} {
		most := device.LinkOf(t, a.name).Attrs().MTU - device.IPHeader(address.Is6()) - icmpHeader
		for _, size := range []int{56, most, most + 1} {
			device.Ping(t, address, size)
		}
		device.Datagrams(t, b.ns, address, datagramSizes...)
		device.Streams(t, b.ns, address, streamSize)
	}
}
