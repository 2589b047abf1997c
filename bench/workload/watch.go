// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"io"
	"os"
	"time"
)

// A watch looks at a counter of a namespace again and again, for less than snmp.read costs: it keeps the file open.
type watch struct {
	file    *os.File
	counter snmp
	stall   time.Duration // what has not come when nothing has for so long is lost
	text    [16 << 10]byte
}

func newWatch(n *namespace, c snmp) (w *watch, err error) {
	w = &watch{counter: c, stall: 5 * time.Second}
	return w, n.do(func() (err error) {
		w.file, err = os.Open("/proc/thread-self/net/snmp")
		return err
	})
}

func (w *watch) read() (int, error) {
	n, err := w.file.ReadAt(w.text[:], 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	return w.counter.find(string(w.text[:n]))
}

// expect makes send send count packets, and returns how many have arrived once all have, or nothing has come for stall.
func (w *watch) expect(count int, send func() error) (arrived int, err error) {
	const look = 5 * time.Millisecond
	before, err := w.read()
	if err != nil {
		return 0, err
	}
	if err := send(); err != nil {
		return 0, err
	}
	for moved := time.Now(); ; time.Sleep(look) {
		looked := time.Now() // before it is read: who did not run for long has not seen that nothing came
		now, err := w.read()
		switch {
		case err != nil:
			return arrived, err
		case now-before > arrived:
			arrived, moved = now-before, time.Now()
		case looked.Sub(moved) >= w.stall:
			return arrived, nil
		}
		if arrived >= count {
			return arrived, nil
		}
	}
}

func (w *watch) close() error { return w.file.Close() }
