// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/mytun/mytun/bench/peer"
)

// An echoDevice has packets come, and remembers which goroutine sends what.
type echoDevice struct {
	peer.Device
	packets int   // to come; then it waits for the end
	fail    error // of each Send
	sent    [][]byte
	sender  []byte // the stack of who sends
}

func (d *echoDevice) Receive(ctx context.Context, _ int, visit peer.Visitor) error {
	lent := make([]byte, 100)
	for i := range d.packets {
		clear(lent)
		lent[0] = byte(i)
		visit(lent)
		clear(lent) // it was lent
	}
	<-ctx.Done()
	return nil
}

func (d *echoDevice) Send(_ int, packet []byte, count int) error {
	d.sender = make([]byte, 1<<12)
	d.sender = d.sender[:runtime.Stack(d.sender, false)]
	d.sent = append(d.sent, bytes.Clone(packet))
	return d.fail
}

// TestHandOff: each packet is answered once, in order, from another goroutine.
func TestHandOff(t *testing.T) {
	const packets = 10 * handedOff
	ctx, cancel := context.WithCancel(t.Context())
	d := &echoDevice{packets: packets}
	seen := 0
	err := handOff(ctx, d, func(p []byte) bool {
		seen++
		if seen == packets {
			cancel()
		}
		return p[0]%2 == 0
	})
	if err != nil || seen != packets || len(d.sent) != packets/2 {
		t.Fatalf("%v: %d seen, %d sent", err, seen, len(d.sent))
	}
	for i, p := range d.sent {
		if int(p[0]) != 2*i || len(p) != 100 {
			t.Errorf("packet %d: %d bytes, number %d", i, len(p), p[0])
		}
	}
	if bytes.Contains(d.sender, []byte("echoDevice).Receive")) {
		t.Errorf("the receiver sent:\n%s", d.sender)
	}
}

// TestHandOffFails: a failure ends both goroutines, however many packets there are.
func TestHandOffFails(t *testing.T) {
	d := &echoDevice{packets: 10 * handedOff, fail: errors.New("cable")}
	if err := handOff(t.Context(), d, func([]byte) bool { return true }); !errors.Is(err, d.fail) || len(d.sent) != 1 {
		t.Errorf("%v after %d, want the failure of the first", err, len(d.sent))
	}
}

// TestHandOffProcessors: the rows are what their names say, and leave Go as it was.
func TestHandOffProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for i, name := range []string{"hand-off-1p", "hand-off-2p"} {
		w, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		unable := peer.Peer{Open: func(c peer.Config) (peer.Device, error) {
			if got := runtime.GOMAXPROCS(0); got != i+1 || !c.Poller {
				t.Errorf("%s: %d Ps, %+v", name, got, c)
			}
			return nil, peer.ErrUnable
		}}
		if _, err := w.Run(&Env{}, unable, 0, 0); !errors.Is(err, peer.ErrUnable) {
			t.Errorf("%s: %v", name, err)
		}
		if got := runtime.GOMAXPROCS(0); got != before {
			t.Errorf("%s leaves %d Ps, of %d", name, got, before)
		}
	}
	if !slices.ContainsFunc(All(), func(w Workload) bool { return w.Name == "hand-off-2p" }) {
		t.Error("it is not among all")
	}
}
