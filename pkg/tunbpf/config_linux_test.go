// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
)

func TestConfigErrors(t *testing.T) {
	tooMany := int64(1<<31 + 1) // or, where an int has 32 bits, less than 0
	for want, c := range map[string]PrefixConfig{
		"Mode is Mode(7)":                                {Mode: 7},
		"PrefixConfig.Match is 2":                        {Match: 2},
		"PrefixConfig.Policy is -1":                      {Policy: -1},
		"PrefixConfig.Max is -1":                         {Max: -1},
		fmt.Sprint("PrefixConfig.Max is ", int(tooMany)): {Max: int(tooMany)},
	} {
		if _, err := NewPrefixFilter(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	ports := make([]uint16, maxPorts)
	for _, c := range []FlowConfig{
		{VXLANPorts: append(ports, 1)}, {GenevePorts: append(ports, 1)}, {VXLANPorts: ports, GenevePorts: ports[:1]},
	} {
		if _, err := NewFlowSteering(c); err == nil || !strings.Contains(err.Error(), "1001 ports of VXLAN and Geneve, more than 1000") {
			t.Errorf("%d and %d ports: %v", len(c.VXLANPorts), len(c.GenevePorts), err)
		}
	}
	if _, err := NewFlowSteering(FlowConfig{Mode: mytunev.Mode(-1)}); err == nil || !strings.Contains(err.Error(), "neither TUN nor TAP") {
		t.Errorf("Mode -1: %v", err)
	}
}

func TestPrefixErrors(t *testing.T) {
	good := netip.MustParsePrefix("10.0.0.0/8")
	for want, p := range map[string]netip.Prefix{
		"invalid prefix": {},
		"invalid prefix (the zero netip.Prefix, or one with a length": netip.PrefixFrom(good.Addr(), 33),
		"10.1.0.0/8 has bits beyond its length: 10.0.0.0/8":           netip.MustParsePrefix("10.1.0.0/8"),
		"fd00::1/8 has bits beyond its length: fd00::/8":              netip.MustParsePrefix("fd00::1/8"),
		"::ffff:10.0.0.0/104 is IPv4 in the form of IPv6":             netip.PrefixFrom(netip.AddrFrom16(good.Addr().As16()), 104),
	} {
		f := &PrefixFilter{} // and no map: a wrong list gets to none
		for name, change := range map[string]func(...netip.Prefix) error{"Add": f.Add, "Remove": f.Remove} {
			if err := change(good, p); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s(%v): %v, want %q", name, p, err, want)
			}
		}
	}
}
