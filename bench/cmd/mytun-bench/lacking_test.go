// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/workload"
	"golang.org/x/sys/unix"
)

// failing is a contestant whose interface cannot be made, for that reason.
func failing(name string, err error) peer.Peer {
	return peer.Peer{Name: name, Open: func(peer.Config) (peer.Device, error) { return nil, err }}
}

// An interface of nobody.
type nothing struct{ peer.Device }

func (nothing) Close() error { return nil }

func TestLacks(t *testing.T) {
	_, noFile := os.Open(t.TempDir() + "/none")
	noProgram := exec.Command("no-program-has-this-name").Run()
	for _, err := range []error{noFile, noProgram, unix.ENODEV, fmt.Errorf("make a tunnel: %w (modprobe vxlan)", unix.EOPNOTSUPP)} {
		if !lacks(err) {
			t.Errorf("%v does not mean that something is not there", err)
		}
	}
	for _, err := range []error{unix.EPERM, unix.EINVAL, unix.ENOMEM, errors.New("lost a packet"), nil} {
		if lacks(err) {
			t.Errorf("%v means that something is not there", err)
		}
	}
}

func TestPresent(t *testing.T) {
	there := peer.Peer{Name: "there", Open: func(peer.Config) (peer.Device, error) { return nothing{}, nil }}
	absent := failing("absent", fmt.Errorf("open /dev/absent: %w (modprobe absent)", unix.ENOENT))
	var said strings.Builder
	got, err := present([]peer.Peer{absent, there, failing("picky", peer.ErrUnable)}, &said)
	if err != nil || len(got) != 2 || got[0].Name != "there" || got[1].Name != "picky" {
		t.Errorf("%v, %v are present", got, err)
	}
	if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "no absent,") || !strings.Contains(text, "modprobe absent") {
		t.Errorf("it says %q, which has to name who is absent, and what to do", text)
	}
	if _, err := present([]peer.Peer{absent}, &said); err == nil {
		t.Error("without any contestant there is no error")
	}
	if _, err := present([]peer.Peer{there, failing("broken", unix.EPERM)}, &said); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a contestant that fails otherwise: %v", err)
	}
}

// one is a workload that ends like that.
func one(name string, err error) workload.Workload {
	return workload.Workload{
		Name: name, Sizes: []int{64}, Uncounted: true,
		Run: func(_ *workload.Env, p peer.Peer, _ int, _ float64) ([]workload.Sample, error) {
			return []workload.Sample{{Peer: p.Name, Metric: "m", Unit: "u", Value: 1}}, err
		},
	}
}

// planFor is one for those workloads, and what it says goes to said.
func planFor(spare bool, said *strings.Builder, workloads ...workload.Workload) *plan {
	return &plan{workloads: workloads, peers: []peer.Peer{{Name: "there"}}, rounds: 1, spare: spare, say: said}
}

func TestMeasureAllSpares(t *testing.T) {
	var said strings.Builder
	p := planFor(true, &said, one("a", nil), one("b", fmt.Errorf("open pktgen: %w", unix.ENOENT)), one("c", nil))
	table := newTable(p.env)
	if err := p.measureAll(table); err != nil {
		t.Fatal(err)
	}
	if rows := table.rows(); len(rows) != 2 || rows[0].Workload != "a" || rows[1].Workload != "c" {
		t.Errorf("rows %+v, want those of a and c", rows)
	}
	if text := said.String(); !strings.Contains(text, "b is left out") || !strings.Contains(text, "open pktgen") {
		t.Errorf("it says %q, which has to name what is left out", text)
	}
}

// What is there and fails is no reason for a table without it, and without -spare nothing is.
func TestMeasureAllFails(t *testing.T) {
	for _, spare := range []bool{false, true} {
		var said strings.Builder
		p := planFor(spare, &said, one("b", errors.New("lost a packet")))
		if err := p.measureAll(newTable(p.env)); err == nil || !strings.Contains(err.Error(), "lost a packet") {
			t.Errorf("spare %v: %v", spare, err)
		}
	}
	var said strings.Builder
	p := planFor(false, &said, one("b", unix.ENOENT))
	if err := p.measureAll(newTable(p.env)); err == nil || strings.Contains(said.String(), "left out") {
		t.Errorf("%v, having said %q", err, said.String())
	}
	p = planFor(true, &said, one("b", unix.ENOENT))
	if err := p.measureAll(newTable(p.env)); err == nil {
		t.Error("a table without a row is none")
	}
}

// It is said once, and not before each workload.
func TestUncountedSaysSoOnce(t *testing.T) {
	var said strings.Builder
	p := &plan{say: &said}
	for range 3 {
		p.uncounted(unix.EPERM)
	}
	if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, unix.EPERM.Error()) || !strings.Contains(text, "not counted") {
		t.Errorf("it says %q", text)
	}
}
