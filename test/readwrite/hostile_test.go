// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/mytun/mytun/test/watch"
	"golang.org/x/sys/unix"
)

// prompt is a limit for what must not wait for a process.
const prompt = 10 * time.Second

var children = map[string]func(testing.TB){"sleeper": sleeper}

func TestMain(m *testing.M) {
	if watch.Asked() {
		watch.Serve()
	}
	device.Main(m, children)
}

// TestStuckProcessHoldsNobodyUp: the kernel waits for the process's memory in the
// middle of a read and of a write, and the device can be deleted all the same.
func TestStuckProcessHoldsNobodyUp(t *testing.T) {
	device.Sandbox(t)
	for _, flags := range []uint32{0, device.BatchRead | device.BatchWrite} {
		p := device.NewPort(t, device.Node, device.Config{})
		p.SetBatch(t, flags)
		out, reachedOut, releaseOut := device.Stuck(t, 4096)
		in, reachedIn, releaseIn := device.Stuck(t, 4096)
		down(t, p.Link, []byte("stuck"))
		written, _ := start(func() (int, error) { return unix.Write(p.FD, out) })
		reachedOut()
		taken, _ := start(func() (int, error) { return unix.Read(p.FD, in) })
		reachedIn()
		device.Within(t, prompt, "deleting the device", func() { device.Delete(t, p.Name) })
		releaseOut()
		releaseIn()
		// zeros, which as many frames are a malformed one
		if r := finish(t, written); r.err != unix.EBADFD {
			t.Errorf("write: %d, %v", r.n, r.err)
		}
		if r := finish(t, taken); r.n <= 0 {
			t.Errorf("read of a frame that had been taken: %d, %v", r.n, r.err)
		}
		p.Close()
	}
}

// sleeper makes a device and sleeps in read until it is killed.
func sleeper(t testing.TB) {
	p := device.NewPort(t, device.Node, device.Config{Name: "mysleeper"})
	p.SetBlocking(t, true)
	fmt.Println("reading")
	_, err := unix.Read(p.FD, make([]byte, 100))
	t.Fatalf("read: %v", err)
}

func TestProcessKilledInRead(t *testing.T) {
	device.Sandbox(t)
	for range 5 {
		child := device.StartChild(t, "sleeper", 0)
		child.ExpectLine(t, "reading")
		waitSleeping(t, child.Process.Pid)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait()
		device.WaitGone(t, "mysleeper")
	}
}

// waitSleeping waits until a thread of a process is in read.
func waitSleeping(t *testing.T, pid int) {
	t.Helper()
	device.WaitFor(t, "the child's read", func() bool {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		for _, thread := range threads {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", pid, thread.Name()))
			var number int
			if _, err := fmt.Sscanf(string(text), "%d 0x", &number); err == nil && number == unix.SYS_READ {
				return true
			}
		}
		return false
	})
}

// TestHeadersChangeWhileTheyAreRead: a thread changes the frame while others
// write it, one a call and many. Whatever was seen is refused or delivered.
func TestHeadersChangeWhileTheyAreRead(t *testing.T) {
	device.Sandbox(t)
	for _, f := range []format{{vnet: 12}, {tap: true, pi: true, vnet: 12}} {
		p := f.newPort(t, device.Node)
		b := f.wrap(up(p.Link, device.Pattern(1, 400)))
		many := record(up(p.Link, device.Pattern(1, 400)))
		var stop atomic.Bool
		var changers sync.WaitGroup
		changers.Go(func() { scramble(&stop, b[:f.prefix()+48]) })
		changers.Go(func() { scramble(&stop, many[:device.FrameHeader+48]) })
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			p.SetBatch(t, 0)
			unix.Write(p.FD, b)
			p.SetBatch(t, device.BatchWrite)
			unix.Write(p.FD, many)
		}
		stop.Store(true)
		changers.Wait()
		p.Close()
		device.WaitGone(t, p.Name)
	}
	device.CheckWorks(t)
}

// scramble changes one word after another, to and fro. It is a race on purpose.
func scramble(stop *atomic.Bool, b []byte) {
	for !stop.Load() {
		at := rand.IntN(len(b) - 3)
		old := binary.NativeEndian.Uint32(b[at:])
		binary.NativeEndian.PutUint32(b[at:], rand.Uint32()>>rand.UintN(32))
		binary.NativeEndian.PutUint32(b[at:], old)
	}
}
