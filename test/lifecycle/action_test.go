// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
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
	waitForNode(t)
}
