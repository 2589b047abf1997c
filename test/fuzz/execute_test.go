// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// emptyWorld has an arena, but no device that anything in it could come from.
func emptyWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.arena, err = newArena(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(w.arena)), arenaSize); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &w.limit); err != nil {
		t.Fatal(err)
	}
	if err := w.reset(); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestFaultsAreSurvivedAndCounted: nothing is mapped.
func TestFaultsAreSurvivedAndCounted(t *testing.T) {
	w := emptyWorld(t)
	p := parse(t, "0 word f0 tx_producer 64\n1 flip f1 headers 1 10\n2 push f2 udp4 plain 100 1\n0 event e0 eventfd\n3 closeevent e5\n")
	if got, want := w.perform(p), (Outcome{Operations: 5, Succeeded: 1, Faults: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestAnotherPanicIsNotHidden: only faults and failures of helpers are a
// program's doing.
func TestAnotherPanicIsNotHidden(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
	}()
	spec := Spec{run: func(*world, *thread, []uint64) error { panic("a mistake of the fuzzer's") }}
	emptyWorld(t).step(&thread{}, Operation{Spec: &spec})
}

func TestHelperThatFailsIsAnError(t *testing.T) {
	spec := Spec{run: func(_ *world, t *thread, _ []uint64) error { t.Fatalf("no %s", "link"); return nil }}
	if err := emptyWorld(t).step(&thread{}, Operation{Spec: &spec}); err == nil || err.Error() != "no link" || errors.As(err, new(fault)) {
		t.Errorf("got %v", err)
	}
}

// TestCopyOfTheProcessLivesUntilReset: and no longer.
func TestCopyOfTheProcessLivesUntilReset(t *testing.T) {
	w := emptyWorld(t)
	if got := w.perform(parse(t, "0 fork\n")); got.Succeeded != 1 {
		t.Fatalf("fork: %+v", got)
	}
	pid := (*w.children.Load())[0]
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("the copy is not there: %v", err)
	}
	if err := w.reset(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the copy is still there: %v", err)
	}
}

func TestResetRestoresTheLimitOfDescriptors(t *testing.T) {
	w := emptyWorld(t)
	w.perform(parse(t, "0 nofile 3\n0 event e0 eventfd\n"))
	w.reset()
	if got := w.perform(parse(t, "0 event e0 eventfd\n")); got.Succeeded != 1 {
		t.Errorf("after reset: %+v", got)
	}
}

func TestProcessThatIsNotToldTheGeometryEnds(t *testing.T) {
	for _, input := range []string{"", "0 open f0\n" + runLine + "\n"} {
		if err := execute(strings.NewReader(input), io.Discard, false); err == nil {
			t.Errorf("%q was taken for a geometry", input)
		}
	}
}

// TestArenaIsBelowWhatAsksForNoAddress: so the kernel finds room there before it
// comes to a hole that a remap leaves.
func TestArenaIsBelowWhatAsksForNoAddress(t *testing.T) {
	w := emptyWorld(t)
	other, err := unix.Mmap(-1, 0, arenaSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(other)
	const far = 1 << 40
	if arena, at := device.Address(w.arena), device.Address(other); at < arena+far {
		t.Errorf("the arena is at %#x, another mapping at %#x", arena, at)
	}
}

// TestDirectionWithoutARingIsWrittenAllTheSame: to where its ring would be.
func TestDirectionWithoutARingIsWrittenAllTheSame(t *testing.T) {
	w := emptyWorld(t)
	w.setSize(0, 0, 0)
	p := parse(t, "0 flip f0 headers 1 10\n1 flip f0 payloads 1 10\n2 push f0 udp4 plain 100 1\n3 pull f0 1\n")
	if got, want := w.perform(p), (Outcome{Operations: 4, Faults: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
