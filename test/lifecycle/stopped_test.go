// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"fmt"
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
// that are held, nobody waits where a signal does not reach, the thread sleeps,
// and the device goes at once. Minutes would show no more than some rounds of the
// kernel's search for tasks that hang.
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
		waitHungTaskRounds(t)
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

// waitHungTaskRounds lets the kernel look a few times for tasks that it cannot
// wake: what it finds it complains of.
func waitHungTaskRounds(t *testing.T) {
	t.Helper()
	const rounds = 3
	seconds := "2"
	if device.Slow() {
		seconds = "10" // others wait for grace periods
	}
	for _, name := range []string{"kernel/hung_task_timeout_secs", "kernel/hung_task_check_interval_secs"} {
		before, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		device.Sysctl(t, name, seconds)
		defer device.Sysctl(t, name, string(before))
	}
	searcher := device.TaskNamed(t, "khungtaskd")
	start := device.Sleeps(t, searcher)
	device.WaitFor(t, "the search for tasks that hang", func() bool { return device.Sleeps(t, searcher) > start+rounds })
}
