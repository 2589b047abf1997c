// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.withDefaults()
	want := Config{Queues: 1, RxRing: 1 << 20, TxRing: 1 << 20}
	if c != want || err != nil {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	given := Config{Name: "x", Mode: TAP, Queues: 4, RxRing: 1 << 17, TxRing: 1 << 26,
		Poll: -1, Offload: AllOffloads, Backpressure: true, WakeBytes: 1 << 16, BusyPoll: time.Millisecond,
		Headroom: 256, Tailroom: 31, LockThreads: true, CPUs: "3,0", Exclusive: true, Backend: BackendTun, Path: "/y"}
	if c, err := given.withDefaults(); c != given || err != nil {
		t.Errorf("%+v, %v, want no change", c, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for field, c := range map[string]Config{
		"Mode":                {Mode: 2},
		"Backend":             {Backend: 3},
		"Queues":              {Queues: -1},
		"RxRing":              {RxRing: 100000},
		"TxRing":              {TxRing: -4096},
		"Poll":                {Poll: time.Second},
		"WakeBytes is -1":     {WakeBytes: -1},
		"WakeBytes is 524289": {WakeBytes: 1<<19 + 1},
		"Headroom is -1":      {Headroom: -1},
		"Headroom is 257":     {Headroom: 257},
		"Tailroom is -1":      {Tailroom: -1},
		"Tailroom is 257":     {Tailroom: 257},
		"Offload":             {Offload: OffloadUSO4},
		"CPUs":                {CPUs: "0,-1"},
	} {
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%+v: %v, want an error about Config.%s", c, err, field)
		}
	}
	if _, err := Open(Config{Queues: maxQueues + 1}); err == nil {
		t.Error("too many queues accepted")
	}
	for _, window := range []time.Duration{-1, maxPoll + 1} {
		if _, err := Open(Config{BusyPoll: window}); err == nil || !strings.Contains(err.Error(), "Config.BusyPoll") {
			t.Errorf("BusyPoll %v: %v, want an error about it", window, err)
		}
	}
}

func TestPollMicroseconds(t *testing.T) {
	for _, c := range []struct {
		poll time.Duration
		us   uint32
		set  bool
	}{
		{0, 0, false}, {-1, 0, true}, {1, 1, true}, {time.Microsecond, 1, true},
		{50 * time.Microsecond, 50, true}, {maxPoll, 100000, true},
	} {
		if us, set := (Config{Poll: c.poll}).pollMicroseconds(); us != c.us || set != c.set {
			t.Errorf("%v: %d, %v, want %d, %v", c.poll, us, set, c.us, c.set)
		}
	}
}

func TestModeString(t *testing.T) {
	for m, want := range map[Mode]string{TUN: "TUN", TAP: "TAP", 7: "Mode(7)"} {
		if m.String() != want {
			t.Errorf("%q, want %q", m, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for err, class := range map[error]error{
		ErrClosed: os.ErrClosed, ErrNotSupported: errors.ErrUnsupported,
		ErrFull: errAgain, ErrTooLong: errMsgSize,
	} {
		if !errors.Is(err, class) || !strings.HasPrefix(err.Error(), "mytunev: ") {
			t.Errorf("%q is not %q", err, class)
		}
	}
	for _, err := range []error{ErrDetached, ErrRingBroken} {
		if errors.Unwrap(err) != nil {
			t.Errorf("%v wraps something", err)
		}
	}
	err := opError("open", "/dev/x", fs.ErrNotExist, "do this")
	if err.Error() != "mytunev: open /dev/x: file does not exist (do this)" || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestVNetHeaderRoundTrip(t *testing.T) {
	v := VNetHeader{1, 2, 3, 4, 5, 6, 7, 8, 0x0A09}
	var b [vnetSize]byte
	encodeVNet(&b, v)
	if want := [vnetSize]byte{1, 2, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 10}; b != want {
		t.Errorf("encoded %x, want %x", b, want)
	}
	if got := decodeVNet(&b); got != v {
		t.Errorf("decoded %+v, want %+v", got, v)
	}
}

// TestStatsAdd fills every field, so that none is forgotten in add.
func TestStatsAdd(t *testing.T) {
	var s, sum Stats
	fillStats(reflect.ValueOf(&s).Elem(), new(uint64))
	sum.add(s)
	if sum != s {
		t.Errorf("0 + %+v = %+v", s, sum)
	}
	sum.add(s)
	if sum.TxBytes != 2*s.TxBytes || sum.SpaceWaits != 2*s.SpaceWaits {
		t.Errorf("%+v twice is %+v", s, sum)
	}
}

func fillStats(v reflect.Value, n *uint64) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			fillStats(f, n)
		} else {
			*n++
			f.SetUint(*n)
		}
	}
}

func TestDeadlineZeroAndNil(t *testing.T) {
	var none *deadline
	if passed, changed := none.state(); passed || changed != nil || none.over() {
		t.Error("a nil deadline passes")
	}
	var d deadline
	if passed, _ := d.state(); passed || d.over() {
		t.Error("the zero deadline passes")
	}
}

func TestDeadlineChange(t *testing.T) {
	var d deadline
	kicked := make(chan struct{}, 10)
	kick := func() { kicked <- struct{}{} }
	_, changed := d.state()
	d.set(time.Now().Add(time.Hour), kick)
	<-changed
	<-kicked
	_, changed = d.state()
	d.set(time.Now().Add(time.Millisecond), kick)
	late := d.timer == nil // it had passed when set looked at the clock
	<-changed
	<-kicked
	passed, changed := d.state()
	if !passed {
		<-changed
	}
	if !late {
		<-kicked
	}
	if !d.over() {
		t.Error("not over after its end")
	}
	d.expire(1, func() { t.Error("an old timer counts") })
	d.set(time.Time{}, kick)
	if d.over() {
		t.Error("over after it was taken back")
	}
}
