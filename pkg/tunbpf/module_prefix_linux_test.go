// SPDX-License-Identifier: MIT

package tunbpf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
)

func newPrefixFilter(t testing.TB, c PrefixConfig) *PrefixFilter {
	t.Helper()
	f, err := NewPrefixFilter(c)
	loaded(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func add(t testing.TB, f *PrefixFilter, p ...netip.Prefix) {
	t.Helper()
	if err := f.Add(p...); err != nil {
		t.Fatal(err)
	}
}

// passes tells whether a filter lets a frame pass, and whole.
func passes(t testing.TB, f *PrefixFilter, frame []byte) bool {
	t.Helper()
	switch result := run(t, f.Program(), frame); result {
	case 0:
		return false
	case 1<<32 - 1:
		return true
	default:
		t.Fatalf("%x: cut at %d", frame, result)
		return false
	}
}

// between is a packet from one address to another.
func between(from, to string) []byte {
	return ip(netip.MustParseAddr(from), netip.MustParseAddr(to), unix.IPPROTO_TCP, make([]byte, 20))
}

func TestModulePrefix(t *testing.T) {
	list := prefixes("10.1.0.0/16", "10.2.3.4/32", "fd01::/32", "fd02::1/128")
	for _, policy := range []Policy{Deny, Allow} {
		for _, match := range []Address{Destination, Source} {
			f := newPrefixFilter(t, PrefixConfig{Match: match, Policy: policy})
			add(t, f, list...)
			for address, listed := range map[string]bool{
				"10.1.0.0": true, "10.1.255.255": true, "10.2.3.4": true, "10.2.3.5": false, "10.0.255.255": false, "1.0.1.0": false,
				"fd01::": true, "fd01:0:ffff::": true, "fd02::1": true, "fd02::2": false, "fd00::1": false, "::": false,
			} {
				other := "172.16.0.1"
				if strings.Contains(address, ":") {
					other = "fe80::1"
				}
				there, back := between(other, address), between(address, other)
				if match == Source {
					there, back = back, there
				}
				if got := passes(t, f, there); got == (listed == (policy == Deny)) {
					t.Errorf("policy %d, address %d is %s: passes: %v", policy, match, address, got)
				}
				if got := passes(t, f, back); got != (policy == Deny) {
					t.Errorf("policy %d, the other address than %d is %s: passes: %v", policy, match, address, got)
				}
			}
		}
	}
}

// TestModulePrefixEverything: the shortest prefixes there are.
func TestModulePrefixEverything(t *testing.T) {
	f := newPrefixFilter(t, PrefixConfig{})
	add(t, f, prefixes("0.0.0.0/0")...)
	if passes(t, f, between("10.0.0.1", "10.0.0.2")) || !passes(t, f, between("fd01::1", "fd01::2")) {
		t.Error("0.0.0.0/0 is not all of IPv4 alone")
	}
	add(t, f, prefixes("::/0")...)
	if passes(t, f, between("fd01::1", "fd01::2")) {
		t.Error("::/0 is not all of IPv6")
	}
}

// TestModulePrefixFrames: what is not a packet with an address.
func TestModulePrefixFrames(t *testing.T) {
	v4, v6 := between("10.0.0.1", "10.0.0.2"), between("fd01::1", "fd01::2")
	for _, policy := range []Policy{Deny, Allow} {
		for _, c := range []struct {
			name  string
			mode  mytunev.Mode
			frame []byte
			want  bool
		}{
			{"ARP", mytunev.TAP, ethernet(0x0806, make([]byte, 46)), true},
			{"ARP with a tag", mytunev.TAP, ethernet(unix.ETH_P_8021Q, tag(0x0806, make([]byte, 46))), true},
			{"three tags", mytunev.TAP, ethernet(unix.ETH_P_8021Q, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_IP, v4)))), true},
			{"neither", mytunev.TUN, make([]byte, 46), true},
			{"IPv4, cut off", mytunev.TUN, v4[:19], false},
			{"IPv6, cut off", mytunev.TUN, v6[:39], false},
			{"Ethernet, cut off", mytunev.TAP, ethernet(unix.ETH_P_IP)[:13], false},
			{"tag, cut off", mytunev.TAP, ethernet(unix.ETH_P_8021Q, []byte{0, 1}), false},
			{"another version", mytunev.TAP, ethernet(unix.ETH_P_IP, v6), false},
			{"other version", mytunev.TAP, ethernet(unix.ETH_P_IPV6, v4, v4), false},
			{"a packet", mytunev.TUN, v4, policy == Deny},
			{"IPv6 in two tags", mytunev.TAP, ethernet(unix.ETH_P_8021AD, tag(unix.ETH_P_8021Q, tag(unix.ETH_P_IPV6, v6))), policy == Deny},
		} {
			f := newPrefixFilter(t, PrefixConfig{Mode: c.mode, Policy: policy})
			if got := passes(t, f, c.frame); got != c.want {
				t.Errorf("policy %d, %s: passes: %v", policy, c.name, got)
			}
		}
	}
}

// TestModulePrefixTAP looks the address up behind Ethernet and tags.
func TestModulePrefixTAP(t *testing.T) {
	f := newPrefixFilter(t, PrefixConfig{Mode: mytunev.TAP})
	add(t, f, prefixes("10.1.0.0/16", "fd01::/16")...)
	for _, packet := range [][]byte{between("10.9.0.1", "10.1.0.1"), between("fd09::1", "fd01::1")} {
		kind := kindOf(packet)
		for _, frame := range [][]byte{ethernet(kind, packet), ethernet(unix.ETH_P_8021Q, tag(kind, packet)), ethernet(unix.ETH_P_8021AD, tag(unix.ETH_P_8021Q, tag(kind, packet)))} {
			if passes(t, f, frame) {
				t.Errorf("%x passes", frame)
			}
		}
	}
}

// TestModulePrefixRandom compares with what netip says, while the list changes.
func TestModulePrefixRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	address := func(ipv6 bool) netip.Addr { // few, so that they meet
		if ipv6 {
			return netip.AddrFrom16([16]byte{0xfd, byte(r.IntN(4)), 15: byte(r.IntN(8))})
		}
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), 0, byte(r.IntN(8))})
	}
	f := newPrefixFilter(t, PrefixConfig{})
	list := map[netip.Prefix]bool{}
	for range 2000 {
		ipv6 := r.IntN(2) == 0
		a := address(ipv6)
		p, err := a.Prefix(r.IntN(a.BitLen() + 1))
		if err != nil {
			t.Fatal(err)
		}
		if list[p] {
			delete(list, p)
			if err := f.Remove(p); err != nil {
				t.Fatal(err)
			}
		} else if len(list) < 30 {
			list[p] = true
			add(t, f, p)
		}
		to, want := address(ipv6), true
		for p := range list {
			want = want && !p.Contains(to)
		}
		if got := passes(t, f, ip(a, to, unix.IPPROTO_TCP)); got != want {
			t.Fatalf("%v passes: %v, with %v", to, got, list)
		}
	}
	got, err := f.Prefixes()
	if err != nil || len(got) != len(list) || slices.ContainsFunc(got, func(p netip.Prefix) bool { return !list[p] }) {
		t.Errorf("Prefixes: %v, %v, want %v", got, err, list)
	}
}

// TestModulePrefixMany loads a long list at once, and takes it away again.
func TestModulePrefixMany(t *testing.T) {
	const n = 5000
	f := newPrefixFilter(t, PrefixConfig{Max: n})
	var list []netip.Prefix
	for i := range n {
		list = append(list,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 1, byte(i >> 8), byte(i)}), 32))
	}
	add(t, f, list...)
	add(t, f) // none
	got, err := f.Prefixes()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	if !slices.Equal(got, list) {
		t.Errorf("the list has %d prefixes, want %d", len(got), len(list))
	}
	for _, to := range []string{"10.0.0.1", "10.19.135.9"} {
		if passes(t, f, between("10.255.0.1", to)) {
			t.Errorf("%s passes", to)
		}
	}
	if !passes(t, f, between("10.255.0.1", "10.19.136.9")) {
		t.Error("what is behind the list's end does not pass")
	}
	err = f.Add(prefixes("11.0.0.0/8")...)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "0 of 1 prefixes added") || !strings.Contains(err.Error(), "room for 5000") {
		t.Errorf("a prefix too many: %v", err)
	}
	if err := f.Remove(list...); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Prefixes(); len(got) != 0 || err != nil {
		t.Errorf("after Remove: %d prefixes, %v", len(got), err)
	}
}

func TestModulePrefixNotThere(t *testing.T) {
	f := newPrefixFilter(t, PrefixConfig{})
	add(t, f, prefixes("10.0.0.0/8", "10.0.0.0/9", "fd00::/8")...)
	err := f.Remove(prefixes("10.0.0.0/8", "10.0.0.0/10", "fd00::/8", "10.0.0.0/9")...)
	if !errors.Is(err, ebpf.ErrKeyNotExist) || !strings.Contains(err.Error(), "10.0.0.0/10") {
		t.Errorf("%v, want ErrKeyNotExist that names 10.0.0.0/10", err)
	}
	if got, err := f.Prefixes(); err != nil || !slices.Equal(got, prefixes("10.0.0.0/9")) {
		t.Errorf("%v, %v are left", got, err)
	}
}

// TestModulePrefixConcurrent: changes, walks and frames at the same time.
func TestModulePrefixConcurrent(t *testing.T) {
	f := newPrefixFilter(t, PrefixConfig{})
	add(t, f, prefixes("10.0.0.0/8")...)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			mine := prefixes(fmt.Sprintf("10.%d.0.0/16", worker), fmt.Sprintf("fd0%d::/16", worker))
			for range 200 {
				if err := f.Add(mine...); err != nil {
					t.Error(err)
				}
				if passes(t, f, between("10.0.0.1", "10.200.0.1")) {
					t.Error("a packet passes that none of the changes is about")
				}
				if got, err := f.Prefixes(); err != nil || !slices.Contains(got, mine[0]) || !slices.Contains(got, mine[1]) {
					t.Errorf("%v, %v, without %v", got, err, mine)
				}
				if err := f.Remove(mine...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got, err := f.Prefixes(); err != nil || !slices.Equal(got, prefixes("10.0.0.0/8")) {
		t.Errorf("%v, %v are left", got, err)
	}
}

// TestModuleRights: CAP_BPF is enough for all of them. A subtest has a thread with
// fewer rights to itself.
func TestModuleRights(t *testing.T) {
	newPrefixFilter(t, PrefixConfig{}) // or the test is skipped
	t.Run("CAP_BPF", func(t *testing.T) {
		keepOnly(t, unix.CAP_BPF)
		newFlowSteering(t, FlowConfig{Mode: mytunev.TAP})
		newCPUSteering(t)
		add(t, newPrefixFilter(t, PrefixConfig{}), prefixes("10.0.0.0/8")...)
	})
	t.Run("none", func(t *testing.T) {
		keepOnly(t)
		if _, err := NewPrefixFilter(PrefixConfig{}); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_BPF") {
			t.Errorf("%v, want EPERM with CAP_BPF", err)
		}
	})
}
