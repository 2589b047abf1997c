// SPDX-License-Identifier: MIT

package watchdog

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// heard makes bark harmless and returns what it says.
func heard(t *testing.T) <-chan string {
	texts := make(chan string, 1)
	loud := bark
	bark = func(text string) { texts <- text }
	t.Cleanup(func() { bark = loud })
	return texts
}

func hanging(end <-chan struct{}) { <-end }

func TestWatchNamesWhatHangs(t *testing.T) {
	texts := heard(t)
	end := make(chan struct{})
	defer close(end)
	go hanging(end)
	Watch(t, time.Millisecond)
	text := <-texts
	if !strings.HasPrefix(text, "TestWatchNamesWhatHangs hangs: it made no progress for 1ms") || !strings.Contains(text, "watchdog.hanging(") {
		t.Errorf("%s, want the test's name and the other goroutine", text)
	}
}

func TestWatchEndsWithTheTest(t *testing.T) {
	t.Run("watched", func(t *testing.T) { Watch(t, time.Hour) })
	if len(dogs.timers) != 0 {
		t.Errorf("%d timers left", len(dogs.timers))
	}
}

func TestWatchAgain(t *testing.T) {
	texts := heard(t)
	Watch(t, time.Hour)
	Watch(t, time.Millisecond)
	<-texts
	if len(dogs.timers) != 1 {
		t.Errorf("%d timers for one test", len(dogs.timers))
	}
}

// A loser is a test that fails and keeps what it says.
type loser struct {
	testing.TB
	said chan string
}

func (l loser) Helper() {}

func (l loser) Errorf(format string, args ...any) { l.said <- fmt.Sprintf(format, args...) }

func (l loser) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	runtime.Goexit()
}

// lose has a test call f in time, and returns what it says and what InTime does, if it returns.
func lose(t *testing.T, bound time.Duration, f func() error) (said string, err error) {
	t.Helper()
	l, ended := loser{t, make(chan string, 1)}, make(chan struct{})
	go func() {
		defer close(ended)
		err = inTime(l, "it", bound, f)
	}()
	<-ended
	return <-l.said, err
}

func TestInTime(t *testing.T) {
	want := errors.New("its own")
	if err := InTime(t, "it", func() error { return want }); err != want {
		t.Errorf("%v, want %v", err, want)
	}
	if err := InTime(t, "it", func() error { return nil }); err != nil {
		t.Error(err)
	}
	if said, err := lose(t, time.Hour, func() error { panic("alas") }); said != "it: panic: alas" || err == nil {
		t.Errorf("of a panic: %q, %v", said, err)
	}
	end := make(chan struct{})
	defer close(end)
	if said, err := lose(t, time.Millisecond, func() error { hanging(end); return nil }); said != "it: hangs" || err != nil {
		t.Errorf("of what hangs: %q, %v", said, err)
	}
}
