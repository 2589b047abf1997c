// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// RTNL watches for how long rtnl is held, the lock of all that configures the network,
// until the end of the test. One thread has it at a time.
type RTNL struct{ values *ebpf.Map }

// Holds is what RTNL has seen since it was asked the last time.
type Holds struct {
	Start uint64 // of who holds it now, or 0
	Count uint64
	Sum   uint64 // nanoseconds
}

const (
	holdsStart = 0
	holdsCount = 8
	holdsSum   = 16
)

// Mean is how long it was held on average.
func (h Holds) Mean() time.Duration { return time.Duration(h.Sum / max(h.Count, 1)) }

// WatchRTNL begins to watch. So many threads may wait for the lock at the same time.
func WatchRTNL(t testing.TB, threads int) *RTNL {
	t.Helper()
	values, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "mytun_rtnl", Type: ebpf.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1,
	})
	if err != nil {
		t.Fatalf("map: %v", err)
	}
	t.Cleanup(func() { values.Close() })
	r := &RTNL{values}
	now := asm.Instructions{asm.FnKtimeGetNs.Call(), asm.StoreMem(asm.R6, holdsStart, asm.R0, asm.DWord)}
	taken, err := link.Kretprobe("rtnl_lock", r.load(t, now), &link.KprobeOptions{RetprobeMaxActive: threads})
	if err != nil {
		t.Fatalf("probe rtnl_lock: %v", err)
	}
	t.Cleanup(func() { taken.Close() })
	given, err := link.Kprobe("__rtnl_unlock", r.load(t, holdsEnd()), nil)
	if err != nil {
		t.Fatalf("probe __rtnl_unlock: %v", err)
	}
	t.Cleanup(func() { given.Close() })
	return r
}

// load makes a program of what is to be done with the one entry, in R6.
func (r *RTNL) load(t testing.TB, code asm.Instructions) *ebpf.Program {
	t.Helper()
	find := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, r.values.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R6, asm.R0),
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mytun_rtnl", Type: ebpf.Kprobe, License: "GPL",
		Instructions: append(append(find, code...), asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()),
	})
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// holdsEnd adds a hold. Of one that began before the probes it knows nothing.
func holdsEnd() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R7, asm.R6, holdsStart, asm.DWord),
		asm.JEq.Imm(asm.R7, 0, "out"),
		asm.FnKtimeGetNs.Call(),
		asm.Sub.Reg(asm.R0, asm.R7),
		asm.LoadMem(asm.R1, asm.R6, holdsSum, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R0),
		asm.StoreMem(asm.R6, holdsSum, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.R6, holdsCount, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R6, holdsCount, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R6, holdsStart, asm.R1, asm.DWord),
	}
}

// Holds is what was seen since it was asked the last time.
func (r *RTNL) Holds(t testing.TB) (h Holds) {
	t.Helper()
	if err := r.values.Lookup(uint32(0), &h); err != nil {
		t.Fatalf("holds of rtnl: %v", err)
	}
	if err := r.values.Put(uint32(0), Holds{}); err != nil {
		t.Fatalf("holds of rtnl: %v", err)
	}
	return h
}
