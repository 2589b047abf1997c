// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"bufio"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// The users of a user namespace: its 0 is insideRoot outside, and so on for as
// many as insideUsers; others it does not know.
const (
	insideRoot  = 100000
	insideUsers = 65536
)

func inNamespaces(more uintptr) *syscall.SysProcAttr {
	return device.AsRootInside(insideRoot, insideUsers, more)
}

// The descriptors that these processes are handed.
const (
	looseFile = device.ChildFile + iota // opened outside, not attached
	queueFile                           // attached outside
	socket                              // for a file that goes the other way
)

// play starts a process and collects its answers, up to a line "over".
func play(t *testing.T, a *answers, child *device.Child, d driver) {
	t.Helper()
	child.Tell(t, d.name)
	child.Tell(t, d.node)
	for line := child.Line(t); line != "over"; line = child.Line(t) {
		*a = append(*a, line)
	}
}

// played is the other side of play.
func played() (d driver, in *bufio.Scanner) {
	in = bufio.NewScanner(os.Stdin)
	in.Scan()
	d.name = in.Text()
	in.Scan()
	d.node = in.Text()
	return d, in
}

func (a *answers) tell() {
	for _, line := range *a {
		fmt.Println(line)
	}
	fmt.Println("over")
	*a = nil
}

// TestRootOfAUserNamespace: with a network namespace that belongs to it, and
// files and devices that come from outside.
func TestRootOfAUserNamespace(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		pair := device.SocketPair(t)
		queue := belong(t, d, "outside", shared, bob, unset)
		child := device.StartChildAs(t, "inner", inNamespaces(syscall.CLONE_NEWNET), d.open(t).FD, queue.FD, pair[1])
		play(t, a, child, d)
		inside := device.NamespaceOf(t, child.Process.Pid)
		defer inside.Close()
		device.Move(t, "outside", inside)
		child.Tell(t, "moved")
		play(t, a, child, d)
		checkFileFromInside(t, a, pair[0])
		child.In.Close()
		child.Wait()
	})
}

// checkFileFromInside: it makes devices where it was opened, for those who may.
func checkFileFromInside(t *testing.T, a *answers, socket int) {
	t.Helper()
	fd, err := device.ReceiveFD(socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &device.File{FD: fd}
	defer f.Close()
	for _, u := range []device.User{{UID: bob, GID: bob}, {UID: insideRoot, GID: insideRoot}, {UID: bob, GID: bob, NetAdmin: true}, {}} {
		u.Do(t, func() {
			_, err := f.TryAttach("fromout%d", device.TUN)
			a.add(fmt.Sprintf("%+v outside, with a file from inside", u), err)
		})
	}
	if device.LinkExists("fromout0") {
		t.Error("the file that was opened inside has made a device outside")
	}
}

// inner is root of a user namespace and of its network.
func inner(t testing.TB) {
	d, in := played()
	var a answers
	first := a.attach(t, d, "inner root creates", "in0", shared)
	a.attach(t, d, "inner root joins", "in0", shared)
	a.attach(t, d, "inner root creates a TAP device", "in1", device.TAP).Close()
	configure(&a, first, "inner root")
	for _, id := range []uint32{insideUsers - 1, insideUsers, insideRoot} {
		a.set(first, "inner root: TUNSETOWNER", unix.TUNSETOWNER, id)
		a.set(first, "inner root: TUNSETGROUP", unix.TUNSETGROUP, id)
	}
	_, err := (&device.File{FD: looseFile}).TryAttach("in2", device.TUN)
	a.add("inner root creates with a file from outside", err)
	_, err = (&device.File{FD: looseFile}).TryAttach("outside", shared)
	a.add("inner root joins outside with a file from outside", err)
	configure(&a, &device.File{FD: queueFile}, "inner root with a queue from outside")
	// who belongs outside is nobody here
	a.set(&device.File{FD: queueFile}, "inner root gives the device away", unix.TUNSETOWNER, bob)
	a.tell()
	for range 3 { // "moved", and what play begins with
		in.Scan()
	}
	a.attach(t, d, "inner root joins a device that was moved in", "outside", shared)
	f := d.open(t)
	if err := device.SendFD(socket, f.FD); err != nil {
		t.Fatal(err)
	}
	a.tell()
	in.Scan()
}

// TestRootOfAUserNamespaceAlone: it has capabilities, but none over the network
// that it shares with all others.
func TestRootOfAUserNamespaceAlone(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		for i, owner := range []int{insideRoot, 0, bob} {
			for j, group := range []int{unset, insideRoot, 0} {
				belong(t, d, fmt.Sprintf("out%d%d", i, j), device.TUN|device.Multi, owner, group)
			}
		}
		play(t, a, device.StartChildAs(t, "guest", inNamespaces(0), d.open(t).FD), d)
	})
}

func guest(t testing.TB) {
	d, _ := played()
	var a answers
	a.attach(t, d, "guest creates", "guest", device.TUN)
	_, err := (&device.File{FD: looseFile}).TryAttach("guest", device.TUN)
	a.add("guest creates with a file of root's", err)
	for i := range 3 {
		for j := range 3 {
			name := fmt.Sprintf("out%d%d", i, j)
			a.attach(t, d, "guest joins "+name, name, device.TUN|device.Multi)
		}
	}
	a.tell()
}
