// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// flags are all bits of TUNSETIFF's flags. NO_PI is NOFILTER too.
var flags = []struct {
	name string
	bit  uint16
}{
	{"TUN", unix.IFF_TUN}, {"TAP", unix.IFF_TAP}, {"bit2", 0x4}, {"bit3", 0x8},
	{"NAPI", unix.IFF_NAPI}, {"NAPI_FRAGS", unix.IFF_NAPI_FRAGS}, {"NO_CARRIER", device.NoCarrier}, {"BACKPRESSURE", device.Backpressure},
	{"MULTI_QUEUE", unix.IFF_MULTI_QUEUE}, {"ATTACH_QUEUE", unix.IFF_ATTACH_QUEUE},
	{"DETACH_QUEUE", unix.IFF_DETACH_QUEUE}, {"PERSIST", unix.IFF_PERSIST},
	{"NO_PI", unix.IFF_NO_PI}, {"ONE_QUEUE", unix.IFF_ONE_QUEUE}, {"VNET_HDR", unix.IFF_VNET_HDR}, {"EXCL", unix.IFF_TUN_EXCL},
}

// flagNames are the flags' names, joined.
func flagNames(set uint16) string {
	var names []string
	for _, f := range flags {
		if set&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, "|")
}

// tryFlags attaches a fresh descriptor to a new device, and asks for what became
// of the flags.
func (w *world) tryFlags(set uint16) {
	f := w.open(flagNames(set))
	defer f.close()
	f.attach("conf", set)
	f.getiff()
	w.sysfs(f.name+" ", "conf", "tun_flags", "carrier", "flags")
}

// sets are flags alone and in pairs, beside those of base.
func sets(base uint16) (all []uint16) {
	for i, a := range flags {
		all = append(all, base|a.bit)
		for _, b := range flags[i+1:] {
			all = append(all, base|a.bit|b.bit)
		}
	}
	return all
}

func TestFlags(t *testing.T) {
	var scenarios []scenario
	for _, base := range []uint16{0, unix.IFF_TUN, unix.IFF_TAP} {
		scenarios = append(scenarios, scenario{"beside " + flagNames(base), func(w *world) {
			for _, set := range sets(base) {
				w.tryFlags(set)
			}
		}})
	}
	scenarios = append(scenarios, scenario{"all", func(w *world) {
		for _, kind := range []uint16{unix.IFF_TUN, unix.IFF_TAP} {
			w.tryFlags(kind | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_ONE_QUEUE | unix.IFF_MULTI_QUEUE | device.NoCarrier | unix.IFF_TUN_EXCL)
			w.tryFlags(0xffff&^(unix.IFF_TUN|unix.IFF_TAP) | kind)
		}
	}})
	compare(t, "flags", scenarios)
}

func TestFlagsOfAFurtherQueue(t *testing.T) {
	var scenarios []scenario
	for _, base := range []uint16{device.TUN | device.Multi, device.TAP | device.Multi, device.TUN} {
		scenarios = append(scenarios, scenario{flagNames(base), func(w *world) {
			w.open("first").attach("conf", base)
			for _, other := range flags {
				f := w.open("further " + flagNames(base^other.bit))
				f.attach("conf", base^other.bit)
				f.getiff()
				w.sysfs(f.name+" ", "conf", "tun_flags", "carrier")
				f.close()
			}
		}})
	}
	compare(t, "further", scenarios)
}

// The carrier is shown of a device that is up, and of no other.
func TestCarrierAsQueuesAttach(t *testing.T) {
	var scenarios []scenario
	product([]uint16{device.TUN, device.TAP}, []uint32{0, 1}, func(kind uint16, carrier uint32) {
		scenarios = append(scenarios, scenario{fmt.Sprintf("%s, carrier %d", flagNames(kind), carrier), func(w *world) {
			first := w.open("first")
			first.attach("conf", kind|device.Multi)
			device.Up(w, "conf")
			for _, more := range []uint16{0, device.NoCarrier} {
				first.call(fmt.Sprintf("TUNSETCARRIER %d", carrier), unix.TUNSETCARRIER, le32(carrier))
				f := w.open("further " + flagNames(more))
				f.attach("conf", kind|device.Multi|more)
				w.sysfs(f.name+" ", "conf", "carrier")
				f.setqueue(unix.IFF_DETACH_QUEUE)
				f.setqueue(unix.IFF_ATTACH_QUEUE)
				w.sysfs(f.name+" detached and attached ", "conf", "carrier")
				f.close()
				w.sysfs(f.name+" left ", "conf", "carrier")
			}
		}})
	})
	compare(t, "carrier of queues", scenarios)
}
