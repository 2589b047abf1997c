// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mytun/mytun/bench/native"
	"golang.org/x/sys/unix"
)

// A meter takes a reading at each window's end. The first two are not measured: one begins, one warms up.
type meter struct {
	length   uint64 // of a window, in ticks of the time stamp counter
	want     int    // windows
	read     func(w *native.Window) error
	next     uint64
	readings int
	last     native.Window
	windows  []native.Window
	err      error
}

func newMeter(plan *native.Plan, read func(w *native.Window) error) *meter {
	return &meter{
		length: uint64(float64(plan.Window) * plan.KHz / 1e6), want: plan.Windows, read: read, windows: make([]native.Window, 0, plan.Windows),
	}
}

// on is to be called often. It returns false when there are enough windows, or no more can be had.
func (m *meter) on() bool {
	now := native.TSC()
	if now < m.next {
		return true
	}
	return m.reading()
}

// reading takes the time last before and first after it: reading itself is in no window, but the packets that come meanwhile are in the next.
func (m *meter) reading() bool {
	var w native.Window
	if m.err = m.read(&w); m.err != nil {
		return false
	}
	w.To = native.TSC()
	if m.readings++; m.readings > 2 {
		m.windows = append(m.windows, w.Sub(m.last))
	}
	m.last, m.next = w, w.To+m.length
	return len(m.windows) < m.want
}

// threads returns the kernel threads, or the processes, whose names begin like that.
func threads(prefix string) ([]int, error) { return named("/proc/[0-9]*/comm", prefix) }

// named returns whose names in those files, each in a directory that its number names, begin like that.
func named(pattern, prefix string) ([]int, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, file := range files {
		name, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(name), prefix) {
			continue // another, or one that has ended
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// A clock reads the CPU time of threads.
type clock struct {
	fds []int
}

func newClock(ids []int) (*clock, error) {
	c := &clock{}
	for _, id := range ids {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/schedstat", id), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("CPU time of thread %d: %w", id, err)
		}
		c.fds = append(c.fds, fd)
	}
	return c, nil
}

// ns is their sum.
func (c *clock) ns() (float64, error) {
	var sum float64
	var text [64]byte
	for _, fd := range c.fds {
		n, err := unix.Pread(fd, text[:], 0)
		if err != nil {
			return 0, fmt.Errorf("CPU time: %w", err)
		}
		spent, err := firstNumber(string(text[:n]))
		if err != nil {
			return 0, err
		}
		sum += spent
	}
	return sum, nil
}

func (c *clock) close() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
}

func firstNumber(text string) (float64, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return 0, fmt.Errorf("there is no number in %q", text)
	}
	return strconv.ParseFloat(words[0], 64)
}

// processNS is the CPU time of this process.
func processNS() (float64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("CPU time: %w", err)
	}
	return float64(t.Nano()), nil
}

// A counter is a file that holds a number.
type counter struct{ fd int }

func openCounter(file string) (counter, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return counter{}, fmt.Errorf("open %s: %w", file, err)
	}
	return counter{fd}, nil
}

func (c counter) read() (uint64, error) {
	var text [32]byte
	n, err := unix.Pread(c.fd, text[:], 0)
	if err != nil {
		return 0, fmt.Errorf("counter: %w", err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(text[:n])), 10, 64)
}

func (c counter) close() { unix.Close(c.fd) }
