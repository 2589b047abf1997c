// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// The users of the outer namespace, and of the inner one as the outer one numbers them.
const (
	outerRoot, outerUsers = 100000, 65536
	innerRoot, innerUsers = 1000, 1000
)

// outer is root of a user namespace and of its network. It starts the party in namespaces
// inside of these, of users, of the network and of processes; then it is only there.
func outer(t testing.TB) {
	inside := device.AsRootInside(innerRoot, innerUsers, syscall.CLONE_NEWNET|syscall.CLONE_NEWPID)
	party := device.Deputise(t, "party", inside, device.ChildFile)
	fmt.Println(party.Process.Pid)
	party.Wait()
}

// What can happen to a device in nested namespaces.
var nesting = []action{
	{"kill", (*match).kill},
	{"delete", (*match).delete},
	{"move out", (*match).moveOut},
	{"end outer", (*match).endOuter},
}

// TestEveryOrderInNestedNamespaces: what is made in the inner ones is deleted and moved from
// outside. The party is the init of its processes, so that its copy ends with it.
func TestEveryOrderInNestedNamespaces(t *testing.T) {
	playAll(t, &match{queues: 1, nested: true, holders: []int{nobody, another, copied, duplicated}}, nesting)
}

// startNested starts the party inside of another process's namespaces.
func (m *match) startNested(t *testing.T) {
	t.Helper()
	attr := device.AsRootInside(outerRoot, outerUsers, syscall.CLONE_NEWNET)
	m.party = device.StartChildAs(t, "outer", attr, m.sockets[1])
	pid, err := strconv.Atoi(m.party.Line(t))
	if err != nil {
		t.Fatalf("the outer process said %v", err)
	}
	m.pid, m.outer, m.out = pid, true, false
	outer := device.NamespaceOf(t, m.party.Process.Pid)
	defer outer.Close()
	m.space = device.NamespaceOf(t, m.pid)
	device.Number(t, outer)
	device.Number(t, m.space)
	m.inside(t, func() { forward(t) })
}

// moveOut moves the device to the outer network namespace, where it goes on.
func (m *match) moveOut(t *testing.T) {
	if !m.exists || !m.outer || m.out {
		return
	}
	outer := device.NamespaceOf(t, m.party.Process.Pid)
	m.inside(t, func() { device.Move(t, partyDevice, outer) })
	m.space.Close()
	m.space, m.out = outer, true
	m.inside(t, func() { forward(t) })
	m.connect(t)
}

// endOuter ends the one process of the outer namespaces. The inner ones go on, as does the
// device if it is there.
func (m *match) endOuter(t *testing.T) {
	if !m.outer {
		return
	}
	m.party.Process.Kill()
	m.party.Process.Wait()
	m.loseOuter(t)
}

// loseOuter: nobody is in the outer namespaces any more.
func (m *match) loseOuter(t *testing.T) {
	m.outer = false
	if m.out {
		m.endNamespace(t)
	}
}
