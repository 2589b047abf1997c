// SPDX-License-Identifier: MIT

package tunbpf

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newCPUSteering(t *testing.T) *CPUSteering {
	t.Helper()
	s, err := NewCPUSteering()
	loaded(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// eachCPU calls f on every CPU that the process may use, and tells it which.
func eachCPU(t *testing.T, f func(cpu int)) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &all)
	for cpu := range 64 {
		if !all.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Fatal(err)
		}
		f(cpu)
	}
}

func TestModuleCPU(t *testing.T) {
	s := newCPUSteering(t)
	frame := newFlow("10.1.0.1:1", "10.1.0.2:2").packet()
	eachCPU(t, func(cpu int) {
		if got := run(t, s.Program(), frame); got != uint32(cpu) {
			t.Errorf("at first CPU %d has queue %d", cpu, got)
		}
		for _, queue := range []int{7, 0, maxQueue, cpu + 1} {
			if err := s.Set(cpu, queue); err != nil {
				t.Fatal(err)
			}
			if got := run(t, s.Program(), frame); got != uint32(queue) {
				t.Errorf("CPU %d: queue %d, want %d", cpu, got, queue)
			}
			if got, err := s.Queue(cpu); got != queue || err != nil {
				t.Errorf("CPU %d: Queue is %d, %v, want %d", cpu, got, err, queue)
			}
		}
	})
}

func TestModuleCPUErrors(t *testing.T) {
	s := newCPUSteering(t)
	if s.CPUs() < runtime.NumCPU() {
		t.Errorf("%d CPUs, of %d", s.CPUs(), runtime.NumCPU())
	}
	for _, c := range []struct {
		cpu, queue int
		want       string
	}{
		{-1, 0, "CPU -1 is not in"}, {s.CPUs(), 0, "is not in 0.."},
		{0, -1, "queue -1 of CPU 0"}, {0, maxQueue + 1, "not in 0..65535"},
	} {
		if err := s.Set(c.cpu, c.queue); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Set(%d, %d): %v, want %q", c.cpu, c.queue, err, c.want)
		}
	}
	if _, err := s.Queue(s.CPUs()); err == nil {
		t.Error("Queue of a CPU that there is not: no error")
	}
	s.Close()
	if err := s.Set(0, 1); err == nil {
		t.Error("Set after Close: no error")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
