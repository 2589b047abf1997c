// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

const kept = "mykept"

// keeper makes a device whose senders are held, or not, and takes no frame.
func keeper(t testing.TB, backpressure bool) {
	l := device.NewLink(t, device.Config{Name: kept})
	l.Queue().SetBackpressure(t, backpressure)
	fmt.Println("made")
	os.Stdin.Read(make([]byte, 1))
}

// TestStoppedProcessHoldsNobodyUp: with a full ring and senders that go on, or
// that are held, nobody waits for ever where a signal does not reach, the thread
// sleeps, and the device goes at once.
func TestStoppedProcessHoldsNobodyUp(t *testing.T) {
	for child, full := range map[string]string{"keeper": "q0_rx_dropped", "patient keeper": "q0_rx_queue_stops"} {
		device.Sandbox(t)
		process := stopped(t, child)
		flood(t)
		device.WaitFor(t, full, func() bool {
			_, values := device.StatisticsOf(t, kept)
			return values[full] > 0
		})
		thread := device.TaskNamed(t, "mytun/"+kept+"/0")
		start, used := time.Now(), device.CPUTime(t, thread)
		for time.Since(start) < 2*time.Second {
			waitNobodyHangs(t)
		}
		if used, passed := device.CPUTime(t, thread)-used, time.Since(start); used > passed/10 {
			t.Errorf("%s: the thread was busy for %v of %v", child, used, passed)
		}
		device.Within(t, prompt, "deleting the device", func() { device.Delete(t, kept) })
		device.WaitGone(t, kept)
		process.Process.Kill()
		process.Wait()
	}
}

// TestStoppedProcessIsKilled: its device goes as promptly as any other's.
func TestStoppedProcessIsKilled(t *testing.T) {
	for _, child := range []string{"keeper", "patient keeper"} {
		device.Sandbox(t)
		process := stopped(t, child)
		flood(t)
		device.WaitFor(t, "a full ring", func() bool {
			_, values := device.StatisticsOf(t, kept)
			return values["q0_rx_ring_full"] > 0
		})
		process.Process.Kill()
		device.Within(t, prompt, "the end of a process that was stopped", func() {
			process.Wait()
			device.WaitGone(t, kept)
		})
	}
}

// stopped is a child that made the device and was stopped.
func stopped(t *testing.T, name string) *device.Child {
	t.Helper()
	child := device.StartChild(t, name, 0)
	child.ExpectLine(t, "made")
	child.Stop(t)
	return child
}

// waitNobodyHangs waits until each task has gone on that waits where no signal reaches it.
// For how long one may wait there is nobody's promise: others wait for grace periods, and a
// machine may stand still.
func waitNobodyHangs(t *testing.T) {
	t.Helper()
	waiting := device.Uninterruptible()
	device.WaitFor(t, "who waits where no signal reaches to go on", func() bool {
		now := device.Uninterruptible()
		maps.DeleteFunc(waiting, func(task int, sleeps uint64) bool {
			n, still := now[task]
			return !still || n != sleeps
		})
		return len(waiting) == 0
	})
}
