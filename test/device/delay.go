// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Delay makes a function of the kernel take longer, until the end of the test: at its
// beginning the clock is read so many times, and on a preemptible kernel it is the next
// thread's turn when that has taken long enough. The first of the names counts that the
// kernel has.
func Delay(t testing.TB, times int32, symbols ...string) {
	t.Helper()
	p := newProbe(t, asm.Instructions{
		asm.Mov.Imm(asm.R6, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("again"),
		asm.Add.Imm(asm.R6, 1),
		asm.JLT.Imm(asm.R6, times, "again"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	})
	for _, symbol := range symbols {
		probe, err := link.Kprobe(symbol, p, nil)
		if err == nil {
			t.Cleanup(func() { probe.Close() })
			return
		}
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("probe %s: %v", symbol, err)
		}
	}
	t.Fatalf("the kernel has no function %v", symbols)
}
