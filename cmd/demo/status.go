// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How often the status is shown, on a terminal and in a log.
const (
	terminalInterval = time.Second
	logInterval      = 10 * time.Second
)

// On a terminal the status line is written over itself.
const (
	lineBegin = "\r\x1b[K"
	lineEnd   = "\n"
)

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// showStatus shows the status on f again and again until ctx is done.
func (d *demo) showStatus(ctx context.Context, f *os.File) {
	before, after, interval := "", lineEnd, logInterval
	if isTerminal(f) {
		before, after, interval = lineBegin, "", terminalInterval
		defer io.WriteString(f, lineBegin)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := time.Now()
	var packets, wakeups uint64
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			t := d.loop.tally()
			s, err := d.device.Stats()
			if err != nil {
				return // the loop ends for the same reason, and says so
			}
			line := statusLine(d.device.Name(), t.packets(), t.packets()-packets, s.Wakeups-wakeups, totalDrops(s), now.Sub(last))
			io.WriteString(f, before+line+after)
			last, packets, wakeups = now, t.packets(), s.Wakeups
		}
	}
}

// statusLine tells of all packets and drops, and of the latest packets and
// wake-ups, which took some time to come.
func statusLine(device string, packets, latest, wakeups, drops uint64, took time.Duration) string {
	rate := float64(latest) / max(took.Seconds(), 1e-9)
	return fmt.Sprintf("%s  %s  %s/s  %s (%.3f a packet)  %s", device, plural(packets, "packet"),
		thousands(uint64(rate+0.5)), plural(wakeups, "wake-up"), ratio(wakeups, latest), plural(drops, "drop"))
}
