// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"fmt"
	"maps"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// featuresOf are the kernel's names for what TUNSETOFFLOAD asks for.
func featuresOf(offloads uintptr) map[string]bool {
	on := map[string]bool{}
	for bits, name := range map[uintptr]string{
		device.OffloadCsum:      "tx-checksum-ip-generic",
		device.OffloadTSO4:      "tx-tcp-segmentation",
		device.OffloadTSO6:      "tx-tcp6-segmentation",
		device.OffloadTSOECN:    "tx-tcp-ecn-segmentation",
		device.OffloadUSO:       "tx-udp-segmentation",
		device.OffloadTunnel:    "tx-udp_tnl-segmentation",
		device.OffloadTunnelSum: "tx-udp_tnl-csum-segmentation",
	} {
		on[name] = offloads&bits == bits
	}
	return on
}

// checkFeatures compares what ethtool -k shows with what was asked for.
func checkFeatures(t *testing.T, name string, offloads uintptr) {
	t.Helper()
	got := device.FeaturesOf(t, name)
	for feature, want := range featuresOf(offloads) {
		if got[feature] != want {
			t.Errorf("offloads %#x: %s is %v", offloads, feature, got[feature])
		}
	}
}

// allOffloads is one above the greatest set of offloads that there are.
const allOffloads = (device.OffloadAll | device.OffloadUFO | device.OffloadTunnels) + 1

// soundOffloads are all the sets that a process may ask for: segmentation
// needs checksums, ECN a segmentation of TCP, that within tunnels one without
// them, and tunnels' checksums tunnels.
func soundOffloads() map[uintptr]bool {
	sound := map[uintptr]bool{0: true}
	for bits := range uintptr(allOffloads) {
		tso := bits&(device.OffloadTSO4|device.OffloadTSO6) != 0
		uso := bits & device.OffloadUSO
		tunnels := bits & device.OffloadTunnels
		if bits&device.OffloadCsum != 0 && (tso || bits&device.OffloadTSOECN == 0) &&
			(uso == 0 || uso == device.OffloadUSO) && tunnels != device.OffloadTunnelSum &&
			(tunnels == 0 || tso || uso != 0) {
			sound[bits] = true
		}
	}
	return sound
}

func TestEachSoundSetOfOffloadsIsTaken(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Vnet)
	checkFeatures(t, name, 0)
	for offloads := range soundOffloads() {
		f.SetOffload(t, offloads)
		checkFeatures(t, name, offloads)
	}
	f.SetOffload(t, 0)
	checkFeatures(t, name, 0)
}

func TestUnsoundSetsOfOffloadsChangeNothing(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TAP|device.Vnet)
	sound := soundOffloads()
	for _, before := range []uintptr{0, device.OffloadAll} {
		f.SetOffload(t, before)
		features := device.FeaturesOf(t, name)
		for offloads := range uintptr(allOffloads) {
			if sound[offloads] {
				continue
			}
			refused(t, f, fmt.Sprintf("TUNSETOFFLOAD %#x", offloads), unix.EINVAL, func() error {
				return f.TrySetOffload(offloads)
			})
		}
		for bit := 9; bit < 64; bit++ {
			refused(t, f, fmt.Sprintf("TUNSETOFFLOAD, bit %d", bit), unix.EINVAL, func() error {
				return f.TrySetOffload(device.OffloadAll | 1<<bit)
			})
		}
		if after := device.FeaturesOf(t, name); !maps.Equal(after, features) {
			t.Errorf("refused offloads changed the features from %v to %v", features, after)
		}
	}
}

// TestOffloadsNeedTheVnetHeader: without it the process could not tell what a
// frame is. Asking for none is no error.
func TestOffloadsNeedTheVnetHeader(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN)
	for offloads := range soundOffloads() {
		if offloads == 0 {
			continue
		}
		refused(t, f, "TUNSETOFFLOAD without IFF_VNET_HDR", unix.EINVAL, func() error {
			return f.TrySetOffload(offloads)
		})
	}
	f.SetOffload(t, 0)
	checkFeatures(t, name, 0)
}

// TestEthtoolCannotOfferMoreThanTheProcessTakes, but it can offer less.
func TestEthtoolCannotOfferMoreThanTheProcessTakes(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Vnet)
	const tso = "tx-tcp-segmentation"
	device.SetFeature(t, name, tso, true)
	checkFeatures(t, name, 0)
	f.SetOffload(t, device.OffloadAll)
	device.SetFeature(t, name, tso, false)
	checkFeatures(t, name, device.OffloadAll&^device.OffloadTSO4)
	device.SetFeature(t, name, tso, true)
	checkFeatures(t, name, device.OffloadAll)
}

// TestOffloadsAreTheDevicesAndAllQueuesSetThem.
func TestOffloadsAreTheDevicesAndAllQueuesSetThem(t *testing.T) {
	device.Sandbox(t)
	const flags = device.TUN | device.Multi | device.Vnet
	first, second := device.Open(t), device.Open(t)
	name := first.Attach(t, "", flags)
	first.SetOffload(t, device.OffloadAll)
	second.Attach(t, name, flags)
	checkFeatures(t, name, device.OffloadAll)
	second.SetOffload(t, device.OffloadCsum)
	checkFeatures(t, name, device.OffloadCsum)
	second.Close()
	checkFeatures(t, name, device.OffloadCsum)
}

// TestOffloadsOfAPersistentDevice: they stay for the next process that takes
// vnet headers, and never reach one that does not.
func TestOffloadsOfAPersistentDevice(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Vnet)
	f.SetOffload(t, device.OffloadAll)
	f.SetPersist(t, true)
	f.Close()
	checkFeatures(t, name, device.OffloadAll)
	f = device.Open(t)
	f.Attach(t, name, device.TUN|device.Vnet)
	checkFeatures(t, name, device.OffloadAll)
	f.Close()
	f = device.Open(t)
	f.Attach(t, name, device.TUN)
	checkFeatures(t, name, 0)
	f.SetPersist(t, false)
}

func TestDeadDeviceTakesNeitherOffloadsNorBackpressure(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Vnet)
	f.SetOffload(t, device.OffloadAll)
	f.SetBackpressure(t, true)
	device.Delete(t, name)
	refused(t, f, "TUNSETOFFLOAD", unix.EBADFD, func() error { return f.TrySetOffload(0) })
	refused(t, f, "SET_BACKPRESSURE", unix.EBADFD, func() error { return f.TrySetBackpressure(0) })
}

func TestBackpressureIsOnOrOff(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "", device.TUN)
	for _, on := range []uint32{2, 3, 1 << 31, 0xffffffff} {
		refused(t, f, "SET_BACKPRESSURE", unix.EINVAL, func() error { return f.TrySetBackpressure(on) })
	}
	for _, on := range []bool{false, true, true, false} {
		f.SetBackpressure(t, on)
	}
}

// TestBackpressureIsAFlagToo: the same, whether the flag of TUNSETIFF or the ioctl has set it, and it stays with a persistent device
// until it is changed.
func TestBackpressureIsAFlagToo(t *testing.T) {
	device.Sandbox(t)
	expectFlag := func(when string, f *device.File, want bool) {
		t.Helper()
		answer := device.Ifreq("", 0)
		if err := device.Ioctl(f.FD, unix.TUNGETIFF, answer); err != nil {
			t.Fatal(err)
		}
		if got := device.IfreqFlags(answer)&device.Backpressure != 0; got != want {
			t.Errorf("%s: the flag is %v", when, got)
		}
	}
	f := device.Open(t)
	name := f.Attach(t, "", device.TUN|device.Multi|device.Backpressure)
	f.SetPersist(t, true)
	defer device.Delete(t, name)
	expectFlag("asked for", f, true)
	f.SetBackpressure(t, false)
	expectFlag("turned off", f, false)
	f.SetBackpressure(t, true)
	expectFlag("turned on", f, true)

	further := device.Open(t)
	further.Attach(t, name, device.TUN|device.Multi)
	expectFlag("with a further queue", further, true)
	further.Close()
	f.Close()

	again := device.Open(t)
	again.Attach(t, name, device.TUN|device.Multi)
	expectFlag("of a new owner", again, true)
	again.SetBackpressure(t, false)
	again.Close()

	last := device.Open(t)
	last.Attach(t, name, device.TUN|device.Multi|device.Backpressure)
	expectFlag("of an owner who asks for it again", last, true)
}
