// SPDX-License-Identifier: MIT

package native

import (
	"math"
	"slices"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

// host has a clock of one tick a nanosecond, and samples that say so far apart at these times.
func host(samples ...Trip) *Host {
	return &Host{
		Kernel: "7.2.0", KHz: 1e6, CPUs: 2, CallNS: 100, Period: 100, Trips: samples,
		Loads: []Load{{From: 0, To: 1 << 40, CPUs: 0.1}},
	}
}

func trip(at uint64, ns float64) Trip { return Trip{At: at, NS: ns} }

func TestDistance(t *testing.T) {
	const near, far = 60, 320
	for _, c := range []struct {
		name    string
		samples []Trip
		want    string
		known   bool
	}{
		{"near", []Trip{trip(950, near), trip(1050, 149), trip(1150, near)}, result.Near, true},
		{"far", []Trip{trip(950, far), trip(1050, 150), trip(1150, far)}, result.Far, true},
		{"no sample in it", []Trip{trip(950, far), trip(1150, far)}, result.Far, true},
		{"changed before", []Trip{trip(950, far), trip(1050, near), trip(1150, near)}, "", false},
		{"changed after", []Trip{trip(950, near), trip(1050, near), trip(1150, far)}, "", false},
		{"changed for a moment", []Trip{trip(950, near), trip(1050, far), trip(1150, near)}, "", false},
		{"changed long before", []Trip{trip(850, far), trip(950, near), trip(1150, near), trip(1250, far)}, result.Near, true},
		{"none before", []Trip{trip(1050, near), trip(1150, near)}, "", false},
		{"none after", []Trip{trip(950, near), trip(1050, near)}, "", false},
		{"the one before is too old", []Trip{trip(400, near), trip(1050, near), trip(1150, near)}, "", false},
		{"the one after is too late", []Trip{trip(950, near), trip(1050, near), trip(1700, near)}, "", false},
		{"none", nil, "", false},
	} {
		got, known := host(c.samples...).distance(Window{From: 1000, To: 1100})
		if got != c.want || known != c.known {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, got, known, c.want, c.known)
		}
	}
	one := host()
	one.CPUs = 1
	if got, known := one.distance(Window{From: 1000, To: 1100}); got != "" || !known {
		t.Errorf("one CPU is %q, %v, from itself", got, known)
	}
}

func TestLoad(t *testing.T) {
	h := host()
	h.Loads = []Load{{0, 100, 0.1}, {100, 200, 0.7}, {200, 300, -0.2}}
	for _, c := range []struct {
		from, to uint64
		want     float64
	}{
		{10, 90, 0.1}, {10, 110, 0.7}, {100, 200, 0.7}, {210, 290, 0}, {50, 250, 0.7},
		{400, 500, 2}, // not known: as if all were taken
	} {
		if got := h.load(Window{From: c.from, To: c.to}); got != c.want {
			t.Errorf("load from %d to %d is %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// windows are such of count packets in 1000 ns each, one after the other.
func windows(first uint64, counts ...uint64) []Window {
	var all []Window
	for i, n := range counts {
		from := first + uint64(i)*1000
		all = append(all, Window{From: from, To: from + 1000, Packets: n, Dropped: n, Doorbells: 1, Process: 500, Thread: 250, Sender: 1000})
	}
	return all
}

// samples at every 500 ns, of one distance.
func samples(until uint64, ns float64) []Trip {
	var all []Trip
	for at := uint64(1); at < until; at += 500 {
		all = append(all, trip(at, ns))
	}
	return all
}

func find(t *testing.T, rows []result.Row, peer, metric, distance string) result.Row {
	t.Helper()
	at := slices.IndexFunc(rows, func(r result.Row) bool { return r.Peer == peer && r.Metric == metric && r.Distance == distance })
	if at < 0 {
		t.Fatalf("there is no row of %s, %s, %s in %v", peer, metric, distance, rows)
	}
	return rows[at]
}

func TestRows(t *testing.T) {
	h := host(samples(50000, 60)...)
	h.Period = 500
	rx := Case{Kind: Rx, Size: 64}
	rows, mixed := h.Rows([]Turn{
		{Case{Kind: Call}, "generator", windows(1000, 2)},
		{rx, result.PeerMytun, windows(2000, 10, 5)},
		{rx, result.PeerTun, windows(4000, 1)},
		{rx, result.PeerMytun, windows(5000, 4, 0)},
		{rx, result.PeerVhost, windows(7000, 10)},
	})
	if err := result.CheckAll(rows); err != nil {
		t.Fatal(err)
	}
	if mixed != (Mixed{Windows: 7, Idle: 1}) {
		t.Errorf("in no row: %+v", mixed)
	}
	for _, c := range []struct {
		peer, metric        string
		lowest, p10, median float64
		rounds              int
	}{
		{result.PeerMytun, result.MetricTime, 100, 100, 200, 3},
		{result.PeerMytun, result.MetricProcessCPU, 50, 50, 100, 3},
		{result.PeerMytun, result.MetricThreadCPU, 25, 25, 50, 3},
		{result.PeerMytun, result.MetricSenderCPU, 100, 100, 200, 3},
		{result.PeerMytun, result.MetricDropped, 50, 50, 50, 3},
		{result.PeerMytun, result.MetricDoorbells, 0.1, 0.1, 0.2, 3},
		{result.PeerTun, result.MetricTime, 1000, 1000, 1000, 1},
		{result.PeerTun, result.MetricTimeFree, 500, 500, 500, 1},
		{result.PeerTun, result.MetricTimeHost, 600, 600, 600, 1},
		{result.PeerVhost, result.MetricTime, 100, 100, 100, 1},
		{result.PeerVhost, result.MetricThreadCPU, 25, 25, 25, 1},
		{result.PeerVhost, result.MetricDoorbells, 0.1, 0.1, 0.1, 1},
		{"generator", result.MetricCall, 500, 500, 500, 1},
	} {
		row := find(t, rows, c.peer, c.metric, result.Near)
		if row.Min != c.lowest || row.P10 != c.p10 || row.Median != c.median || row.Rounds != c.rounds {
			t.Errorf("%v: min %v, p10 %v, median %v of %d; want %v, %v, %v of %d", row, row.Min, row.P10, row.Median, row.Rounds,
				c.lowest, c.p10, c.median, c.rounds)
		}
		if row.Load != 0.1 || row.Loaded {
			t.Errorf("%v: load %v, %v, want 0.1 of a quiet machine", row, row.Load, row.Loaded)
		}
	}
}

// A figure that mixes both means nothing.
func TestRowsKeepDistancesApart(t *testing.T) {
	h := host(slices.Concat(samples(5000, 60), []Trip{trip(5001, 320), trip(5501, 320), trip(6001, 320), trip(6501, 320), trip(7001, 320)})...)
	h.Period = 500
	rows, mixed := h.Rows([]Turn{{Case{Kind: Tx, Size: 64}, result.PeerMytun, windows(2000, 10, 10, 5, 5, 2)}})
	if mixed.Unknown != 2 || mixed.Windows != 5 {
		t.Errorf("in no row: %+v, want the two in which the CPUs moved, or that were followed by none", mixed)
	}
	if near := find(t, rows, result.PeerMytun, result.MetricTime, result.Near); near.Rounds != 2 || near.Max != 100 {
		t.Errorf("near: %+v", near)
	}
	if far := find(t, rows, result.PeerMytun, result.MetricTime, result.Far); far.Rounds != 1 || far.Min != 500 {
		t.Errorf("far: %+v", far)
	}
}

func TestRowsOfALoadedHost(t *testing.T) {
	turn := []Turn{{Case{Kind: Tx, Size: 64}, result.PeerMytun, windows(1000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)}}
	for _, c := range []struct {
		name   string
		until  uint64 // others are busy
		rounds int
		loaded bool
	}{
		{"never", 0, 12, false},
		{"enough quiet windows", 2500, 10, false},
		{"too few", 3500, 12, true},
		{"always", 1 << 40, 12, true},
	} {
		h := host(samples(50000, 60)...)
		h.Period = 500
		h.Loads = []Load{{0, c.until, 1}, {c.until, 1 << 41, 0}}
		rows, _ := h.Rows(turn)
		row := find(t, rows, result.PeerMytun, result.MetricTime, result.Near)
		if row.Rounds != c.rounds || row.Loaded != c.loaded {
			t.Errorf("others busy %s: %d windows, loaded %v; want %d, %v", c.name, row.Rounds, row.Loaded, c.rounds, c.loaded)
		}
		if (row.Load > 0) != c.loaded {
			t.Errorf("others busy %s: the load is %v", c.name, row.Load)
		}
	}
}

// The load meets one of two builds only; the other's figures must not look better for it.
func TestRowsOfALoadedHostTreatAllAlike(t *testing.T) {
	h := host(samples(50000, 60)...)
	h.Period = 500
	h.Loads = []Load{{0, 12500, 0}, {12500, 1 << 41, 1}}
	var eleven [11]uint64
	for i := range eleven {
		eleven[i] = 10
	}
	c := Case{Kind: Tx, Size: 64}
	rows, _ := h.Rows([]Turn{{c, result.PeerMytunA, windows(1000, eleven[:]...)}, {c, result.PeerMytunB, windows(14000, eleven[:]...)}})
	for _, peer := range []string{result.PeerMytunA, result.PeerMytunB} {
		if row := find(t, rows, peer, result.MetricTime, result.Near); !row.Loaded || row.Rounds != len(eleven) {
			t.Errorf("%s: %d windows, loaded %v; want all %d of them, and a mark", peer, row.Rounds, row.Loaded, len(eleven))
		}
	}
}

func TestRowsOfOneCPU(t *testing.T) {
	h := host()
	h.CPUs = 1
	rows, mixed := h.Rows([]Turn{{Case{Kind: Tx, Size: 64}, result.PeerMytun, windows(1000, 10)}})
	if row := find(t, rows, result.PeerMytun, result.MetricTime, ""); row.Median != 100 || mixed.Unknown != 0 {
		t.Errorf("%+v, in no row %+v", row, mixed)
	}
	if err := result.CheckAll(rows); err != nil {
		t.Error(err)
	}
}

// On one CPU the sender's packets, most of which are dropped, would be counted as the reader's cost.
func TestRowsOfTunOnOneCPU(t *testing.T) {
	h := host()
	h.CPUs = 1
	for kind, want := range map[Kind]float64{Rx: 500 - 250, Tx: 1000 - 250} {
		rows, _ := h.Rows([]Turn{
			{Case{Kind: Call}, "generator", windows(1000, 4)},
			{Case{Kind: kind, Size: 64}, result.PeerTun, windows(2000, 1)},
		})
		if row := find(t, rows, result.PeerTun, result.MetricTimeFree, ""); row.Median != want {
			t.Errorf("%s without its calls takes %v, want %v", kind, row.Median, want)
		}
	}
}

// Without the case of system calls nothing can be taken off.
func TestRowsWithoutCalls(t *testing.T) {
	h := host(samples(50000, 60)...)
	h.Period = 500
	rows, _ := h.Rows([]Turn{{Case{Kind: Tx, Size: 64}, result.PeerTun, windows(1000, 10)}})
	if slices.ContainsFunc(rows, func(r result.Row) bool { return r.Metric == result.MetricTimeFree || math.IsNaN(r.Median) }) {
		t.Errorf("rows %v", rows)
	}
}

func TestSub(t *testing.T) {
	a := Window{To: 10, Packets: 1, Dropped: 2, Doorbells: 3, Process: 4, Thread: 5, Sender: 6}
	b := Window{To: 30, Packets: 11, Dropped: 22, Doorbells: 33, Process: 44, Thread: 55, Sender: 66}
	want := Window{From: 10, To: 30, Packets: 10, Dropped: 20, Doorbells: 30, Process: 40, Thread: 50, Sender: 60}
	if got := b.Sub(a); got != want {
		t.Errorf("from %+v to %+v it is %+v, want %+v", a, b, got, want)
	}
}
