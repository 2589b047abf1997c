// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// What else than the party holds its files.
const (
	nobody     = iota
	another    // a process that was handed the files over a socket, here this one
	copied     // a copy of the party, which has its mappings too
	duplicated // the party itself, by other descriptors
)

// A match is a device and the party that has it, between two actions. What there has to be
// after each is known from what was done.
type match struct {
	queues  int
	holders []int // the kinds, each in some of the matches
	nested  bool  // the party is in namespaces inside of others

	before *holdings // after the first match, without a party
	order  []string  // the actions of this one
	holder int       // in this one

	party   *device.Child  // nil after it was killed; or the process around it
	pid     int            // the party's
	sockets [2]int         // by which it hands files over
	space   netns.NsHandle // where the device is: 0 in the test's own namespace, -1 in one that ended
	file    []bool         // of each queue the party has: the descriptor
	maps    []bool         // and the mappings
	parked  [parkable]bool // of the first queues: whether they get no frames
	threads map[int]string // of the queues, when all were there
	shared  bool           // somebody else holds all queues
	held    []int          // their descriptors
	copy    int            // the copy's process

	exists, up, events bool
	outer, out         bool // nested: that process is there; the device is in its namespace
}

// prepare is called once, before all matches.
func (m *match) prepare(t *testing.T) {
	t.Helper()
	m.sockets = device.SocketPair(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it was in: %s", strings.Join(m.order, ", then "))
		}
	})
}

// play lets actions happen, one after the other, and looks at what is there after each.
func (m *match) play(t *testing.T, actions ...action) {
	t.Helper()
	m.order = nil
	for _, a := range actions {
		m.order = append(m.order, a.name)
	}
	m.begin(t)
	for _, a := range actions {
		a.do(m, t)
		m.check(t)
	}
	m.end(t)
	if t.Failed() {
		t.FailNow() // while it is known in which
	}
	if m.before == nil {
		m.kill(t) // it counts as a file or two
		device.WaitFor(t, "the namespaces to end", func() bool { return device.CountNumbered(t) == 0 })
		held := takeHoldings(t)
		m.before = &held
	}
}

// begin makes the device, and waits until frames go both ways. A party that was killed is
// replaced.
func (m *match) begin(t *testing.T) {
	t.Helper()
	m.start(t)
	m.tell(t, fmt.Sprintf("open %d", m.queues))
	if m.threads = newThreads(m.queues); len(m.threads) != m.queues {
		t.Fatalf("threads %v of %d queues", m.threads, m.queues)
	}
	m.file, m.maps = yes(m.queues), yes(m.queues)
	m.exists, m.up, m.events, m.shared, m.parked = true, true, true, false, [parkable]bool{}
	m.share(t)
	if slices.Contains(m.order, "namespace") {
		m.space = device.MakeNamespace(t)
		device.Move(t, partyDevice, m.space)
		m.inside(t, func() { forward(t) })
	}
	m.connect(t)
	m.tell(t, "traffic")
	// what is taken back first was parked before
	if i := slices.IndexFunc(m.order, isParking); i >= 0 && m.order[i] == "unpark" {
		m.park(t)
		m.check(t)
	}
}

// start starts a party, if there is none.
func (m *match) start(t *testing.T) {
	t.Helper()
	switch {
	case m.party != nil:
	case m.nested:
		m.startNested(t)
	default:
		m.party = device.StartChild(t, "party", 0, m.sockets[1])
		m.pid = m.party.Process.Pid
	}
}

func isParking(action string) bool { return action == "park" || action == "unpark" }

// connect makes the device one that frames can go through. Without a queueing discipline for
// each of the many queues that it could have, a match takes half the time; and senders are
// not kept apart before the device.
func (m *match) connect(t *testing.T) {
	t.Helper()
	m.inside(t, func() {
		if m.queues > 1 {
			device.SetNoQueue(t, partyDevice)
		}
		device.Up(t, partyDevice)
		device.AddAddress(t, partyDevice, "10.99.0.1/24")
	})
}

// newThreads are the threads of queues that were just made: the last processes of all.
func newThreads(n int) map[int]string {
	found := map[int]string{}
	pids := device.Processes()
	slices.Sort(pids)
	for _, pid := range slices.Backward(pids) {
		if name := device.CommandName(pid); strings.HasPrefix(name, "mytun/"+partyDevice+"/") {
			found[pid] = name
		}
		if len(found) == n {
			break
		}
	}
	return found
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
		if m.nested {
			return // what the party calls pid is another process here
		}
		m.copy = pid
		t.Cleanup(func() { m.unshare(t) })
	case duplicated:
		m.tell(t, "duplicate")
	}
}

// unshare ends that: afterwards nobody else holds anything.
func (m *match) unshare(t *testing.T) {
	t.Helper()
	m.shared = false
	if m.holder == duplicated {
		m.toldTo(t, "close duplicates")
	}
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
	if m.nested {
		m.kill(t)
	}
	m.toldTo(t, "end")
	m.file, m.maps = nil, nil
	m.unshare(t)
	m.check(t)
	if m.space > 0 {
		m.space.Close()
	}
	m.space = 0
}
