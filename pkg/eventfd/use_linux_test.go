// SPDX-License-Identifier: MIT

package eventfd

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/exported"
	"github.com/mytun/mytun/internal/watchdog"

	"golang.org/x/sys/unix"
)

// uses are all methods, as functions that return their error.
var uses = map[string]func(e *EventFD) error{
	"EventFD.Add":         func(e *EventFD) error { return e.Add(2) },
	"EventFD.Close":       (*EventFD).Close,
	"EventFD.Drain":       func(e *EventFD) error { _, err := e.Drain(); return err },
	"EventFD.Dup":         func(e *EventFD) error { _, err := e.Dup(); return err },
	"EventFD.FD":          fdError,
	"EventFD.SetDeadline": func(e *EventFD) error { return e.SetDeadline(time.Now()) },
	"EventFD.Signal":      (*EventFD).Signal,
	"EventFD.SyscallConn": func(e *EventFD) error { _, err := e.SyscallConn(); return err },
	"EventFD.Wait":        func(e *EventFD) error { _, err := e.Wait(); return err },
}

func fdError(e *EventFD) error {
	if e.FD() == -1 {
		return os.ErrClosed
	}
	return nil
}

// TestEverythingIsTested: what is exported is in the table, or else below.
func TestEverythingIsTested(t *testing.T) {
	names, err := exported.Functions(".")
	if err != nil {
		t.Fatal(err)
	}
	tested := append(slices.Collect(maps.Keys(uses)), "New", "Wrap")
	slices.Sort(tested)
	if !slices.Equal(names, tested) {
		t.Errorf("exported: %v\ntested: %v", names, tested)
	}
}

// descriptors that a mistake would close: those of the test itself.
func descriptorsAreOpen(t *testing.T, what string) {
	t.Helper()
	for fd := range 3 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Fatalf("%s closed descriptor %d", what, fd)
		}
	}
}

// TestUseOfWhatIsClosed calls every method of an EventFD that has no descriptor, any
// more or at all.
func TestUseOfWhatIsClosed(t *testing.T) {
	for state, make := range map[string]func() *EventFD{
		"zero": func() *EventFD { return &EventFD{} },
		"nil":  func() *EventFD { return nil },
		"closed": func() *EventFD {
			e := open(t)
			e.Close()
			return e
		},
		"closed, polled before": func() *EventFD {
			e := open(t)
			e.SetDeadline(time.Time{})
			e.Close()
			return e
		},
		"copy of a closed one": func() *EventFD {
			e := open(t)
			c := *e
			e.Close()
			return &c
		},
	} {
		for name, use := range uses {
			watchdog.Watch(t, watchdog.Bound)
			if err := use(make()); !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s, %s: %v, want os.ErrClosed", state, name, err)
			}
			descriptorsAreOpen(t, state+", "+name)
		}
	}
}

// TestCopy: a copy is the same EventFD, and has no descriptor to close a second time.
func TestCopy(t *testing.T) {
	e := open(t)
	c := *e
	signal(t, &c, 2)
	wantDrain(t, e, 2)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	other := open(t) // has the descriptor now
	if err := e.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want os.ErrClosed", err)
	}
	signal(t, other, 1)
	wantDrain(t, other, 1)
}

func TestWrapOfNothing(t *testing.T) {
	for _, fd := range []int{-1, 1 << 30} {
		if e, err := Wrap(fd); e != nil || !errors.Is(err, unix.EBADF) {
			t.Errorf("Wrap(%d): %v, %v, want EBADF", fd, e, err)
		}
	}
}
