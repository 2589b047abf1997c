// SPDX-License-Identifier: MIT

package mytunev

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/exported"
	"github.com/mytun/mytun/internal/watchdog"
)

func takeAll(b *Batch) error {
	for range b.Frames() {
	}
	return nil
}

func sendOne(tx *Tx) error { return tx.Send([]byte{1}) }

// queueUses and deviceUses call each method that can fail, and return its error. None
// waits on a queue that is of no more use, nor on one whose deadline has passed.
var queueUses = map[string]func(q *Queue) error{
	"Queue.Close":            (*Queue).Close,
	"Queue.Read":             func(q *Queue) error { _, err := q.Read(make([]byte, 10)); return err },
	"Queue.ReadBatch":        func(q *Queue) error { return q.ReadBatch(takeAll) },
	"Queue.Run":              func(q *Queue) error { return q.Run(context.Background(), takeAll) },
	"Queue.Send":             func(q *Queue) error { return q.Send([]byte{1}) },
	"Queue.SendBatch":        func(q *Queue) error { return q.SendBatch(sendOne) },
	"Queue.SendBatchContext": func(q *Queue) error { return q.SendBatchContext(context.Background(), sendOne) },
	"Queue.SendContext":      func(q *Queue) error { return q.SendContext(context.Background(), []byte{1}) },
	"Queue.SendHash":         func(q *Queue) error { return q.SendHash([]byte{1}, VNetHeader{}, 1) },
	"Queue.SendVNet":         func(q *Queue) error { return q.SendVNet([]byte{1}, VNetHeader{}) },
	"Queue.SetDeadline":      func(q *Queue) error { return q.SetDeadline(time.Now()) },
	"Queue.SetReadDeadline":  func(q *Queue) error { return q.SetReadDeadline(time.Now()) },
	"Queue.SetWriteDeadline": func(q *Queue) error { return q.SetWriteDeadline(time.Now()) },
	"Queue.Stats":            func(q *Queue) error { _, err := q.Stats(); return err },
	"Queue.SyscallConn":      func(q *Queue) error { _, err := q.SyscallConn(); return err },
	"Queue.Write":            func(q *Queue) error { _, err := q.Write([]byte{1}); return err },
}

var deviceUses = map[string]func(d *Device) error{
	"Device.Close":            (*Device).Close,
	"Device.DetachFilter":     (*Device).DetachFilter,
	"Device.DetachSteering":   (*Device).DetachSteering,
	"Device.Index":            func(d *Device) error { _, err := d.Index(); return err },
	"Device.MTU":              func(d *Device) error { _, err := d.MTU(); return err },
	"Device.NewLinkWatch":     runWatch,
	"Device.Read":             func(d *Device) error { _, err := d.Read(make([]byte, 10)); return err },
	"Device.Run":              func(d *Device) error { return d.Run(context.Background(), takeAll) },
	"Device.Send":             func(d *Device) error { return d.Send([]byte{1}) },
	"Device.SetDeadline":      func(d *Device) error { return d.SetDeadline(time.Now()) },
	"Device.SetMTU":           func(d *Device) error { return d.SetMTU(1400) },
	"Device.SetOffload":       func(d *Device) error { return d.SetOffload(OffloadTx) },
	"Device.SetReadDeadline":  func(d *Device) error { return d.SetReadDeadline(time.Now()) },
	"Device.SetWriteDeadline": func(d *Device) error { return d.SetWriteDeadline(time.Now()) },
	"Device.Stats":            func(d *Device) error { _, err := d.Stats(); return err },
	"Device.SyscallConn":      func(d *Device) error { _, err := d.SyscallConn(); return err },
	"Device.WatchLink":        watchOnce,
	"Device.Write":            func(d *Device) error { _, err := d.Write([]byte{1}); return err },
}

func takeLink(Link) error { return errStop }

// watchOnce wants one state.
func watchOnce(d *Device) error {
	if err := d.WatchLink(context.Background(), takeLink); err != errStop {
		return err
	}
	return nil
}

// runWatch does the same in two steps.
func runWatch(d *Device) error {
	w, err := d.NewLinkWatch()
	if err != nil {
		return err
	}
	if err := w.Run(context.Background(), takeLink); err != errStop {
		return err
	}
	return nil
}

// txUses are those of a Tx that can fail.
var txUses = map[string]func(tx *Tx) error{
	"Tx.Commit":     func(tx *Tx) error { return tx.Commit(1) },
	"Tx.CommitHash": func(tx *Tx) error { return tx.CommitHash(1, VNetHeader{}, 1) },
	"Tx.CommitVNet": func(tx *Tx) error { return tx.CommitVNet(1, VNetHeader{}) },
	"Tx.Reserve":    func(tx *Tx) error { _, err := tx.Reserve(1); return err },
	"Tx.Send":       sendOne,
	"Tx.SendFrame":  func(tx *Tx) error { return tx.SendFrame(Frame{Data: []byte{1}}) },
	"Tx.SendHash":   func(tx *Tx) error { return tx.SendHash([]byte{1}, VNetHeader{}, 1) },
	"Tx.SendVNet":   func(tx *Tx) error { return tx.SendVNet([]byte{1}, VNetHeader{}) },
	"Tx.WaitSpace":  func(tx *Tx) error { return tx.WaitSpace(1) },
}

// values are the functions that cannot fail, called on zero values: true if the answer
// is the empty one.
var values = map[string]func() bool{
	"Batch.Frames":        func() bool { return takeAll(&Batch{}) == nil },
	"Batch.Next":          func() bool { _, ok := (&Batch{}).Next(); return !ok },
	"Batch.Queue":         func() bool { return (&Batch{}).Queue() == nil },
	"Backend.String":      func() bool { return Backend(0).String() == "auto" },
	"Device.Backend":      func() bool { b, why := (&Device{}).Backend(); return b == BackendAuto && why == "" },
	"Device.Mode":         func() bool { return (&Device{}).Mode() == TUN },
	"Device.Name":         func() bool { return (&Device{}).Name() == "" },
	"Device.Queues":       func() bool { return len((&Device{}).Queues()) == 0 },
	"Frame.Extend":        func() bool { return panicOf(func() { Frame{}.Extend(0, 0) }) != "" },
	"Frame.NeedsChecksum": func() bool { return !Frame{}.NeedsChecksum() },
	"Frame.SegmentSize":   func() bool { return Frame{}.SegmentSize() == 0 },
	"Frame.VNet":          func() bool { return Frame{}.VNet() == VNetHeader{} },
	"LinkWatch.Run":       func() bool { return (&LinkWatch{}).Run(context.Background(), takeLink) == ErrClosed },
	"Mode.String":         func() bool { return Mode(0).String() == "TUN" },
	"Offload.String":      func() bool { return Offload(0).String() == "none" },
	"Queue.Device":        func() bool { return (&Queue{}).Device() == nil },
	"Queue.Index":         func() bool { return (&Queue{}).Index() == 0 },
	"Queue.Name":          func() bool { return (&Queue{}).Name() == "" },
}

var noContext context.Context

// nothings are the functions that take a pointer, a function or an interface, called
// with nil.
var nothings = map[string]func(d *Device) error{
	"Device.AttachFilter":       func(d *Device) error { return d.AttachFilter(nil) },
	"Device.AttachSteering":     func(d *Device) error { return d.AttachSteering(nil) },
	"Device.Run":                func(d *Device) error { return d.Run(context.Background(), nil) },
	"Device.Run, context":       func(d *Device) error { return d.Run(noContext, takeAll) },
	"Device.WatchLink":          func(d *Device) error { return d.WatchLink(context.Background(), nil) },
	"Device.WatchLink, context": func(d *Device) error { return d.WatchLink(noContext, takeLink) },
	"LinkWatch.Run":             func(d *Device) error { return (&LinkWatch{}).Run(context.Background(), nil) },
	"LinkWatch.Run, context":    func(d *Device) error { return (&LinkWatch{}).Run(noContext, takeLink) },
	"Queue.ReadBatch":           func(d *Device) error { return d.queues[0].ReadBatch(nil) },
	"Queue.Run":                 func(d *Device) error { return d.queues[0].Run(context.Background(), nil) },
	"Queue.Run, context":        func(d *Device) error { return d.queues[0].Run(noContext, takeAll) },
	"Queue.Send":                func(d *Device) error { return d.queues[0].Send(nil) },
	"Queue.SendBatch":           func(d *Device) error { return d.queues[0].SendBatch(nil) },
	"Queue.SyscallConn": func(d *Device) error {
		c, err := d.queues[0].SyscallConn()
		if err != nil {
			return nil
		}
		return c.Control(nil)
	},
}

// TestEverythingIsTested: what is exported is in one of the tables. Open and OpenFile have
// tests of their own.
func TestEverythingIsTested(t *testing.T) {
	names, err := exported.Functions(".")
	if err != nil {
		t.Fatal(err)
	}
	tested := []string{"Open", "OpenFile"}
	tested = slices.AppendSeq(tested, maps.Keys(queueUses))
	tested = slices.AppendSeq(tested, maps.Keys(deviceUses))
	tested = slices.AppendSeq(tested, maps.Keys(txUses))
	tested = slices.AppendSeq(tested, maps.Keys(values))
	tested = slices.AppendSeq(tested, maps.Keys(nothings))
	for _, name := range names {
		if !slices.Contains(tested, name) {
			t.Errorf("%s is in no table", name)
		}
	}
}

// useAll calls every method of d, and of its first queue if it has any: of a new d each.
func useAll(t *testing.T, newDevice func() *Device, check func(name string, err error)) {
	for name, use := range deviceUses {
		watchdog.Watch(t, watchdog.Bound)
		check(name, use(newDevice()))
	}
	for name, use := range queueUses {
		watchdog.Watch(t, watchdog.Bound)
		check(name, use(newDevice().first()))
	}
}

// closedWithin returns a device that was closed and is open for the sake of a Handler alone, which
// runs until the test ends.
func closedWithin(t *testing.T) *Device {
	d, kernels := newFakeDevice(t, 1)
	entered, leave := make(chan struct{}), make(chan struct{})
	wait := start(t.Context(), d, func(*Batch) error {
		close(entered)
		<-leave
		return nil
	})
	t.Cleanup(func() {
		close(leave)
		wait()
	})
	kernels[0].send([]byte{1})
	<-entered
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	return d
}

func TestUseOfWhatIsClosed(t *testing.T) {
	for state, newDevice := range map[string]func() *Device{
		"zero": func() *Device { return &Device{} },
		"closed": func() *Device {
			d, _ := newFakeDevice(t, 1)
			d.Close()
			return d
		},
		"closed while a Handler runs": func() *Device { return closedWithin(t) },
		"copy of a closed one": func() *Device {
			d, _ := newFakeDevice(t, 1)
			c := *d
			d.Close()
			return &c
		},
		"original of a closed copy": func() *Device {
			d, _ := newFakeDevice(t, 1)
			c := *d
			c.Close()
			return d
		},
	} {
		useAll(t, newDevice, func(name string, err error) {
			if err != ErrClosed || !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s, %s: %v, want ErrClosed", state, name, err)
			}
		})
	}
}

// TestUseAfterDetach: what carries frames says that the device is gone, or the ring
// broken; the rest works.
func TestUseAfterDetach(t *testing.T) {
	link := []string{"Index", "MTU", "NewLinkWatch", "SetMTU", "SetOffload", "WatchLink"}
	carries := []string{"Read", "ReadBatch", "Run", "Send", "SendBatch", "SendBatchContext", "SendContext", "SendHash", "SendVNet", "Write"}
	for bits, want := range map[uint32]error{stateDetached: ErrDetached, stateBroken: ErrRingBroken} {
		useAll(t, func() *Device {
			d, kernels := newFakeDevice(t, 1)
			kernels[0].fail(bits)
			return d
		}, func(name string, err error) {
			_, method, _ := strings.Cut(name, ".")
			switch {
			case slices.Contains(carries, method) || slices.Contains(link, method) && want == ErrDetached:
				if err != want {
					t.Errorf("state %d, %s: %v, want %v", bits, name, err, want)
				}
			case strings.HasPrefix(method, "Detach"): // the fake takes no programs
			case err != nil:
				t.Errorf("state %d, %s: %v", bits, name, err)
			}
		})
	}
}

func TestUseOfZeroValues(t *testing.T) {
	for name, empty := range values {
		if !empty() {
			t.Errorf("%s of a zero value is not empty", name)
		}
	}
}

func TestUseOfNothing(t *testing.T) {
	for _, queues := range []int{1, 2} {
		for name, use := range nothings {
			d, _ := newFakeDevice(t, queues)
			if err := use(d); err == nil || !strings.HasPrefix(err.Error(), "mytunev: ") {
				t.Errorf("%s of nil, %d queues: %v, want an error", name, queues, err)
			}
		}
	}
}

// TestUseOfTx: in the function that got it a Tx works, and so does a copy; before and
// afterwards it is refused.
func TestUseOfTx(t *testing.T) {
	for name, use := range txUses {
		q, _ := newFake(t)
		var kept *Tx
		var copied Tx
		err := q.SendBatch(func(tx *Tx) error {
			kept, copied = tx, *tx
			for _, tx := range []*Tx{tx, &copied} {
				if strings.HasPrefix(name, "Tx.Commit") {
					if _, err := tx.Reserve(1); err != nil {
						return err
					}
				}
				if err := use(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for state, tx := range map[string]*Tx{"zero": {}, "kept": kept, "copy": &copied, "of a zero Batch": &(&Batch{}).Tx} {
			if err := use(tx); err != errExpired && err != errNoReservation {
				t.Errorf("%s, %s: %v, want %v", name, state, err, errExpired)
			}
		}
	}
}

// TestCopyOfTxIsPublished: what was sent by a copy is shown to the kernel, and keeps
// nobody out afterwards.
func TestCopyOfTxIsPublished(t *testing.T) {
	q, k := newFake(t)
	k.send([]byte{1})
	if err := q.Run(t.Context(), func(b *Batch) error {
		tx := b.Tx
		if err := tx.Send([]byte{7}); err != nil {
			return err
		}
		return errStop
	}); err != errStop {
		t.Fatal(err)
	}
	if p := k.take(); len(p) != 1 || p[0] != 7 {
		t.Errorf("%v, want the frame", p)
	}
	if err := q.Send([]byte{8}); err != nil {
		t.Error(err)
	}
}
