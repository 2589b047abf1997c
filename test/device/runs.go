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

// Runs counts what is transmitted in each run of some piece of the kernel's work, on
// whatever device, until the end of the test. It counts where it happens, so the
// numbers do not depend on how fast the machine is.
type Runs struct{ values *ebpf.Map }

// A run of one processor: the first two words of the run that goes on, the others of
// the worst one.
type run struct {
	Start, Count       uint64 // 0 outside of a run; packets
	MostCount, Longest uint64 // packets; nanoseconds
}

const (
	runStart   = 0
	runCount   = 8
	runMost    = 16
	runLongest = 24
)

// WatchTasklets watches the runs of tasklets: one softirq, in which each tasklet that
// is due runs once.
func WatchTasklets(t testing.TB) *Runs {
	t.Helper()
	const tasklet = 6 // TASKLET_SOFTIRQ
	runs := newRuns(t)
	of := func(instructions asm.Instructions) asm.Instructions {
		return append(asm.Instructions{
			asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord),
			asm.JNE.Imm(asm.R1, tasklet, "out"),
		}, instructions...)
	}
	runs.tracepoint(t, "softirq_entry", of(runs.begin()))
	runs.tracepoint(t, "softirq_exit", of(runs.end()))
	return runs
}

// WatchGRO watches what lies between two ends of GRO on one processor: what a thread
// gives to the stack without letting others have their turn.
func WatchGRO(t testing.TB) *Runs {
	t.Helper()
	const symbol = "napi_complete_done"
	runs := newRuns(t)
	p := runs.load(t, ebpf.Kprobe, append(runs.end(), runs.begin()[len(runs.find()):]...))
	probe, err := link.Kretprobe(symbol, p, nil)
	if err != nil {
		t.Fatalf("probe %s: %v", symbol, err)
	}
	t.Cleanup(func() { probe.Close() })
	return runs
}

func newRuns(t testing.TB) *Runs {
	t.Helper()
	values, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "mytun_runs", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 32, MaxEntries: 1,
	})
	if err != nil {
		t.Fatalf("map: %v", err)
	}
	t.Cleanup(func() { values.Close() })
	runs := &Runs{values}
	runs.tracepoint(t, "net_dev_xmit", runs.count())
	return runs
}

// load makes a program of instructions that jump to "out" when they have done.
func (r *Runs) load(t testing.TB, kind ebpf.ProgramType, code asm.Instructions) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mytun_runs", Type: kind, License: "GPL",
		Instructions: append(code, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()),
	})
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (r *Runs) tracepoint(t testing.TB, name string, code asm.Instructions) {
	t.Helper()
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: r.load(t, ebpf.RawTracepoint, code)})
	if err != nil {
		t.Fatalf("tracepoint %s: %v", name, err)
	}
	t.Cleanup(func() { l.Close() })
}

// find leaves the processor's run in R6.
func (r *Runs) find() asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, r.values.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R6, asm.R0),
	}
}

func (r *Runs) begin() asm.Instructions {
	return append(r.find(),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R6, runStart, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R6, runCount, asm.R1, asm.DWord),
	)
}

func (r *Runs) count() asm.Instructions {
	return append(r.find(),
		asm.LoadMem(asm.R1, asm.R6, runCount, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R6, runCount, asm.R1, asm.DWord),
	)
}

// end keeps what is worse than before; what has not begun is left out.
func (r *Runs) end() asm.Instructions {
	return append(r.find(),
		asm.LoadMem(asm.R7, asm.R6, runStart, asm.DWord),
		asm.JEq.Imm(asm.R7, 0, "over"),
		asm.FnKtimeGetNs.Call(),
		asm.Sub.Reg(asm.R0, asm.R7),
		asm.LoadMem(asm.R1, asm.R6, runLongest, asm.DWord),
		asm.JGE.Reg(asm.R1, asm.R0, "most"),
		asm.StoreMem(asm.R6, runLongest, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R6, runMost, asm.DWord).WithSymbol("most"),
		asm.LoadMem(asm.R2, asm.R6, runCount, asm.DWord),
		asm.JGE.Reg(asm.R1, asm.R2, "over"),
		asm.StoreMem(asm.R6, runMost, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R1, 0).WithSymbol("over"),
		asm.StoreMem(asm.R6, runStart, asm.R1, asm.DWord),
	)
}

// Worst is the most packets of a run so far, and the longest time that one took.
func (r *Runs) Worst(t testing.TB) (packets uint64, took time.Duration) {
	t.Helper()
	var of []run
	if err := r.values.Lookup(uint32(0), &of); err != nil {
		t.Fatalf("runs: %v", err)
	}
	for _, run := range of {
		packets, took = max(packets, run.MostCount), max(took, time.Duration(run.Longest))
	}
	return packets, took
}
