// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

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
	m.askEach(t, "events", m.file, func(int) error {
		if !m.exists {
			return unix.EBADFD
		}
		m.events = false
		return nil
	})
}

// park keeps frames from the first queues: those go to the others.
func (m *match) park(t *testing.T) { m.setQueue(t, "park", true) }

func (m *match) unpark(t *testing.T) { m.setQueue(t, "unpark", false) }

func (m *match) setQueue(t *testing.T, command string, parked bool) {
	t.Helper()
	m.askEach(t, command, m.file[:min(parkable, len(m.file))], func(i int) error {
		if !m.exists || m.parked[i] == parked {
			return unix.EINVAL
		}
		m.parked[i] = parked
		return nil
	})
}

// askEach has the party do something with each queue of some that has a file, if there is a
// party, and compares what came of it.
func (m *match) askEach(t *testing.T, command string, files []bool, want func(queue int) error) {
	t.Helper()
	if m.party == nil {
		return
	}
	var all []string
	for i, file := range files {
		if file {
			all = append(all, fmt.Sprint(want(i)))
		}
	}
	if got := m.ask(t, command); got != strings.Join(all, ",") {
		t.Errorf("%s: %q, want %q", command, got, all)
	}
}

// kill kills the party. Nested, it is the init of all that are in its namespace, and who
// started it ends with it.
func (m *match) kill(t *testing.T) {
	if m.party == nil {
		return
	}
	if err := device.KillAndWait(m.pid); err != nil {
		t.Fatal(err)
	}
	m.party.Wait()
	m.party.In.Close()
	m.party, m.file, m.maps = nil, nil, nil
	if m.holder == duplicated || m.holder == copied && m.nested {
		m.shared = false
	}
	if m.nested {
		m.loseOuter(t)
	}
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

// endNamespace ends the namespace that the device is in; begin has put it there. That takes
// a while, which nobody is told of but who has the device.
func (m *match) endNamespace(t *testing.T) {
	if m.space > 0 {
		m.space.Close()
	}
	m.space, m.exists = -1, false
	m.toldTo(t, "lose")
}

// unload: the module stays as long as anybody holds a queue, whether it has a device or not.
func (m *match) unload(t *testing.T) {
	if m.live() > 0 {
		checkInUse(t, "a queue that somebody holds")
		return
	}
	device.WaitFor(t, "the module to be unused", func() bool { return unload() == nil })
	load(t)
}
