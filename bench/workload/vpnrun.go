// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

// vpns are what is done with a VPN.
var vpns = []Workload{
	{Name: result.WorkloadVPNTCP1, Sizes: []int{0}, Clocks: []string{result.Wall}, Uncounted: true, Run: vpnRun((*vpn).oneStream)},
	{Name: result.WorkloadVPNTCP8, Sizes: []int{0}, Clocks: []string{result.Wall}, Uncounted: true, Run: vpnRun((*vpn).eightStreams)},
	{Name: result.WorkloadVPNUDP, Sizes: []int{1400}, Uncounted: true, Base: cipherCost, Run: vpnRun((*vpn).datagrams)},
	{Name: result.WorkloadVPNVXLAN, Sizes: []int{200}, Uncounted: true, Base: overlayCipherCost, Run: vpnRun((*vpn).overlay)},
	{Name: result.WorkloadVPNPing, Sizes: []int{0}, Uncounted: true, Run: vpnRun((*vpn).pings)},
}

// vpnsOfAll are those of a benchmark whose workloads are not named: what depends on the time that a cipher takes says little in an emulator.
func vpnsOfAll() (some []Workload) {
	for _, w := range vpns {
		if w.Base != nil {
			w.Clocks = []string{result.Icount}
			w.Run = withoutTun(w.Run)
			some = append(some, w)
		}
	}
	return some
}

// withoutTun leaves the contestant out whose VPN is another thing than the rest of its figures.
func withoutTun(run func(*Env, peer.Peer, int, float64) ([]Sample, error)) func(*Env, peer.Peer, int, float64) ([]Sample, error) {
	return func(e *Env, p peer.Peer, size int, base float64) ([]Sample, error) {
		if p.Name == result.PeerTun {
			return nil, peer.ErrUnable
		}
		return run(e, p, size, base)
	}
}

const (
	// vpnWindow is how long a load is measured, and vpnCallWindow how long its system calls are counted afterwards.
	vpnWindow, vpnCallWindow = 3 * time.Second, time.Second

	// vpnStreamPacket is what a full packet of the VPN has of a TCP stream: beside it are headers of IPv4 and TCP, and timestamps.
	vpnStreamPacket = vpnMTU - 52
)

// overlayCipherCost is cipherCost for packets in VXLAN.
func overlayCipherCost(e *Env, size int) (float64, []Sample, error) {
	const ethernet, vxlan, udp, ipv4 = 14, 8, 8, 20
	return cipherCost(e, size+ethernet+vxlan+udp+ipv4)
}

// vpnRun makes a VPN for each run.
func vpnRun(run func(v *vpn, e *Env, p peer.Peer, size int, base float64) ([]Sample, error)) func(*Env, peer.Peer, int, float64) ([]Sample, error) {
	return func(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
		v, err := newVPN(p)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, v.close()) }()
		return run(v, e, p, size, base)
	}
}

func (v *vpn) oneStream(e *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) {
	return v.streams(e, p, "1")
}

func (v *vpn) eightStreams(e *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) {
	return v.streams(e, p, "8")
}

func (v *vpn) pings(_ *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) { return v.ping(p) }

// streams sends so many TCP streams through the VPN.
func (v *vpn) streams(e *Env, p peer.Peer, flows string) (s []Sample, err error) {
	sink, err := startHelper(v.far, "tcp-sink", farAddr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	source, err := startHelper(v.near, "tcp-send", farAddr, flows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	count := func() (int, error) {
		n, err := sink.count("bytes")
		return n / vpnStreamPacket, err
	}
	time.Sleep(settle)
	return v.measure(e, p, vpnMTU, 0, func(d time.Duration) (int, error) {
		first, err := count()
		if err != nil {
			return 0, err
		}
		time.Sleep(d)
		last, err := awaitMore(count, first)
		return last - first, err
	})
}

// windows are vpnWindow and vpnCallWindow by the wall clock. An emulator that counts instructions is slow, and needs less of both: its figures repeat.
func (e *Env) windows() (measured, counted time.Duration) {
	if e.Clock == result.Icount {
		return time.Second, 0
	}
	return vpnWindow, vpnCallWindow
}

// measure runs a load for some time, and then for some more to count system calls, which costs: load returns how many packets have arrived.
func (v *vpn) measure(e *Env, p peer.Peer, size int, base float64, load func(time.Duration) (int, error)) ([]Sample, error) {
	if err := v.profile(p); err != nil {
		return nil, err
	}
	measured, counted := e.windows()
	from, err := v.usage(e)
	if err != nil {
		return nil, err
	}
	packets, err := load(measured)
	if err != nil {
		return nil, err
	}
	to, err := v.usage(e)
	if err != nil {
		return nil, err
	}
	more := 0
	calls, err := v.calls(func() (err error) {
		more, err = load(counted)
		return err
	})
	return v.samples(e, p, to.Sub(from), packets, size, float64(calls)/float64(more), base), err
}

// datagrams sends datagrams one by one, each an IP packet of that size.
func (v *vpn) datagrams(e *Env, p peer.Peer, size int, base float64) ([]Sample, error) {
	return v.bursts(e, p, farAddr, size, base)
}

// overlay does the same in a VXLAN tunnel over the VPN.
func (v *vpn) overlay(e *Env, p peer.Peer, size int, base float64) ([]Sample, error) {
	err := v.near.do(func() error {
		return addOverlay(vpnName, overlayNear, overlayNearMAC, farAddr, overlayFar, overlayFarMAC)
	})
	if err == nil {
		err = v.far.do(func() error {
			return addOverlay(vpnName, overlayFar, overlayFarMAC, nearAddr, overlayNear, overlayNearMAC)
		})
	}
	if err != nil {
		return nil, err
	}
	return v.bursts(e, p, overlayFar, size, base)
}

// bursts sends one burst after the other to an address of the far namespace, each when the one before has arrived: both contestants are saturated, and
// neither is paid for work on packets that are lost at its door.
func (v *vpn) bursts(e *Env, p peer.Peer, to string, size int, base float64) (s []Sample, err error) {
	sink, err := newSink(v.far, to)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	sender, err := startHelper(v.near, "udp-send", to, itoa(size))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sender.close()) }()
	w, err := newWatch(v.far, overrun)
	if err != nil {
		return nil, err
	}
	defer w.close()
	b := &burster{watch: w, send: func() error { _, err := sender.ask("burst", itoa(vpnQueue)); return err }}
	if _, err := b.load(0); err != nil { // the first burst meets sleepers
		return nil, err
	}
	b.lost = 0
	s, err = v.measure(e, p, size, base, b.load)
	return append(s, Sample{p.Name, result.MetricLost, "packets", float64(b.lost)}), err
}

// A burster sends bursts of vpnQueue packets.
type burster struct {
	watch *watch
	send  func() error // a burst
	lost  int          // packets of all loads
}

// load sends for d, one burst at least, and returns how many packets have arrived.
func (b *burster) load(d time.Duration) (arrived int, err error) {
	for end := time.Now().Add(d); ; {
		n, err := b.watch.expect(vpnQueue, b.send)
		if err != nil {
			return 0, err
		}
		arrived += n
		b.lost += vpnQueue - n
		if !time.Now().Before(end) {
			break
		}
	}
	if arrived == 0 {
		return 0, fmt.Errorf("nothing of %d packets arrived", b.lost)
	}
	return arrived, nil
}

// profile writes down where an end of the VPN spends its time, if the directory is there that the environment names.
func (v *vpn) profile(p peer.Peer) error {
	dir := os.Getenv("MYTUN_BENCH_PROFILE")
	if dir == "" {
		return nil
	}
	for i, end := range v.ends {
		if _, err := end.ask("profile", fmt.Sprintf("%s/%s-%d.prof", dir, p.Name, i)); err != nil {
			return err
		}
	}
	return nil
}
