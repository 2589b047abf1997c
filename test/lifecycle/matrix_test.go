// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// An action is something that can happen to a match.
type action struct {
	name string
	do   func(*match, *testing.T)
}

// What can happen, by what becomes of queues.
var (
	// the party lets go of some: to that it matters who else holds them
	letGo = []action{
		{"close", (*match).close},
		{"unmap", (*match).unmap},
		{"detach", (*match).detach},
		{"kill", (*match).kill},
	}
	// they end, whoever holds them
	ended = []action{
		{"delete", (*match).delete},
		{"namespace", (*match).endNamespace},
	}
	// they get no frames for a while, and the others all
	parking = []action{
		{"park", (*match).park},
		{"unpark", (*match).unpark},
	}
	// they stay, as many as there are
	remain = []action{
		{"events", (*match).takeEvents},
		{"down", (*match).down},
		{"unload", (*match).unload},
	}
)

// TestEveryOrder: three things happen, in any order, while frames go both ways.
func TestEveryOrder(t *testing.T) {
	playAll(t, &match{queues: 1, holders: []int{nobody}}, letGo, ended, remain)
}

// TestEveryOrderOfFourQueues: those to which it matters how many there are, as four queues
// take longer to come and go.
func TestEveryOrderOfFourQueues(t *testing.T) {
	playAll(t, &match{queues: 4, holders: []int{nobody}}, letGo, ended, parking)
}

// TestEveryOrderOfHandedFiles: of what the party lets go, another process has the files, and
// the device stays.
func TestEveryOrderOfHandedFiles(t *testing.T) {
	playAll(t, &match{queues: 1, holders: []int{another}}, letGo)
}

// TestEveryOrderOfDuplicates: what the party lets go it still has by other descriptors.
func TestEveryOrderOfDuplicates(t *testing.T) {
	playAll(t, &match{queues: 1, holders: []int{duplicated}}, letGo)
}

// TestEveryOrderOfACopiedProcess: the same with fork, and with the mappings.
func TestEveryOrderOfACopiedProcess(t *testing.T) {
	playAll(t, &match{queues: 4, holders: []int{copied}}, letGo)
}

// playAll plays matches of three actions. Any two are the first and the second, the second
// and the third, and the first and the third of a match: for that, as many matches as there
// are pairs are enough. With MYTUN_ORDERS=all there is a match of any three.
func playAll(t *testing.T, m *match, kinds ...[]action) {
	needLoadable(t)
	device.Sandbox(t)
	forward(t)
	flood(t)
	m.prepare(t)
	actions := slices.Concat(kinds...)
	for shift := range shifts(t, len(actions)) {
		for i, first := range actions {
			for j, second := range actions {
				m.holder = m.holders[(i+len(actions)-j)%len(m.holders)]
				m.play(t, first, second, actions[(i+j+shift)%len(actions)])
			}
		}
	}
	m.kill(t)
	m.before.compare(t)
}

// shifts is how many of the n thirds there are for a first and a second action.
func shifts(t *testing.T, n int) int {
	t.Helper()
	switch text := os.Getenv("MYTUN_ORDERS"); text {
	case "":
		return 1
	case "all":
		return n
	default:
		t.Fatalf("MYTUN_ORDERS=%q: it can be \"all\"", text)
		return 0
	}
}

// forward makes the stack turn frames to strangers behind the device round.
func forward(t *testing.T) {
	t.Helper()
	device.Sysctl(t, "net/ipv4/ip_forward", "1")
	device.Sysctl(t, "net/ipv4/conf/all/send_redirects", "0")
	device.Sysctl(t, "net/ipv4/conf/default/send_redirects", "0")
}

// flood sends to the process's side from here, whether the device is there or not, until
// the end of the test. It leaves some time to others.
func flood(t *testing.T) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for payload := device.Pattern(3, 900); !stop.Load(); time.Sleep(time.Millisecond) {
			for port := range uint16(8) {
				conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(netip.MustParseAddr("10.99.0.2"), 6000+port))
			}
		}
	}()
	t.Cleanup(func() {
		stop.Store(true)
		<-done
		conn.Close()
	})
}
