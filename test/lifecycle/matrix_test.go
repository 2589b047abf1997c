// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// What else than the party holds its files.
const (
	nobody  = iota
	another // a process that was handed the files over a socket, here this one
	copied  // a copy of the party, which has its mappings too
)

// A match is a device and the party that has it, between two actions. What there has to be
// after each is known from what was done.
type match struct {
	queues int
	holder int

	party   *device.Child  // nil after it was killed
	sockets [2]int         // by which it hands files over
	space   netns.NsHandle // where the device is: 0 in the test's own namespace, -1 in one that ended
	file    []bool         // of each queue the party has: the descriptor
	maps    []bool         // and the mappings
	threads map[int]string // of the queues, when all were there
	shared  bool           // somebody else holds all queues
	held    []int          // their descriptors
	copy    int            // the copy's process

	exists, up, events bool
}

// What becomes of queues by an action.
const (
	letGo  = iota // the party lets go of some: to that it matters who else holds them
	ended         // they end, whoever holds them
	remain        // they stay, as many as there are
)

// What can happen.
var actions = []struct {
	name   string
	queues int
	do     func(*match, *testing.T)
}{
	{"close", letGo, (*match).close},
	{"unmap", letGo, (*match).unmap},
	{"detach", letGo, (*match).detach},
	{"kill", letGo, (*match).kill},
	{"delete", ended, (*match).delete},
	{"namespace", ended, (*match).endNamespace},
	{"events", remain, (*match).takeEvents},
	{"down", remain, (*match).down},
	{"unload", remain, (*match).unload},
}

// TestEveryPairOfEnds: two things end, in either order, while frames go both ways.
func TestEveryPairOfEnds(t *testing.T) { playAll(t, 1, nobody, remain) }

// TestEveryPairOfEndsOfFourQueues: those to which it matters how many there are, as four
// queues take four times as long to come and go.
func TestEveryPairOfEndsOfFourQueues(t *testing.T) { playAll(t, 4, nobody, ended) }

// TestEveryPairOfEndsOfHandedFiles: of what the party lets go, another process has the
// files, and the device stays.
func TestEveryPairOfEndsOfHandedFiles(t *testing.T) { playAll(t, 1, another, letGo) }

// TestEveryPairOfEndsOfACopiedProcess: the same with fork, and with the mappings.
func TestEveryPairOfEndsOfACopiedProcess(t *testing.T) { playAll(t, 4, copied, letGo) }

// playAll lets any two actions happen, up to a kind.
func playAll(t *testing.T, queues, holder, most int) {
	needLoadable(t)
	device.Sandbox(t)
	forward(t)
	flood(t)
	m := &match{queues: queues, holder: holder, sockets: device.SocketPair(t)}
	current := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it was in: %s", current)
		}
	})
	var before holdings
	for i, first := range actions {
		for j, second := range actions {
			if max(first.queues, second.queues) > most {
				continue
			}
			current = first.name + ", then " + second.name
			m.begin(t, first.name == "namespace" || second.name == "namespace")
			first.do(m, t)
			m.check(t)
			second.do(m, t)
			m.check(t)
			m.end(t)
			if i == 0 && j == 0 {
				m.kill(t) // it counts as a file or two
				before = takeHoldings(t)
			}
		}
	}
	m.kill(t)
	before.compare(t)
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

// begin makes the device, and waits until frames go both ways. A party that was killed is
// replaced.
func (m *match) begin(t *testing.T, elsewhere bool) {
	t.Helper()
	if m.party == nil {
		m.party = device.StartChild(t, "party", 0, m.sockets[1])
	}
	m.tell(t, fmt.Sprintf("open %d", m.queues))
	if m.threads = device.KthreadsByID(partyDevice); len(m.threads) != m.queues {
		t.Fatalf("threads %v of %d queues", m.threads, m.queues)
	}
	m.file, m.maps = yes(m.queues), yes(m.queues)
	m.exists, m.up, m.events, m.shared = true, true, true, false
	m.share(t)
	if elsewhere {
		m.space = device.MakeNamespace(t)
		device.Move(t, partyDevice, m.space)
	}
	m.inside(t, func() {
		if elsewhere {
			forward(t)
		}
		device.Up(t, partyDevice)
		device.AddAddress(t, partyDevice, "10.99.0.1/24")
	})
	m.tell(t, "traffic")
}

func yes(n int) []bool { return slices.Repeat([]bool{true}, n) }

// tell gives the party a command, which it can do.
func (m *match) tell(t *testing.T, command string) {
	t.Helper()
	if got := m.ask(t, command); got != "ok" {
		t.Fatalf("%s: the party said %q", command, got)
	}
}

func (m *match) ask(t *testing.T, command string) string {
	t.Helper()
	m.party.Tell(t, command)
	return m.party.Line(t)
}

// share lets somebody else hold what the party holds.
func (m *match) share(t *testing.T) {
	t.Helper()
	m.shared = m.holder != nobody
	switch m.holder {
	case another:
		m.tell(t, "hand")
		for range m.queues {
			fd, err := device.ReceiveFD(m.sockets[0])
			if err != nil {
				t.Fatal(err)
			}
			m.held = append(m.held, fd)
		}
	case copied:
		pid, err := strconv.Atoi(m.ask(t, "fork"))
		if err != nil {
			t.Fatalf("fork: %v", err)
		}
		m.copy = pid
		t.Cleanup(func() { m.unshare(t) })
	}
}

// unshare ends that: afterwards nobody else holds anything.
func (m *match) unshare(t *testing.T) {
	t.Helper()
	m.shared = false
	for _, fd := range m.held {
		unix.Close(fd)
	}
	m.held = nil
	if m.copy != 0 {
		if err := device.KillAndWait(m.copy); err != nil {
			t.Error(err)
		}
		m.copy = 0
	}
}

func (m *match) inside(t *testing.T, f func()) {
	t.Helper()
	if m.space == 0 {
		f()
		return
	}
	device.Inside(t, m.space, f)
}

// live is how many queues anybody holds.
func (m *match) live() (n int) {
	if m.shared {
		return m.queues
	}
	for i := range m.file {
		if m.file[i] || m.maps[i] {
			n++
		}
	}
	return n
}

// flows tells whether frames have to go both ways still. Without its doorbell they may.
func (m *match) flows() bool {
	return m.exists && m.up && m.events && slices.Contains(m.maps, true)
}

// alive is how many of the threads have not ended.
func (m *match) alive() (n int) {
	for pid, name := range m.threads {
		if device.CommandName(pid) == name {
			n++
		}
	}
	return n
}

// check waits for what has to be there.
func (m *match) check(t *testing.T) {
	t.Helper()
	want := m.live()
	if want == 0 {
		m.exists = false
	}
	if !m.exists {
		want = 0
	}
	device.WaitFor(t, fmt.Sprintf("%d threads", want), func() bool { return m.alive() == want })
	if !m.exists && m.space >= 0 {
		m.inside(t, func() {
			device.WaitFor(t, "the device to go", func() bool { return !device.LinkExists(partyDevice) })
		})
	}
	if m.flows() {
		m.tell(t, "traffic")
	}
}

// end lets everybody go: nothing is left.
func (m *match) end(t *testing.T) {
	t.Helper()
	if m.party != nil {
		m.tell(t, "end")
	}
	m.file, m.maps = nil, nil
	m.unshare(t)
	m.check(t)
	if m.space > 0 {
		m.space.Close()
	}
	m.space = 0
}

func (m *match) close(t *testing.T) {
	m.toldTo(t, "close")
	clear(m.file)
}

func (m *match) unmap(t *testing.T) {
	m.toldTo(t, "unmap")
	clear(m.maps)
}

// detach ends one queue, by which the others go on.
func (m *match) detach(t *testing.T) {
	m.toldTo(t, "detach")
	if left := len(m.file) - 1; left >= 0 {
		m.file, m.maps = m.file[:left], m.maps[:left]
	}
}

// toldTo is tell, if there is anybody.
func (m *match) toldTo(t *testing.T, what string) {
	t.Helper()
	if m.party != nil {
		m.tell(t, what)
	}
}

func (m *match) takeEvents(t *testing.T) {
	if m.party == nil {
		return
	}
	want := "<nil>"
	if !m.exists {
		want = unix.EBADFD.Error()
	}
	var all []string
	for i := range m.file {
		if m.file[i] {
			all = append(all, want)
			m.events = false
		}
	}
	if got := m.ask(t, "events"); got != strings.Join(all, ",") {
		t.Errorf("taking the eventfds away: %q, want %q", got, all)
	}
}

func (m *match) kill(t *testing.T) {
	if m.party == nil {
		return
	}
	if err := m.party.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.party.Wait()
	m.party.In.Close()
	m.party, m.file, m.maps = nil, nil, nil
}

func (m *match) delete(t *testing.T) {
	if !m.exists {
		return
	}
	m.inside(t, func() {
		device.Within(t, prompt, "deleting the device", func() { device.Delete(t, partyDevice) })
	})
	m.exists = false
}

func (m *match) down(t *testing.T) {
	if !m.exists {
		return
	}
	m.inside(t, func() { device.Down(t, partyDevice) })
	m.up = false
}

// endNamespace ends the namespace that the device is in; begin has put it there.
func (m *match) endNamespace(*testing.T) {
	if m.space > 0 {
		m.space.Close()
	}
	m.space, m.exists = -1, false
}

// unload: the module stays as long as anybody holds a queue, whether it has a device or not.
func (m *match) unload(t *testing.T) {
	if m.live() > 0 {
		checkInUse(t, "a queue that somebody holds")
		return
	}
	device.WaitFor(t, "the module to be unused", func() bool { return unload() == nil })
	load(t)
	waitForNode(t)
}
