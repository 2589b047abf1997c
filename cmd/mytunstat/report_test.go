// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReportJSON(t *testing.T) {
	var line, indented bytes.Buffer
	if err := (jsonLines{&line}).show(newReport(twoSamples())); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(line.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	if err := json.Indent(&indented, line.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", indented.String())
}

// TestReportHasNoNull where an array or an object is promised.
func TestReportHasNoNull(t *testing.T) {
	for name, s := range map[string]sample{
		"nothing":    {},
		"no queue":   {devices: []device{{link: mytunLink(1, "a")}}},
		"a queue":    {devices: []device{{mytunLink(1, "a"), []queue{{}}}}},
		"its owners": {devices: []device{{mytunLink(1, "a"), []queue{{counters: counters{}}}}}},
	} {
		var b bytes.Buffer
		if err := (jsonLines{&b}).show(newReport(s, s)); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"devices", "gone", "notes", "queues", "owners", "drops", "counters"} {
			if strings.Contains(b.String(), `"`+field+`":null`) {
				t.Errorf("%s: %s is null: %s", name, field, b.String())
			}
		}
	}
}

func TestRates(t *testing.T) {
	r := newReport(twoSamples())
	got := r.Devices[1].Queues[0].Rates
	if got.RxPackets != 152_300 || got.RxBytes != 98_100_000 || got.TxPackets != 20 || got.TxBytes != 1_680 || got.Drops != 12 {
		t.Errorf("got %+v", got)
	}
	if math.Abs(*got.RxWakeups-1000*470/152_300.0) > 1e-9 || *got.TxWakeups != 1000 {
		t.Errorf("wake-ups %v, %v", *got.RxWakeups, *got.TxWakeups)
	}
	// two queues of this device have carried half as much in that time
	if sum := r.Devices[2].Rates; sum.RxPackets != 152_300 || sum.Drops != 12 {
		t.Errorf("sum %+v", sum)
	}
	if idle := r.Devices[2].Queues[0].Rates; idle.RxPackets != 0 || idle.RxWakeups != nil || idle.TxWakeups != nil {
		t.Errorf("idle %+v", idle)
	}
}

// TestClockStands: nothing is infinite, which JSON cannot say.
func TestClockStands(t *testing.T) {
	_, s := twoSamples()
	later := s
	later.devices = []device{{mytunLink(8, "mytun0"), []queue{busy(0, 1000)}}}
	if err := (jsonLines{&bytes.Buffer{}}).show(newReport(s, later)); err != nil {
		t.Error(err)
	}
}

// TestWhatIsNew has no rates: a device, a queue, and one whose counters begin anew.
func TestWhatIsNew(t *testing.T) {
	before := sample{at: start, devices: []device{{mytunLink(8, "a"), []queue{busy(0, 100)}}}}
	after := sample{at: start.Add(time.Second), devices: []device{
		{mytunLink(8, "a"), []queue{busy(0, 1), busy(1, 1)}},
		{mytunLink(9, "b"), []queue{busy(0, 1)}},
	}}
	r := newReport(before, after)
	for _, d := range r.Devices {
		if d.Rates != nil {
			t.Errorf("%s has rates", d.Device)
		}
		for _, q := range d.Queues {
			if !q.New || q.Rates != nil || q.Drops["rx_dropped"].Second != nil || q.Drops["rx_dropped"].Total != 12 {
				t.Errorf("%s queue %d: %+v", d.Device, q.Queue, q)
			}
		}
	}
}

// TestNamesAreNoIdentity: a device that was renamed is the same, another of the name is not.
func TestNamesAreNoIdentity(t *testing.T) {
	before := sample{at: start, devices: []device{{mytunLink(8, "a"), []queue{busy(0, 1)}}, {mytunLink(9, "b"), []queue{busy(0, 1)}}}}
	after := sample{at: start.Add(time.Second), devices: []device{{mytunLink(8, "c"), []queue{busy(0, 2)}}, {mytunLink(10, "b"), []queue{busy(0, 2)}}}}
	r := newReport(before, after)
	if r.Devices[0].Rates == nil || r.Devices[1].Rates != nil || !reflect.DeepEqual(r.Gone, []string{"b"}) {
		t.Errorf("got %+v", r)
	}
}

func TestNotes(t *testing.T) {
	foreign := device{mytunLink(8, "a"), []queue{{}, {number: 1}}}
	for _, test := range []struct {
		sample sample
		want   string
	}{
		{sample{devices: []device{foreign}, denied: true}, "of 2 queues: the processes are another user's: as root (sudo mytunstat)"},
		{sample{devices: []device{foreign}}, "PID namespace"},
		{sample{}, "no mytun device to show in this network namespace; for another one: ip netns exec NAMESPACE mytunstat"},
		{sample{elsewhere: 1}, "processes hold 1 queue in others: ip netns exec NAMESPACE mytunstat"},
	} {
		if got := notes(test.sample); len(got) != 1 || !strings.Contains(got[0], test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if got := notes(sample{denied: true, devices: []device{{mytunLink(8, "a"), []queue{busy(0, 1)}}}}); len(got) != 0 {
		t.Errorf("nothing is missing, and yet: %q", got)
	}
}
