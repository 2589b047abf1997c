// SPDX-License-Identifier: MIT

package native

import (
	"cmp"
	"math"
	"slices"

	"github.com/mytun/mytun/bench/result"
)

const (
	// nearest is how many ns a cache line takes there and back between CPUs of one core complex at most.
	nearest = 150
	// quiet is how many CPUs others may keep busy beside a window.
	quiet = 0.15
	// enough quiet windows make the others unnecessary.
	enough = 10
)

// A Trip is a sample of a cache line's round trips between the two CPUs.
type Trip struct {
	At uint64  // the time stamp counter
	NS float64 // the shortest
}

// A Load is how busy others kept the machine in an interval.
type Load struct {
	From, To uint64  // the time stamp counter
	CPUs     float64 // that they had
}

// A Host is what the machine was like during a run.
type Host struct {
	Kernel string  // the guest's, as uname -r prints it
	KHz    float64 // of the time stamp counter
	CPUs   int     // that the guest had
	CallNS float64 // what a system call costs outside of the guest
	Period float64 // ns between two Trips
	Trips  []Trip  // in the order of time
	Loads  []Load  // in the order of time
}

// ns is how long so many ticks of the time stamp counter are.
func (h *Host) ns(ticks uint64) float64 { return float64(ticks) * 1e6 / h.KHz }

// distance tells how far the CPUs were from each other in a window: the samples in it, the last before and the first after it agree. Otherwise it
// returns false: it is not known, or changed.
func (h *Host) distance(w Window) (distance string, known bool) {
	if h.CPUs < 2 {
		return "", true
	}
	first, _ := slices.BinarySearchFunc(h.Trips, w.From, func(t Trip, at uint64) int { return cmp.Compare(t.At, at) })
	end, _ := slices.BinarySearchFunc(h.Trips, w.To, func(t Trip, at uint64) int { return cmp.Compare(t.At, at) })
	if first == 0 || end == len(h.Trips) || h.ns(w.From-h.Trips[first-1].At) > 5*h.Period || h.ns(h.Trips[end].At-w.To) > 5*h.Period {
		return "", false
	}
	distance = apart(h.Trips[first-1])
	for _, t := range h.Trips[first : end+1] {
		if apart(t) != distance {
			return "", false
		}
	}
	return distance, true
}

func apart(t Trip) string {
	if t.NS < nearest {
		return result.Near
	}
	return result.Far
}

// load is how many CPUs others had in a window: the most of the intervals that it overlaps. Without any it is not known, which is not quiet.
func (h *Host) load(w Window) float64 {
	most := math.Inf(-1)
	for _, l := range h.Loads {
		if l.From < w.To && l.To > w.From {
			most = max(most, l.CPUs)
		}
	}
	if math.IsInf(most, 0) {
		return float64(h.CPUs)
	}
	return max(most, 0)
}

// A Mixed counts the windows that are in no row.
type Mixed struct {
	Windows int // in all
	Unknown int // in which the distance changed or was not known
	Idle    int // without a packet
}

// Rows makes rows of what the guest has measured: for each case, peer and distance one for each figure.
func (h *Host) Rows(turns []Turn) ([]result.Row, Mixed) {
	var mixed Mixed
	var groups []*group
	for _, turn := range turns {
		for _, w := range turn.Windows {
			mixed.Windows++
			distance, known := h.distance(w)
			switch {
			case !known:
				mixed.Unknown++
			case w.Packets == 0:
				mixed.Idle++
			default:
				groups = add(groups, key{turn.Case, turn.Peer, distance}, w)
			}
		}
	}
	call := h.callNS(groups)
	var rows []result.Row
	for _, g := range groups {
		windows := h.quietOf(g)
		loaded := slices.ContainsFunc(groups, func(o *group) bool { return o.c == g.c && o.distance == g.distance && h.quietOf(o) == nil })
		if loaded {
			windows = g.windows
		}
		rows = append(rows, h.rows(g.key, windows, loaded, call)...)
	}
	return rows, mixed
}

// quietOf returns the windows in which others left the machine alone, nil if there are too few. Who is compared with each other gets the same
// treatment: the quiet windows of one beside all of another's would make a difference where there is none.
func (h *Host) quietOf(g *group) []Window {
	windows := slices.DeleteFunc(slices.Clone(g.windows), func(w Window) bool { return h.load(w) > quiet })
	if len(windows) < min(enough, len(g.windows)) {
		return nil
	}
	return windows
}

// A key is what windows have in common that may stand in one row.
type key struct {
	c        Case
	peer     string
	distance string
}

// A group are the windows of one key.
type group struct {
	key
	windows []Window
}

func add(groups []*group, k key, w Window) []*group {
	for _, g := range groups {
		if g.key == k {
			g.windows = append(g.windows, w)
			return groups
		}
	}
	return append(groups, &group{k, []Window{w}})
}

// callNS is what a system call costs in the guest, wherever its CPUs were: it needs one of them. The 10th percentile is what it costs where nothing came
// in between: a median would take what others did off what is measured, too.
func (h *Host) callNS(groups []*group) float64 {
	var values []float64
	for _, g := range groups {
		if g.c.Kind == Call {
			for _, w := range g.windows {
				values = append(values, h.time(w))
			}
		}
	}
	return result.Percentile(values, 10)
}

// time is from one packet to the next.
func (h *Host) time(w Window) float64 { return h.ns(w.To-w.From) / float64(w.Packets) }

// A figure is one metric of a window.
type figure struct {
	metric, unit string
	of           func(w Window) float64
}

const perPacket = "ns/packet"

// figures are what there is to say of a case and peer; call is what a system call costs in the guest.
func (h *Host) figures(k key, call float64) []figure {
	if k.c.Kind == Call {
		return []figure{{result.MetricCall, "ns", h.time}}
	}
	each := func(cpu func(w Window) float64) func(w Window) float64 {
		return func(w Window) float64 { return cpu(w) / float64(w.Packets) }
	}
	all := []figure{{result.MetricTime, perPacket, h.time}}
	if k.peer == result.PeerTun && !math.IsNaN(call) {
		with, calls := h.time, 1.0
		if k.c.Kind == Reflect {
			calls = 2 // read and write
		}
		if h.CPUs == 1 && k.c.Receives() {
			// The rest of the time the sender makes packets that are dropped: the slower the process is, the more of them.
			with = each(func(w Window) float64 { return w.Process })
		}
		all = append(all,
			figure{result.MetricTimeFree, perPacket, func(w Window) float64 { return with(w) - calls*call }},
			figure{result.MetricTimeHost, perPacket, func(w Window) float64 { return with(w) - calls*(call-h.CallNS) }})
	}
	if k.c.Receives() || k.c.Kind == Generator {
		all = append(all, figure{result.MetricSenderCPU, perPacket, each(func(w Window) float64 { return w.Sender })})
	}
	if k.c.Receives() {
		all = append(all, figure{result.MetricDropped, "%", func(w Window) float64 { return 100 * float64(w.Dropped) / float64(w.Dropped+w.Packets) }})
	}
	if k.c.contested() {
		all = append(all, figure{result.MetricProcessCPU, perPacket, each(func(w Window) float64 { return w.Process })})
	}
	if k.c.contested() && k.peer != result.PeerTun {
		all = append(all,
			figure{result.MetricThreadCPU, perPacket, each(func(w Window) float64 { return w.Thread })},
			figure{result.MetricDoorbells, "1/packet", each(func(w Window) float64 { return float64(w.Doorbells) })})
	}
	return all
}

// rows makes one of each figure of those windows.
func (h *Host) rows(k key, windows []Window, loaded bool, call float64) []result.Row {
	load := 0.0
	for _, w := range windows {
		load += h.load(w) / float64(len(windows))
	}
	var rows []result.Row
	for _, f := range h.figures(k, call) {
		values := make([]float64, len(windows))
		for i, w := range windows {
			values[i] = f.of(w)
		}
		row := result.Row{
			Kernel: h.Kernel, CPUs: h.CPUs, Clock: result.Native, Workload: k.c.Workload(), Size: k.c.Size, Peer: k.peer, Metric: f.metric,
			Unit: f.unit, Rounds: len(values), Distance: k.distance, P10: result.Percentile(values, 10),
			Load: math.Round(load*100) / 100, Loaded: loaded,
		}
		row.Median, row.Min, row.Max = result.Summarise(values)
		rows = append(rows, row)
	}
	return rows
}
