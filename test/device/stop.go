// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// A Stop is a thread that stands still at the end of a function of the kernel.
type Stop struct{ words *ebpf.Map }

// The words of a stop's map.
const (
	stopThread = iota // the first that came to the end of the function
	stopEnd           // not 0: it may go on
	stopRounds        // how often it has passed some time there
	stopWords
)

// stopProbes are as many programs at the end of the function, each of which passes some time.
const stopProbes = 30

// StopAtReturn has the first thread that comes to the end of a function of the kernel stand
// there until End, or the end of the test, and lets all others pass. It keeps its
// processor: who waits for all processors to get on, as for a device to go, waits for it.
// After a second or more it goes on by itself, and End fails.
func StopAtReturn(t testing.TB, symbol string) *Stop {
	t.Helper()
	words, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: stopWords * 8, MaxEntries: 1})
	if err != nil {
		t.Fatalf("map: %v", err)
	}
	t.Cleanup(func() { words.Close() })
	s := &Stop{words}
	program := newProbe(t, s.instructions())
	for range stopProbes {
		probe, err := link.Kretprobe(symbol, program, nil)
		if err != nil {
			t.Fatalf("probe at the end of %s: %v", symbol, err)
		}
		t.Cleanup(func() { probe.Close() })
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// instructions pass some time if this is the first thread and not the end yet.
func (s *Stop) instructions() asm.Instructions {
	const times = 20_000 // the kernel goes through them all as it loads the program
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, s.words.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.FnGetCurrentPidTgid.Call(),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.Mov.Imm(asm.R0, 0),
		asm.CmpXchg.Mem(asm.R7, asm.R6, asm.DWord, stopThread*8),
		asm.JEq.Imm(asm.R0, 0, "first"),
		asm.JNE.Reg(asm.R0, asm.R6, "out"),
		asm.LoadMem(asm.R1, asm.R7, stopEnd*8, asm.DWord).WithSymbol("first"),
		asm.JNE.Imm(asm.R1, 0, "out"),
		asm.Mov.Imm(asm.R8, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("again"),
		asm.Add.Imm(asm.R8, 1),
		asm.JLT.Imm(asm.R8, times, "again"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R7, asm.R1, asm.DWord, stopRounds*8),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}
}

// Wait waits until a thread stands there.
func (s *Stop) Wait(t testing.TB) {
	t.Helper()
	WaitFor(t, "a thread to come to the end of the function", func() bool { return s.get(t)[stopThread] != 0 })
}

// End lets the thread go on, which must have stood there until now.
func (s *Stop) End(t testing.TB) {
	t.Helper()
	if s.end(t) == stopProbes {
		t.Error("the thread went on by itself: what was to be seen while it stands there may have come later")
	}
}

// end is how often the thread had passed some time.
func (s *Stop) end(t testing.TB) uint64 {
	t.Helper()
	words := s.get(t)
	rounds := words[stopRounds]
	words[stopEnd] = 1
	if err := s.words.Put(uint32(0), &words); err != nil {
		t.Errorf("map: %v", err)
	}
	return rounds
}

func (s *Stop) get(t testing.TB) (words [stopWords]uint64) {
	t.Helper()
	if err := s.words.Lookup(uint32(0), &words); err != nil {
		t.Fatalf("map: %v", err)
	}
	return words
}

// newProbe is a program for probes of the kernel's functions.
func newProbe(t testing.TB, instructions asm.Instructions) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mytun_probe", Type: ebpf.Kprobe, License: "GPL", Instructions: instructions,
	})
	if err != nil {
		t.Fatalf("program: %+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
