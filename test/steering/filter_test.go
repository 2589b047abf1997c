// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/tunbpf"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// testFilterKeepsDropsAndCuts by the number that it returns.
func testFilterKeepsDropsAndCuts(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode})
		frame := r.packet(addrPort("10.99.0.1:1"), addrPort("10.99.0.2:2"), make([]byte, 100)...)
		whole := len(frame)
		for _, c := range []struct {
			result int32
			want   int
		}{{0, 0}, {1, 1}, {20, 20}, {int32(whole - 1), whole - 1}, {int32(whole), whole}, {-1, whole}, {65536, whole}} {
			must(t, r.AttachFilter(returns(t, c.result)))
			earlier, dropped := len(r.came()), r.dropped()
			r.send(frame)
			came, now := r.settled()
			switch {
			case c.want == 0 && (len(came) != earlier || now != dropped+1):
				t.Errorf("result 0: %d came, %d dropped", len(came)-earlier, now-dropped)
			case c.want != 0 && (len(came) != earlier+1 || came[earlier].frame != string(frame[:c.want])):
				t.Errorf("result %d: %d frames came, %d dropped", c.result, len(came)-earlier, now-dropped)
			}
		}
		must(t, r.DetachFilter())
		must(t, r.DetachFilter())
		r.queueOf(frame)
	})
}

func newPrefixFilter(t testing.TB, c tunbpf.PrefixConfig, list ...string) *tunbpf.PrefixFilter {
	t.Helper()
	f, err := tunbpf.NewPrefixFilter(c)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, f.Add(prefixes(list...)...))
	return f
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, text := range list {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// testPrefixFilterDropsNothingElse: of a thousand frames, those that are listed are
// counted as dropped, and all others come, in their order.
func testPrefixFilterDropsNothingElse(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		for _, policy := range []tunbpf.Policy{tunbpf.Deny, tunbpf.Allow} {
			r := newRig(t, mytunev.Config{Mode: mode})
			f := newPrefixFilter(t, tunbpf.PrefixConfig{Mode: mode, Policy: policy}, "10.1.0.0/16", "fd01::/32")
			must(t, r.AttachFilter(f.Program()))
			var want []arrival
			for i := range 1000 {
				to := []string{"10.1.2.3:7", "10.2.2.3:7", "[fd01::7]:7", "[fd02::7]:7"}[i%4]
				frame := r.packet(hostOf(to), addrPort(to), byte(i), byte(i>>8))
				if listed := i%2 == 0; listed == (policy == tunbpf.Allow) {
					want = append(want, arrival{0, string(frame)})
				}
				r.send(frame)
				r.room()
			}
			came, dropped := r.settled()
			if dropped != 500 || !slices.Equal(came, want) {
				t.Errorf("policy %d: %d came, %d dropped", policy, len(came), dropped)
			}
			must(t, r.DetachFilter())
			r.queueOf(r.packet(hostOf("10.1.2.3:7"), addrPort("10.1.2.3:7")))
			r.queueOf(r.packet(hostOf("10.2.2.3:7"), addrPort("10.2.2.3:7")))
			r.close()
		}
	})
}

// hostOf is an address on the kernel's side, of the family of another.
func hostOf(to string) netip.AddrPort {
	if strings.HasPrefix(to, "[") {
		return addrPort("[fd99::1]:9")
	}
	return addrPort("10.99.0.1:9")
}

// tagAll gives all frames that are sent to a device a VLAN tag, as a VLAN device on
// top of it does: beside the frame, where it is until the device gets the frame.
func tagAll(t testing.TB, index int) {
	t.Helper()
	p := programOf(t, ebpf.SchedCLS,
		asm.Mov.Imm(asm.R2, 0x8100),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
		asm.Mov.Imm(asm.R3, 42),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Imm(asm.R0, 0),
	)
	must(t, netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}))
	must(t, netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_ALL},
		Fd:           p.FD(),
		Name:         "tag",
		DirectAction: true,
	}))
}

// testTaggedFrames: both kinds of program look behind a tag. When a queue is chosen
// it is not in the frame yet; the filter, and the process, see it there.
func testTaggedFrames(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Mode: mytunev.TAP, Queues: 4})
	f := newPrefixFilter(t, tunbpf.PrefixConfig{Mode: mytunev.TAP}, "10.1.0.0/16")
	must(t, r.AttachFilter(f.Program()))
	flow, err := tunbpf.NewFlowSteering(tunbpf.FlowConfig{Mode: mytunev.TAP})
	must(t, err)
	must(t, r.AttachSteering(flow))
	must(t, flow.Close())

	var untagged []int
	for i := range 32 {
		untagged = append(untagged, r.queueOf(flowPacket(r, i)))
	}
	tagAll(t, int(r.address.Ifindex))
	for i := range 32 {
		r.send(r.packet(hostOf("10.1.2.3:7"), addrPort("10.1.2.3:7"), byte(i))) // dropped
		frame := flowPacket(r, i)
		r.send(frame)
		came, _ := r.settled()
		want := arrival{untagged[i], string(slices.Concat(frame[:12], []byte{0x81, 0x00, 0, 42}, frame[12:]))}
		if last := came[len(came)-1]; last != want {
			t.Errorf("flow %d: by queue %d came %x, want it by queue %d with a tag", i, last.queue, last.frame, want.queue)
		}
	}
	if _, dropped := r.settled(); dropped != 32 {
		t.Errorf("%d frames with an address on the list were dropped, want 32", dropped)
	}
}

// testPrefixesChangeUnderTraffic: the prefix of one half of the frames comes and
// goes, with many others, while they are sent. The other half all come.
func testPrefixesChangeUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{})
	f := newPrefixFilter(t, tunbpf.PrefixConfig{})
	must(t, r.AttachFilter(f.Program()))
	var many []netip.Prefix
	for i := range 500 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 3, byte(i), 0}), 24-i>>8))
	}
	many = slices.DeleteFunc(many, func(p netip.Prefix) bool { return p != p.Masked() })
	many = append(many, prefixes("10.1.0.0/16")...)

	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			if err := f.Add(many...); err != nil {
				t.Error(err)
			}
			if err := f.Remove(many...); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var always []string
	for more := within(t, "frames of both fates"); more() && (len(always) < 2000 || !bothFates(r, len(always))); {
		n := binary.BigEndian.AppendUint32(nil, uint32(len(always)))
		r.send(r.packet(hostOf("10.1.2.3:7"), addrPort("10.1.2.3:7"), n...))
		kept := r.packet(hostOf("10.2.2.3:7"), addrPort("10.2.2.3:7"), n...)
		r.send(kept)
		always = append(always, string(kept))
		r.room()
	}
	close(stop)
	group.Wait()

	came, _ := r.settled()
	var kept []string
	for _, a := range came {
		if bytes.Contains([]byte(a.frame), []byte{10, 2, 2, 3}) {
			kept = append(kept, a.frame)
		}
	}
	if !slices.Equal(kept, always) {
		t.Errorf("of %d frames that no prefix was about %d came", len(always), len(kept))
	}
	if err := f.Add(prefixes("10.1.0.0/16")...); err != nil {
		t.Error(err)
	}
	_, before := r.settled()
	r.send(r.packet(hostOf("10.1.2.3:7"), addrPort("10.1.2.3:7")))
	if _, now := r.settled(); now != before+1 {
		t.Error("a frame that is sent after Add passes")
	}
}

// bothFates tells whether some of the frames that a prefix was about came, and some
// did not.
func bothFates(r *rig, pairs int) bool {
	came, dropped := r.settled()
	return dropped > 0 && len(came) > pairs
}
