// SPDX-License-Identifier: MIT

package native

import (
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

func names(cases []Case) []string {
	var all []string
	for _, c := range cases {
		all = append(all, c.Name())
	}
	return all
}

func TestName(t *testing.T) {
	for want, c := range map[string]Case{
		"call":               {Kind: Call},
		"rx:64":              {Kind: Rx, Size: 64},
		"rx-8m-polls:1400":   {Kind: Rx, Size: 1400, Ring: 8, Polls: true},
		"rx-senders2:64":     {Kind: Rx, Size: 64, Senders: 2},
		"rx-queues2:64":      {Kind: Rx, Size: 64, Queues: 2, Ring: 1},
		"reflect-thread0:64": {Kind: Reflect, Size: 64, Thread0: true},
		"tx-thread0:64":      {Kind: Tx, Size: 64, Thread0: true},
		"tx-super-8m:60396":  {Kind: TxSuper, Size: superSize, Ring: 8},
	} {
		if got := c.Name(); got != want {
			t.Errorf("%+v is called %q, want %q", c, got, want)
		}
	}
}

// Two cases of one name would be one row.
func TestNamesDiffer(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		all := names(Cases(cpus))
		slices.Sort(all)
		if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
			t.Errorf("with %d CPUs two cases have the same name: %v", cpus, all)
		}
	}
}

// What is about the other CPU cannot be done on one.
func TestCasesOfOneCPU(t *testing.T) {
	for _, c := range Cases(1) {
		if c.Senders > 1 || c.Queues > 1 || c.Thread0 || c.Polls {
			t.Errorf("%s is to be done on one CPU", c.Name())
		}
	}
	if one, two := len(Cases(1)), len(Cases(2)); one >= two {
		t.Errorf("%d cases on one CPU, %d on two", one, two)
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		patterns string
		want     []string
	}{
		{"rx:64", []string{"call", "generator:64", "rx:64"}},
		{"tx*:1400", []string{"call", "tx-thread0:1400", "tx:1400"}},
		{"tx:64,rx-8m-polls:1400", []string{"call", "tx:64", "generator:1400", "rx-8m-polls:1400"}},
		{"*super*", []string{"call", "rx-super-8m:60396", "tx-super-8m:60396"}},
		{"reflect:64", []string{"call", "generator:64", "reflect:64"}},
		{"none", nil},
	} {
		got, err := Choose(2, c.patterns)
		if err != nil || !slices.Equal(names(got), c.want) {
			t.Errorf("Choose(2, %q) = %v, %v, want %v", c.patterns, names(got), err, c.want)
		}
	}
	if got, err := Choose(1, ""); err != nil || len(got) != len(Cases(1)) {
		t.Errorf("no pattern chooses %v, %v", names(got), err)
	}
	if _, err := Choose(2, "rx["); err == nil || !strings.Contains(err.Error(), "rx[") {
		t.Errorf("a broken pattern: the error is %v, which must show it", err)
	}
}

func TestTurns(t *testing.T) {
	modules := []Module{{Peer: "A", File: "a.ko"}, {Peer: "B", File: "b.ko"}}
	for _, c := range []struct {
		c     Case
		peers bool
		want  []string
	}{
		{Case{Kind: Call}, true, []string{"generator"}},
		{Case{Kind: Generator, Size: 64}, true, []string{"generator"}},
		{Case{Kind: Rx, Size: 64}, true, []string{"A", "B", result.PeerTun, result.PeerVhost}},
		{Case{Kind: Rx, Size: 64}, false, []string{"A", "B"}},
		{Case{Kind: Rx, Size: 64, Polls: true}, true, []string{"A", "B"}},
		{Case{Kind: Rx, Size: 64, Queues: 2}, true, []string{"A", "B"}},
		{Case{Kind: Rx, Size: 64, Ring: 8, Thread0: true}, true, []string{"A", "B"}},
		{Case{Kind: Rx, Size: 64, Thread0: true}, true, []string{"A", "B"}},
		{Case{Kind: Tx, Size: 64, Thread0: true}, true, []string{"A", "B", result.PeerVhost}},
		{Case{Kind: Tx, Size: 64, Thread0: true}, false, []string{"A", "B"}},
		{Case{Kind: TxSuper, Size: superSize, Ring: 8}, true, []string{"A", "B", result.PeerTun, result.PeerVhost}},
	} {
		var got []string
		for _, m := range c.c.Turns(modules, c.peers) {
			got = append(got, m.Peer)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, peers %v: turns of %v, want %v", c.c.Name(), c.peers, got, c.want)
		}
	}
	if len(modules) != 2 {
		t.Errorf("Turns changed the modules to %v", modules)
	}
}
