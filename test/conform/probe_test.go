// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"bytes"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// probes ask the stock tun of the kernel that runs for what some have and others
// have not. A kernel's number does not tell: what stock tun learns is given to
// older kernels too.
var probes = map[string]func(w *world) bool{
	"attaches ownerless": func(w *world) (attached bool) {
		const kind = device.TUN | device.Multi
		w.open("maker").attach("probe", kind)
		f := w.open("file")
		device.AsUser(w, 1000, 1000, func() {
			attached = device.Ioctl(f.fd, unix.TUNSETIFF, device.Ifreq("probe", kind)) == nil
		})
		return attached
	},
	"no channels": func(w *world) bool {
		w.open("file").attach("probe", device.TUN)
		return device.Ethtool(w, "probe", append(le32(unix.ETHTOOL_GCHANNELS), make([]byte, 32)...)) == unix.EOPNOTSUPP
	},
	"no RWF_NOWAIT": func(w *world) bool {
		f := w.open("file")
		f.attach("probe", device.TUN)
		_, err := unix.Preadv2(f.fd, [][]byte{make([]byte, 100)}, -1, unix.RWF_NOWAIT)
		return err == unix.EOPNOTSUPP
	},
	"no USO": func(w *world) bool {
		f := w.open("file")
		f.attach("probe", device.TUN|device.Vnet)
		return device.IoctlValue(f.fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_USO4|unix.TUN_F_USO6) == unix.EINVAL
	},
	"no tunnel offloads": func(w *world) bool {
		f := w.open("file")
		f.attach("probe", device.TUN|device.Vnet)
		return device.IoctlValue(f.fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|device.OffloadTunnel) == unix.EINVAL
	},
	"no IFF_BACKPRESSURE": func(w *world) bool {
		features := w.open("file").call("TUNGETFEATURES", unix.TUNGETFEATURES, le32(0))
		return features[0]&device.Backpressure == 0
	},
	"vnet rest left": func(w *world) bool {
		const size = 20
		f := w.open("file")
		f.attach("probe", device.TUN|device.Vnet)
		f.call("TUNSETVNETHDRSZ", unix.TUNSETVNETHDRSZ, le32(size))
		device.Up(w, "probe")
		w.sendFrame("probe", ipv4(60))
		b := bytes.Repeat([]byte{0xaa}, 100)
		if n, err := unix.Read(f.fd, b); n != size+60 {
			w.Fatalf("a read of stock tun: %d, %v", n, err)
		}
		return b[size-1] == 0xaa
	},
}

// probed is what a probe has found.
func probed(t *testing.T, name string) (found bool) {
	t.Helper()
	probe := probes[name]
	if probe == nil {
		t.Fatalf("there is no probe %q", name)
	}
	w := &world{TB: t, node: device.StockNode}
	ns := device.MakeNamespace(t)
	defer ns.Close()
	device.Inside(t, ns, func() {
		found = probe(w)
		w.end()
	})
	return found
}
