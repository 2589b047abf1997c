// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/bench/native"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// testPlan has a clock of a million ticks a millisecond, whatever the machine's has.
var testPlan = &native.Plan{KHz: 1e6, CPUs: 2, Windows: 3, Window: time.Millisecond}

func TestMeter(t *testing.T) {
	var packets uint64
	m := newMeter(testPlan, func(w *native.Window) error {
		w.Packets, w.Process = packets, float64(packets)/2
		return nil
	})
	for m.on() {
		packets++
	}
	if m.err != nil || len(m.windows) != testPlan.Windows || m.readings != testPlan.Windows+2 {
		t.Fatalf("%d windows of %d readings, %v; want %d and two more", len(m.windows), m.readings, m.err, testPlan.Windows)
	}
	for i, w := range m.windows {
		if w.To-w.From < m.length || w.Packets == 0 || w.Process != float64(w.Packets)/2 {
			t.Errorf("window %+v, to be %d long", w, m.length)
		}
		if i > 0 && w.From != m.windows[i-1].To {
			t.Errorf("window %+v does not begin where %+v ends", w, m.windows[i-1])
		}
	}
}

// A reading that fails ends the turn.
func TestMeterFails(t *testing.T) {
	failure := errors.New("no reading")
	m := newMeter(testPlan, func(*native.Window) error { return failure })
	if m.on() || m.err != failure {
		t.Errorf("it goes on; the error is %v", m.err)
	}
}

func TestTurns(t *testing.T) {
	r := &run{plan: &native.Plan{Modules: []native.Module{{Peer: "A"}, {Peer: "B"}}, Peers: true}}
	c := native.Case{Kind: native.Rx, Size: 64}
	for round, want := range []string{"A B tun vhost-net", "vhost-net tun B A", "A B tun vhost-net"} {
		var got []string
		for _, m := range r.turns(c, round) {
			got = append(got, m.Peer)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("round %d: %v, want %s", round, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	c, err := newClock([]int{os.Getpid(), unix.Gettid()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if ns, err := c.ns(); err != nil || ns <= 0 {
		t.Errorf("this process has had %v ns, %v", ns, err)
	}
	if _, err := newClock([]int{1 << 30}); err == nil {
		t.Error("a thread that is not there has a clock")
	}
	if ns, err := processNS(); err != nil || ns <= 0 {
		t.Errorf("this process has had %v ns, %v", ns, err)
	}
}

func TestFirstNumber(t *testing.T) {
	if n, err := firstNumber("123456 7 8\n"); n != 123456 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	for _, bad := range []string{"", "x 1"} {
		if _, err := firstNumber(bad); err == nil {
			t.Errorf("%q begins with a number", bad)
		}
	}
}

func TestCounter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counter")
	if err := os.WriteFile(file, []byte("18446744073709551615\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := openCounter(file)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for range 2 { // from the beginning each time
		if n, err := c.read(); err != nil || n != 1<<64-1 {
			t.Errorf("%d, %v", n, err)
		}
	}
	if err := os.WriteFile(file, []byte("many\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.read(); err == nil {
		t.Error("a word is taken for a number")
	}
	if _, err := openCounter(file + "s"); err == nil || !strings.Contains(err.Error(), file+"s") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestThreads(t *testing.T) {
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := threads(strings.TrimSpace(string(name)))
	if err != nil || !slices.Contains(ids, os.Getpid()) {
		t.Errorf("threads %v, %v: %d is not among them", ids, err, os.Getpid())
	}
	if ids, err := threads("no thread has this name"); err != nil || len(ids) != 0 {
		t.Errorf("threads %v, %v", ids, err)
	}
}

func TestDatagram(t *testing.T) {
	for _, size := range []int{64, 1400} {
		packet := header.IPv4(datagram(size, false))
		if len(packet) != size || !packet.IsValid(size) || !packet.IsChecksumValid() {
			t.Errorf("%d bytes: no valid IPv4: % x", size, packet[:header.IPv4MinimumSize])
		}
		udp := header.UDP(packet.Payload())
		if udp.DestinationPort() != port || udp.Checksum() != 0 || int(udp.Length()) != size-header.IPv4MinimumSize {
			t.Errorf("%d bytes: UDP % x", size, udp[:header.UDPMinimumSize])
		}
		if want := tcpip.AddrFrom4Slice(net.ParseIP(nearAddr).To4()); packet.DestinationAddress() != want {
			t.Errorf("%d bytes: to %v, want %v", size, packet.DestinationAddress(), want)
		}
	}
	super := header.IPv4(datagram(native.SuperHeaders+native.SuperSegments*native.SuperSegment, true))
	if header.UDP(super.Payload()).Checksum() == 0 {
		t.Error("a super-packet has no sum of its pseudo-header")
	}
}

func TestHelpRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"none"}, {pktgenHelper, "twice"}} {
		if err := Help(args); err == nil {
			t.Errorf("there is a helper %q", args)
		}
	}
}

// The first queue's packets are looked at; what others send to the interface is not counted.
func TestVisit(t *testing.T) {
	x := &turn{plan: testPlan, c: native.Case{Kind: native.Rx, Size: 64}}
	x.meter = newMeter(testPlan, x.read)
	if !x.visit(make([]byte, 42)) || x.packets != 0 {
		t.Errorf("a packet of another length counts: %d", x.packets)
	}
	visited := uint64(0)
	for x.visit(make([]byte, 64)) {
		visited++
	}
	if visited+1 != x.packets || len(x.meter.windows) != testPlan.Windows {
		t.Errorf("%d packets of %d counted, %d windows", x.packets, visited+1, len(x.meter.windows))
	}
	x.visitSecond(nil)
	var w native.Window
	if err := x.read(&w); err != nil || w.Packets != x.packets+1 {
		t.Errorf("both queues have %d packets, %v, want %d", w.Packets, err, x.packets+1)
	}
}

func TestProcessCPU(t *testing.T) {
	for cpus, want := range map[int]int{1: 0, 2: 1} {
		if got := (&turn{plan: &native.Plan{CPUs: cpus}}).processCPU(); got != want {
			t.Errorf("of %d CPUs the process has number %d, want %d", cpus, got, want)
		}
	}
}
