// SPDX-License-Identifier: MIT

package tunbpf

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/mytun/mytun/internal/watchdog"
)

// prefixCalls and cpuCalls are all methods but Program, CPUs and Close.
func prefixCalls(f *PrefixFilter) map[string]func() error {
	list := prefixes("10.0.0.0/8", "fd00::/8")
	return map[string]func() error{
		"Add":         func() error { return f.Add(list...) },
		"Add nothing": func() error { return f.Add() },
		"Remove":      func() error { return f.Remove(list...) },
		"Prefixes":    func() error { _, err := f.Prefixes(); return err },
	}
}

func cpuCalls(s *CPUSteering) map[string]func() error {
	return map[string]func() error{
		"Set":   func() error { return s.Set(0, 0) },
		"Queue": func() error { _, err := s.Queue(0); return err },
	}
}

func mustBeClosed(t *testing.T, what string, calls map[string]func() error) {
	t.Helper()
	for name, call := range calls {
		if err := watchdog.InTime(t, what+": "+name, call); !errors.Is(err, os.ErrClosed) || !strings.HasPrefix(err.Error(), "tunbpf: ") {
			t.Errorf("%s: %s: %v, want one that wraps os.ErrClosed", what, name, err)
		}
	}
}

// TestZeroValues: what no New function made says so.
func TestZeroValues(t *testing.T) {
	mustBeClosed(t, "zero PrefixFilter", prefixCalls(new(PrefixFilter)))
	mustBeClosed(t, "nil PrefixFilter", prefixCalls(nil))
	mustBeClosed(t, "zero CPUSteering", cpuCalls(new(CPUSteering)))
	mustBeClosed(t, "nil CPUSteering", cpuCalls(nil))
	var f *PrefixFilter
	var s *CPUSteering
	if f.Program() != nil || s.Program() != nil || s.CPUs() != 0 || new(CPUSteering).CPUs() != 0 ||
		new(PrefixFilter).Program() != nil || new(CPUSteering).Program() != nil {
		t.Error("a program or CPUs of nothing")
	}
	if err := errors.Join(f.Close(), s.Close(), new(PrefixFilter).Close(), new(CPUSteering).Close()); err != nil {
		t.Errorf("Close of nothing: %v", err)
	}
}

// TestModuleAfterClose: and so does what was closed; no other file that has the
// descriptor's number by then is touched.
func TestModuleAfterClose(t *testing.T) {
	f, s := newPrefixFilter(t, PrefixConfig{}), newCPUSteering(t)
	program, cpus := f.Program(), s.CPUs()
	if err := errors.Join(f.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	newPrefixFilter(t, PrefixConfig{}) // takes the numbers
	mustBeClosed(t, "PrefixFilter", prefixCalls(f))
	mustBeClosed(t, "CPUSteering", cpuCalls(s))
	if err := errors.Join(f.Close(), s.Close()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if f.Program() != program || program.FD() >= 0 || s.Program().FD() >= 0 || s.CPUs() != cpus {
		t.Error("Close does not leave closed programs")
	}
}

// TestModuleCloseMeanwhile: each call that Close meets ends before it, or fails as one
// after it.
func TestModuleCloseMeanwhile(t *testing.T) {
	for range 50 {
		f, s := newPrefixFilter(t, PrefixConfig{}), newCPUSteering(t)
		add(t, f, prefixes("10.0.0.0/8")...)
		calls := []func() error{
			func() error { return f.Add(netip.MustParsePrefix("10.0.0.0/8")) },
			func() error { _, err := f.Prefixes(); return err },
			func() error { return s.Set(0, 1) },
			func() error { _, err := s.Queue(0); return err },
		}
		var group sync.WaitGroup
		for _, call := range calls {
			group.Go(func() {
				var err error
				for err == nil {
					err = call()
				}
				if !errors.Is(err, os.ErrClosed) {
					t.Errorf("%v, want one that wraps os.ErrClosed", err)
				}
			})
		}
		if err := errors.Join(f.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		group.Wait()
	}
}
