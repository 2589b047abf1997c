// SPDX-License-Identifier: MIT

package wireguard

import (
	"github.com/mytun/mytun/pkg/gso"
	"github.com/mytun/mytun/pkg/mytunev"
)

// Write implements tun.Device: it sends the packets of all buffers, and waits for room in the
// ring. What the kernel refuses it counts ([mytunev.KernelStats]); a packet that no ring can carry
// keeps no other back, and is the error.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	w := &d.writer
	for _, b := range bufs {
		if len(b) > offset {
			w.coalescer.Add(b[offset:], mytunev.VNetHeader{})
		}
	}
	if err := d.queue.SendBatch(w.flush); err != nil {
		w.drop()
		return 0, err
	}
	return len(bufs), nil
}

// A writer is a Write's state.
type writer struct {
	coalescer *gso.Coalescer
	flush     func(tx *mytunev.Tx) error // made once
}

func (w *writer) init() {
	w.coalescer = gso.NewCoalescer(mytunev.TUN)
	w.flush = func(tx *mytunev.Tx) error { return w.coalescer.Flush(tx) }
}

// drop lets go of what was not sent, if Flush was not called.
func (w *writer) drop() {
	if w.coalescer.Len() > 0 {
		w.coalescer = gso.NewCoalescer(mytunev.TUN)
	}
}
