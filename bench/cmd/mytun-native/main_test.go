// SPDX-License-Identifier: MIT

//go:build linux && amd64

package main

import (
	"errors"
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/bench/native"
	"github.com/mytun/mytun/bench/result"
)

var needed = []string{"-image", "i", "-release", "7.2", "-root", "r", "-console", "c", "-json", "j", "-module", "a.ko"}

func TestParse(t *testing.T) {
	o, out, err := parse(append(slices.Clone(needed), "-rows", "rx*", "-cpus", "2", "-rounds", "3", "-windows", "4", "-window", "15ms"))
	if err != nil {
		t.Fatal(err)
	}
	if out != "j" || o.Image != "i" || o.Release != "7.2" || o.Root != "r" || o.Console != "c" || o.Rows != "rx*" || o.Rounds != 3 || o.Windows != 4 ||
		o.Window != 15*time.Millisecond || !o.Peers || !slices.Equal(o.CPUs, []int{2}) {
		t.Errorf("%+v, into %q", o, out)
	}
	if want := []native.Module{{Peer: result.PeerMytun, File: "a.ko"}}; !reflect.DeepEqual(o.Modules, want) {
		t.Errorf("modules %v, want %v", o.Modules, want)
	}
}

func TestParseAgainst(t *testing.T) {
	o, _, err := parse(append(slices.Clone(needed), "-against", "b.ko", "-peers=false"))
	want := []native.Module{{Peer: result.PeerMytunA, File: "a.ko"}, {Peer: result.PeerMytunB, File: "b.ko"}}
	if err != nil || !reflect.DeepEqual(o.Modules, want) || o.Peers {
		t.Errorf("modules %v, peers %v, %v; want %v and no others", o.Modules, o.Peers, err, want)
	}
	if !slices.Equal(o.CPUs, []int{2, 1}) {
		t.Errorf("without -cpus it is %v", o.CPUs)
	}
}

func TestParseRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"-module are needed": needed[:10],
		"has 1 or 2":         append(slices.Clone(needed), "-cpus", "2,3"),
		"cannot be measured": append(slices.Clone(needed), "-rounds", "0"),
		"windows of 1ns":     append(slices.Clone(needed), "-window", "1ns"),
		"not defined":        {"-nothing"},
	} {
		if _, _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v, which must say %q", args, err, want)
		}
	}
	if _, _, err := parse([]string{"-list", "-cpus", "1"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-list goes on to measure: %v", err)
	}
}
