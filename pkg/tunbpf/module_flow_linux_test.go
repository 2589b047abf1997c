// SPDX-License-Identifier: MIT

package tunbpf

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/pkg/mytunev"

	"golang.org/x/sys/unix"
)

// newFlowSteering loads a program with a seed that is always the same, for no two
// results to be equal once in a while.
func newFlowSteering(t testing.TB, c FlowConfig) *ebpf.Program {
	t.Helper()
	p, err := assembleFlow(c.withDefaults(), 0x0123456789abcdef).program("tun_flow")
	loaded(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// A tunnel wraps a packet in one that its ends exchange; back is the way back.
type tunnel struct {
	name string
	wrap func(ends [2]netip.Addr, packet []byte) []byte
}

var (
	ends4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	ends6 = [2]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}
)

func ipip(ends [2]netip.Addr, p []byte) []byte {
	protocol := byte(unix.IPPROTO_IPIP)
	if p[0]>>4 == 6 {
		protocol = unix.IPPROTO_IPV6
	}
	return ip(ends[0], ends[1], protocol, p)
}

// gre is GRE with flags and the words that these stand for.
func gre(flags uint16, words int) func([2]netip.Addr, []byte) []byte {
	return func(ends [2]netip.Addr, p []byte) []byte {
		return ip(ends[0], ends[1], unix.IPPROTO_GRE, big(flags, kindOf(p)), make([]byte, 4*words), p)
	}
}

func greEthernet(ends [2]netip.Addr, p []byte) []byte {
	return ip(ends[0], ends[1], unix.IPPROTO_GRE, big(0x2000, unix.ETH_P_TEB, 0, 7), ethernet(kindOf(p), p))
}

// vxlan's source port is one that its sender makes of the flow inside.
func vxlan(port uint16) func([2]netip.Addr, []byte) []byte {
	return func(ends [2]netip.Addr, p []byte) []byte {
		return ip(ends[0], ends[1], unix.IPPROTO_UDP, udp(50000, port, []byte{8, 0, 0, 0, 0, 0, 42, 0}, ethernet(kindOf(p), p)))
	}
}

func vxlanTagged(ends [2]netip.Addr, p []byte) []byte {
	frame := ethernet(unix.ETH_P_8021AD, tag(unix.ETH_P_8021Q, tag(kindOf(p), p)))
	return ip(ends[0], ends[1], unix.IPPROTO_UDP, udp(50000, 4789, []byte{8, 0, 0, 0, 0, 0, 42, 0}, frame))
}

func geneve(options int, inside bool) func([2]netip.Addr, []byte) []byte {
	return func(ends [2]netip.Addr, p []byte) []byte {
		kind := kindOf(p)
		if inside {
			kind, p = unix.ETH_P_TEB, ethernet(kind, p)
		}
		head := slices.Concat([]byte{byte(options), 0}, big(kind), make([]byte, 4+4*options))
		return ip(ends[0], ends[1], unix.IPPROTO_UDP, udp(50000, 6081, head, p))
	}
}

var tunnels = []tunnel{
	{"ipip", ipip},
	{"gre", gre(0, 0)},
	{"gre with a key", gre(0x2000, 1)},
	{"gre with all", gre(0xb000, 3)},
	{"gre with Ethernet", greEthernet},
	{"vxlan", vxlan(4789)},
	{"vxlan with tags", vxlanTagged},
	{"geneve", geneve(0, false)},
	{"geneve with options and Ethernet", geneve(5, true)},
}

// TestModuleFlowInside: a tunnel's frame goes where the packet inside would go by
// itself, and so does its answer.
func TestModuleFlowInside(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	for _, tunnel := range tunnels {
		for _, ends := range [][2]netip.Addr{ends4, ends6} {
			for _, ipv6 := range []bool{false, true} {
				seen := map[uint32]bool{}
				for _, f := range someFlows(ipv6, 64) {
					plain := run(t, p, f.packet())
					seen[plain] = true
					if got := run(t, p, tunnel.wrap(ends, f.packet())); got != plain {
						t.Errorf("%s between %v: %v went to %d, and by itself to %d", tunnel.name, ends, f, got, plain)
					}
					back := [2]netip.Addr{ends[1], ends[0]}
					if got := run(t, p, tunnel.wrap(back, f.back().packet())); got != plain {
						t.Errorf("%s between %v: the answer to %v went to %d, not %d", tunnel.name, ends, f, got, plain)
					}
				}
				if len(seen) < 60 {
					t.Errorf("%s: 64 flows have %d results", tunnel.name, len(seen))
				}
			}
		}
	}
}

// TestModuleFlowSpread: few queues get about as many flows each.
func TestModuleFlowSpread(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	for _, ipv6 := range []bool{false, true} {
		var queues [4]int
		for _, f := range someFlows(ipv6, 250) {
			queues[run(t, p, vxlan(4789)(ends4, f.packet()))%4]++
		}
		for _, n := range queues {
			// 62 expected, with a standard deviation of 7
			if n < 20 || n > 110 {
				t.Errorf("IPv6 %v: of 250 flows the queues got %v", ipv6, queues)
			}
		}
	}
}

// TestModuleFlowOuter: what cannot be looked into goes by the outer flow, in both
// directions, and so not by what is inside.
func TestModuleFlowOuter(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	inner, other := newFlow("10.1.0.1:1", "10.1.0.2:2").packet(), newFlow("10.1.0.3:1", "10.1.0.4:2").packet()
	for name, wrap := range map[string]func([2]netip.Addr, []byte) []byte{
		"ESP":         func(e [2]netip.Addr, p []byte) []byte { return ip(e[0], e[1], 50, make([]byte, 8), p) },
		"PPTP's GRE":  gre(0x2001, 1),
		"GRE, routed": gre(0x4000, 1),
		"another GRE": func(e [2]netip.Addr, p []byte) []byte { return ip(e[0], e[1], unix.IPPROTO_GRE, big(0, 0x8847), p) },
		"VXLAN, no flag": func(e [2]netip.Addr, p []byte) []byte {
			return ip(e[0], e[1], unix.IPPROTO_UDP, udp(4789, 4789, []byte{0x80, 0, 0, 0, 0, 0, 42, 0}, ethernet(unix.ETH_P_IP, p)))
		},
		"VXLAN's ARP": func(e [2]netip.Addr, p []byte) []byte {
			return ip(e[0], e[1], unix.IPPROTO_UDP, udp(4789, 4789, []byte{8, 0, 0, 0, 0, 0, 42, 0}, ethernet(0x0806, p)))
		},
		"Geneve 1": func(e [2]netip.Addr, p []byte) []byte {
			return ip(e[0], e[1], unix.IPPROTO_UDP, udp(6081, 6081, []byte{0x40, 0}, big(unix.ETH_P_IP, 0, 0), make([]byte, 4*0x40), p))
		},
		"a fragment":    func(e [2]netip.Addr, p []byte) []byte { return fragment(ipip(e, p), 0, true) },
		"other version": func(e [2]netip.Addr, p []byte) []byte { return ip(e[0], e[1], unix.IPPROTO_IPV6, p) },
		"other version, 4": func(e [2]netip.Addr, p []byte) []byte {
			return ip(e[0], e[1], unix.IPPROTO_IPIP, []byte{0x65}, p[1:])
		},
		"no tunnel": vxlan(4790),
		"three tags": func(e [2]netip.Addr, p []byte) []byte {
			frame := ethernet(unix.ETH_P_8021Q, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_IP, p))))
			return ip(e[0], e[1], unix.IPPROTO_UDP, udp(4789, 4789, []byte{8, 0, 0, 0, 0, 0, 42, 0}, frame))
		},
	} {
		there := run(t, p, wrap(ends4, inner))
		if got := run(t, p, wrap(ends4, other)); got != there {
			t.Errorf("%s: what is inside matters", name)
		}
		far := [2]netip.Addr{ends4[0], netip.MustParseAddr("192.0.2.9")}
		if run(t, p, wrap(far, inner)) == there && run(t, p, wrap([2]netip.Addr{far[1], far[1]}, inner)) == there {
			t.Errorf("%s: its ends do not matter", name)
		}
		if name == "no tunnel" {
			continue // its ports are not those of the way back
		}
		if got := run(t, p, wrap([2]netip.Addr{ends4[1], ends4[0]}, inner)); got != there {
			t.Errorf("%s: back it went to %d, there to %d", name, got, there)
		}
	}
}

// TestModuleFlowNested: of a tunnel in a tunnel, the inner one's ends.
func TestModuleFlowNested(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	for _, f := range someFlows(false, 8) {
		nested := gre(0, 0)(ends6, ipip(ends4, f.packet()))
		if got, want := run(t, p, nested), run(t, p, ip(ends4[0], ends4[1], unix.IPPROTO_IPIP)); got != want {
			t.Errorf("%v went to %d, not to %d", f, got, want)
		}
	}
}

// TestModuleFlowPorts of tunnels are what the configuration says.
func TestModuleFlowPorts(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{VXLANPorts: []uint16{8472, 65535}, GenevePorts: []uint16{}})
	f := newFlow("10.1.0.1:1", "10.1.0.2:2")
	plain := run(t, p, f.packet())
	for port, inside := range map[uint16]bool{8472: true, 65535: true, 4789: false} {
		if got := run(t, p, vxlan(port)(ends4, f.packet())); (got == plain) != inside {
			t.Errorf("port %d: went to %d, the packet itself to %d", port, got, plain)
		}
	}
	if run(t, p, geneve(0, false)(ends4, f.packet())) == plain {
		t.Error("Geneve was looked into")
	}
	none := newFlowSteering(t, FlowConfig{VXLANPorts: []uint16{}, GenevePorts: []uint16{}})
	if run(t, none, vxlan(4789)(ends4, f.packet())) == run(t, none, f.packet()) {
		t.Error("VXLAN was looked into")
	}
}

// TestModuleFlowManyPorts: the last of as many ports as there can be is as good as the first.
func TestModuleFlowManyPorts(t *testing.T) {
	ports := make([]uint16, maxPorts)
	for i := range ports {
		ports[i] = uint16(i + 1)
	}
	f := newFlow("10.1.0.1:1", "10.1.0.2:2")
	p := newFlowSteering(t, FlowConfig{VXLANPorts: ports, GenevePorts: []uint16{}})
	plain := run(t, p, f.packet())
	for _, port := range []uint16{1, maxPorts, maxPorts + 1} {
		if got := run(t, p, vxlan(port)(ends4, f.packet())); (got == plain) != (port <= maxPorts) {
			t.Errorf("port %d: went to %d, the packet itself to %d", port, got, plain)
		}
	}
}

// TestModuleFlowPlain: frames without a tunnel.
func TestModuleFlowPlain(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	f4, f6 := newFlow("10.1.0.1:1", "10.1.0.2:2").packet(), newFlow("[fd01::1]:1", "[fd01::2]:2").packet()
	ports4, ports6 := run(t, p, f4), run(t, p, f6)
	from4, to4 := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")
	from6, to6 := netip.MustParseAddr("fd01::1"), netip.MustParseAddr("fd01::2")
	// flows without ports
	whole4, whole6 := run(t, p, ip(from4, to4, unix.IPPROTO_TCP)), run(t, p, ip(from6, to6, unix.IPPROTO_TCP))
	for name, c := range map[string]struct {
		frame []byte
		want  uint32
	}{
		"IPv4 with options":         {withOptions(f4), ports4},
		"first fragment":            {fragment(f4, 0, true), whole4},
		"another fragment":          {fragment(f4, 10, true), whole4},
		"last fragment":             {fragment(f4, 10, false), whole4},
		"hop-by-hop options":        {behind(f6, unix.IPPROTO_HOPOPTS, options(8)), ports6},
		"routing":                   {behind(f6, unix.IPPROTO_ROUTING, options(24)), ports6},
		"tunnel's limit":            {behind(f6, unix.IPPROTO_DSTOPTS, options(8)), ports6},
		"the longest options":       {behind(f6, unix.IPPROTO_DSTOPTS, options(2048)), ports6},
		"four extensions":           {behind(behind(behind(behind(f6, 60, options(8)), 43, options(16)), 60, options(8)), 0, options(24)), ports6},
		"IPv6, in one piece":        {behind(f6, unix.IPPROTO_FRAGMENT, fragmentHeader(0, false)), ports6},
		"IPv6, first fragment":      {behind(f6, unix.IPPROTO_FRAGMENT, fragmentHeader(0, true)), whole6},
		"IPv6, another fragment":    {behind(f6, unix.IPPROTO_FRAGMENT, fragmentHeader(3, true)), whole6},
		"IPv6, last fragment":       {behind(f6, unix.IPPROTO_FRAGMENT, fragmentHeader(3, false)), whole6},
		"IPv6, options, a fragment": {behind(behind(f6, 44, fragmentHeader(3, true)), 0, options(8)), whole6},
		"neither IPv4 nor IPv6":     {append([]byte{0x55}, f4[1:]...), 0},
		"IPv4 header of 16 bytes":   {append([]byte{0x44}, f4[1:]...), 0},
	} {
		if got := run(t, p, c.frame); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if ports4 == whole4 && ports6 == whole6 {
		t.Error("ports do not matter")
	}
}

// TestModuleFlowProtocols: which have ports, and that the protocol matters.
func TestModuleFlowProtocols(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	results := map[uint32]bool{}
	for protocol, ports := range map[byte]bool{
		unix.IPPROTO_TCP: true, unix.IPPROTO_UDP: true, unix.IPPROTO_DCCP: true, unix.IPPROTO_SCTP: true, unix.IPPROTO_UDPLITE: true,
		1: false, 50: false, 51: false, 89: false,
	} {
		a, b := newFlow("10.1.0.1:1", "10.1.0.2:2"), newFlow("10.1.0.1:1", "10.1.0.2:3")
		a.protocol, b.protocol = protocol, protocol
		first, second := run(t, p, a.packet()), run(t, p, b.packet())
		if (first != second) != ports {
			t.Errorf("protocol %d: ports matter: %v", protocol, first != second)
		}
		results[first] = true
	}
	if len(results) < 7 {
		t.Errorf("9 protocols have %d results", len(results))
	}
}

// TestModuleFlowTAP: an Ethernet header, and tags, come first.
func TestModuleFlowTAP(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{Mode: mytunev.TAP})
	for _, f := range []flow{newFlow("10.1.0.1:1", "10.1.0.2:2"), newFlow("[fd01::1]:1", "[fd01::2]:2")} {
		packet := f.packet()
		kind := kindOf(packet)
		want := run(t, p, ethernet(kind, packet))
		if want == 0 {
			t.Errorf("%v: went to 0", f)
		}
		for name, c := range map[string]struct {
			frame []byte
			want  uint32
		}{
			"back":                              {ethernet(kind, f.back().packet()), want},
			"a tag":                             {ethernet(unix.ETH_P_8021Q, tag(kind, packet)), want},
			"two tags":                          {ethernet(unix.ETH_P_8021AD, tag(unix.ETH_P_8021Q, tag(kind, packet))), want},
			"three tags":                        {ethernet(unix.ETH_P_8021AD, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_8021Q, tag(kind, packet)))), 0},
			"a tunnel":                          {ethernet(unix.ETH_P_IP, vxlan(4789)(ends4, packet)), want},
			"a tag alone":                       {ethernet(unix.ETH_P_8021Q), 0},
			"ARP":                               {ethernet(0x0806, packet), 0},
			"another kind than the header says": {ethernet(kind^unix.ETH_P_IP^unix.ETH_P_IPV6, packet), 0},
		} {
			if got := run(t, p, c.frame); got != c.want {
				t.Errorf("%v, %s: %d, want %d", f, name, got, c.want)
			}
		}
	}
}

// TestModuleFlowCutOff: wherever a frame ends, the result is that of the flow, or
// of one without ports, or of none.
func TestModuleFlowCutOff(t *testing.T) {
	p := newFlowSteering(t, FlowConfig{})
	f := newFlow("[fd01::1]:1", "[fd01::2]:2")
	for _, tunnel := range tunnels {
		for _, ends := range [][2]netip.Addr{ends4, ends6} {
			whole := tunnel.wrap(ends, behind(f.packet(), unix.IPPROTO_DSTOPTS, options(8)))
			seen := []uint32{}
			for n := 1; n <= len(whole); n++ {
				if got := run(t, p, whole[:n]); !slices.Contains(seen, got) {
					seen = append(seen, got)
				}
			}
			// none; the tunnel's, with ports or without; inside, without and with
			if len(seen) < 3 || len(seen) > 6 || seen[0] != 0 || seen[len(seen)-1] != run(t, p, f.packet()) {
				t.Errorf("%s between %v: %v", tunnel.name, ends, seen)
			}
		}
	}
}

// TestModuleFlowSeed: nobody knows where a flow will go.
func TestModuleFlowSeed(t *testing.T) {
	results := map[uint32]bool{}
	for range 8 {
		p, err := NewFlowSteering(FlowConfig{})
		loaded(t, err)
		t.Cleanup(func() { p.Close() })
		results[run(t, p, newFlow("10.1.0.1:1", "10.1.0.2:2").packet())] = true
	}
	if len(results) < 6 {
		t.Errorf("8 programs agree on %v", results)
	}
}

func BenchmarkFlow(b *testing.B) {
	p := newFlowSteering(b, FlowConfig{})
	for name, packet := range map[string][]byte{
		"plain": newFlow("10.1.0.1:1", "10.1.0.2:2").packet(),
		"vxlan": vxlan(4789)(ends4, newFlow("10.1.0.1:1", "10.1.0.2:2").packet()),
	} {
		b.Run(name, func(b *testing.B) {
			_, took, err := p.Benchmark(append(ethernet(0x88b5), packet...), b.N, b.ResetTimer)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
		})
	}
}
