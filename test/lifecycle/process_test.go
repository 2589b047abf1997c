// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"os"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

var children = map[string]func(testing.TB){
	"carrier": carrier,
	"holder":  holder,
	"creator": creator,
	"party":   runParty,

	"keeper":         func(t testing.TB) { keeper(t, false) },
	"patient keeper": func(t testing.TB) { keeper(t, true) },
	"outer":          outer,
}

const carried = "mykilled"

// carrier makes a device, lets frames run both ways, says so, and goes on until
// it is killed.
func carrier(t testing.TB) {
	busy := device.NewBusy(t, device.NewLink(t, device.Config{Name: carried}))
	fmt.Println("busy")
	for {
		busy.WaitMore(t, 1)
	}
}

// holder has inherited a file, and keeps it until its input ends.
func holder(t testing.TB) {
	fmt.Println("holding")
	os.Stdin.Read(make([]byte, 1))
}

// creator makes a device, hands the file to another process, and ends.
func creator(t testing.TB) {
	f := device.Open(t)
	f.Attach(t, "myhanded", device.TUN)
	f.SetRings(t, minRing, minRing)
	if err := device.SendFD(device.ChildFile, f.FD); err != nil {
		t.Fatal(err)
	}
}

func TestProcessKilledUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	areas := device.ModuleAreas(t)
	for range 8 {
		child := device.StartChild(t, "carrier", 0)
		child.ExpectLine(t, "busy")
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait()
		device.WaitGone(t, carried)
	}
	if got := device.ModuleAreas(t); got != areas {
		t.Errorf("%d areas of kernel memory, %d before", got, areas)
	}
	device.CheckWorks(t)
}

// TestDeviceDeletedUnderAnotherProcess, which then is killed.
func TestDeviceDeletedUnderAnotherProcess(t *testing.T) {
	device.Sandbox(t)
	child := device.StartChild(t, "carrier", 0)
	child.ExpectLine(t, "busy")
	device.Within(t, prompt, "deleting the device", func() { device.Delete(t, carried) })
	device.WaitGone(t, carried)
	child.Process.Kill()
	child.Wait()
	device.CheckWorks(t)
}

func TestDuplicateKeepsTheQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	duplicate, err := unix.FcntlInt(uintptr(l.Queue().FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Queue().Close()
	l.Queue().Unmap()
	l.Queues[0] = device.MapQueue(t, &device.File{FD: duplicate})
	l.Queue().SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	l.Exchange(t, false, 100)
	l.Queue().Close()
	l.Queue().Unmap()
	device.WaitGone(t, l.Name)
}

func TestInheritedFileKeepsTheQueue(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "myheir", device.TUN, minRing, minRing)
	child := device.StartChild(t, "holder", 0, q.FD)
	child.ExpectLine(t, "holding")
	q.Close()
	q.Unmap()
	if !device.LinkExists("myheir") || len(device.Kthreads("myheir")) != 1 {
		t.Error("the device went though a process holds its file")
	}
	child.In.Close()
	child.Wait()
	device.WaitGone(t, "myheir")
}

// TestMappingIsNotInheritedByAnotherProgram: the parent's mapping stays its
// own, and the child holds nothing.
func TestMappingIsNotInheritedByAnotherProgram(t *testing.T) {
	device.Sandbox(t)
	q := device.NewQueue(t, "myheir", device.TUN, minRing, minRing)
	child := device.StartChild(t, "holder", 0)
	child.ExpectLine(t, "holding")
	q.Close()
	q.Unmap()
	device.WaitGone(t, "myheir")
}

func TestHandedFileOutlivesItsCreator(t *testing.T) {
	device.Sandbox(t)
	pair := device.SocketPair(t)
	child := device.StartChild(t, "creator", 0, pair[1])
	fd, err := device.ReceiveFD(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("creator: %v", err)
	}
	q := device.MapQueue(t, &device.File{FD: fd})
	q.SetEventfds(t, device.Eventfd(t), device.Eventfd(t), device.Eventfd(t))
	device.Up(t, "myhanded")
	frame := make([]byte, 100)
	frame[0] = 0x45
	for range 100 {
		q.Send(t, frame)
	}
	device.WaitFor(t, "the frames", func() bool { return q.Stats(t).TxFrames == 100 })
	q.Close()
	q.Unmap()
	device.WaitGone(t, "myhanded")
}
