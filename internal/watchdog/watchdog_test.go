// SPDX-License-Identifier: MIT

package watchdog

import (
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
