// SPDX-License-Identifier: MIT

package report

import (
	"testing"

	"github.com/mytun/mytun/bench/result"
)

// Each target is set once, can be found from a row, and tells reached from missed on either side of its bound.
func TestTargets(t *testing.T) {
	for i := range targets {
		target := &targets[i]
		t.Run(target.String(), func(t *testing.T) {
			s := &section{clock: target.clock, cpus: max(1, target.cpus)}
			l := lineFor(target)
			if found := targetFor(s, l); found != target {
				t.Fatalf("its own row belongs to %v", found)
			}
			if reached, measured := target.reached(l); measured {
				t.Errorf("without mytun: measured, reached %v", reached)
			}
			bound := target.bound
			if !target.absolute {
				bound *= 120
			}
			for own, want := range map[float64]bool{bound * 0.99: true, bound: !target.below, bound*1.01 + 0.001: false} {
				if result.HigherIsBetter(l.unit) && own != bound {
					want = !want
				}
				l.cells[result.PeerMytun] = result.Row{Median: own}
				if reached, measured := target.reached(l); !measured || reached != want {
					t.Errorf("mytun at %v where the bound is %v: reached %v, measured %v, want %v", own, bound, reached, measured, want)
				}
			}
		})
	}
}

// lineFor returns a line with all peers at 120.
func lineFor(target *target) *line {
	units := map[string]string{result.MetricPackets: "packets/s", result.MetricThroughput: "Gb/s"}
	unit, rate := units[target.metric]
	if !rate {
		unit = "us"
	}
	l := lineOf(unit, map[string]float64{result.PeerTun: 120, result.PeerNAPI: 120, result.PeerWireGuard: 120, result.PeerVhost: 120})
	l.workload, l.size, l.metric = target.workload, target.size, target.metric
	return l
}

func TestTargetsAreSetOnce(t *testing.T) {
	for i := range targets {
		for j := range targets[:i] {
			a, b := targets[i], targets[j]
			if a.workload == b.workload && a.size == b.size && a.metric == b.metric && a.clock == b.clock {
				t.Errorf("%v is set twice", &a)
			}
		}
	}
}

// A target against two peers is missed when one of them is too good, and reached only when both are known not to be.
func TestTargetAgainstTwo(t *testing.T) {
	target := &target{bound: 2.5, against: stockAndVhost}
	for _, c := range []struct {
		name              string
		cells             map[string]float64
		reached, measured bool
	}{
		{"both", map[string]float64{"tun": 100, "vhost-net": 90, "mytun": 250}, true, true},
		{"second too good", map[string]float64{"tun": 100, "vhost-net": 101, "mytun": 250}, false, true},
		{"another one too good", map[string]float64{"tun": 100, "vhost-net": 90, "wireguard": 900, "mytun": 250}, true, true},
		{"only one known, reached", map[string]float64{"tun": 100, "mytun": 250}, false, false},
		{"only one known, missed", map[string]float64{"vhost-net": 101, "mytun": 250}, false, true},
		{"none known", map[string]float64{"mytun": 250}, false, false},
	} {
		reached, measured := target.reached(lineOf("packets/s", c.cells))
		if reached != c.reached || measured != c.measured {
			t.Errorf("%s: reached %v, measured %v; want %v, %v", c.name, reached, measured, c.reached, c.measured)
		}
	}
}

func TestTargetNeedsItsConditions(t *testing.T) {
	l := &line{workload: result.WorkloadRx, size: 64, metric: result.MetricPackets}
	for _, c := range []struct {
		clock string
		cpus  int
		want  bool
	}{{result.Wall, 2, true}, {result.Wall, 4, true}, {result.Wall, 1, false}, {result.Icount, 2, false}} {
		if got := targetFor(&section{clock: c.clock, cpus: c.cpus}, l) != nil; got != c.want {
			t.Errorf("%s, %d CPUs: a target is %v, want %v", c.clock, c.cpus, got, c.want)
		}
	}
}

func TestTargetText(t *testing.T) {
	for _, c := range []struct {
		target target
		unit   string
		want   string
	}{
		{target{bound: 1.0 / 3, against: stock}, "instr/packet", "<=0.333 tun"},
		{target{bound: 1.0 / 15, against: stock}, "ns/packet", "<=0.067 tun"},
		{target{bound: 2.5, against: stockAndVhost}, "packets/s", ">=2.5 tun+vh"},
		{target{bound: 1.2, against: offloading}, "Gb/s", ">=1.2 wg"},
		{target{bound: 2}, "packets/s", ">=2 best"},
		{target{absolute: true}, "packets", "<=0"},
		{target{bound: 1.0 / 64, below: true, absolute: true}, "1/packet", "<0.016"},
	} {
		if got := c.target.text(c.unit); got != c.want {
			t.Errorf("text is %q, want %q", got, c.want)
		}
	}
}
