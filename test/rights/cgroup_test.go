// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watcher makes a device whose kernel thread looks for frames as long as it may, and does
// nothing with it.
func watcher(t testing.TB) {
	newWatched(t)
	fmt.Println("made")
	os.Stdin.Read(make([]byte, 1))
}

// talker makes such a device, and sends so often that the thread's time to look on does not
// end, until it is killed.
func talker(t testing.TB) {
	l := newWatched(t)
	frame := l.Frame(false, device.Datagram{SrcPort: device.PeerPort, DstPort: device.PeerPort})
	fmt.Println("made")
	for {
		l.Queue().Send(t, frame)
		time.Sleep(device.PollMaxUsecs / 4 * time.Microsecond)
	}
}

func newWatched(t testing.TB) *device.Link {
	l := device.NewLink(t, device.Config{Name: ownedDevice})
	l.Queue().SetPoll(t, device.PollMaxUsecs)
	return l
}

// spinner computes, and nothing else, until it is killed.
func spinner(testing.TB) {
	fmt.Println("spinning")
	for sum := uint64(1); sum != 0; {
		sum = sum*2862933555777941757 + 1 | 1
	}
}

// cgroupOf is the path of a task's cgroup.
func cgroupOf(t *testing.T, task int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", task))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			return strings.TrimSpace(path)
		}
	}
	t.Fatalf("task %d is in no cgroup: %q", task, text)
	return ""
}

// queueThread is the kernel thread of the only queue of ownedDevice.
func queueThread(t *testing.T) int {
	t.Helper()
	return device.TaskNamed(t, device.Kthreads(ownedDevice)[0])
}

// TestQueueThreadIsInTheOpenersGroup: what is done for a process counts for it. It stays
// there when the process goes elsewhere, and leaves nothing when it is killed.
func TestQueueThreadIsInTheOpenersGroup(t *testing.T) {
	device.Sandbox(t)
	g, other := newGroup(t, "cpu", "mytun-rights"), newGroup(t, "cpu", "mytun-other")
	child := g.start(t, "watcher")
	child.ExpectLine(t, "made")
	thread := queueThread(t)
	want := cgroupOf(t, child.Process.Pid)
	if got := cgroupOf(t, thread); got != want {
		t.Errorf("the queue's thread is in the group %s, its opener in %s", got, want)
	}
	other.write(t, "cgroup.procs", strconv.Itoa(child.Process.Pid))
	if got := cgroupOf(t, thread); got != want {
		t.Errorf("the queue's thread is in the group %s after its opener left %s", got, want)
	}
	child.Process.Kill()
	child.Wait()
	device.WaitGone(t, ownedDevice)
	device.WaitFor(t, "both groups to be empty", func() bool {
		return g.read(t, "cgroup.procs") == "" && other.read(t, "cgroup.procs") == ""
	})
}

// TestQueueThreadHasItsOpenersLimit: while it looks for frames, which it does for as long
// as the process asked for, it is held up as the process would be, which has left the group.
func TestQueueThreadHasItsOpenersLimit(t *testing.T) {
	device.Sandbox(t)
	g, other := newGroup(t, "cpu", "mytun-rights"), newGroup(t, "cpu", "mytun-other")
	child := g.start(t, "talker")
	child.ExpectLine(t, "made")
	other.write(t, "cgroup.procs", strconv.Itoa(child.Process.Pid))
	if got, want := strings.TrimSpace(g.read(t, "cgroup.procs")), strconv.Itoa(queueThread(t)); got != want {
		t.Fatalf("the group has the processes %q, and not the queue's thread, %s, alone", got, want)
	}
	g.write(t, "cpu.max", "1000 100000")
	before := g.entry(t, "cpu.stat", "nr_throttled")
	device.WaitFor(t, "the thread to be held up", func() bool {
		return g.entry(t, "cpu.stat", "nr_throttled") >= before+3
	})
	g.write(t, "cpu.max", "max")
}

// TestStarvedQueueThreadHoldsNobodyUp: its group has a thousandth of a processor, which
// somebody else in it takes. The device goes all the same, and rtnl is free.
func TestStarvedQueueThreadHoldsNobodyUp(t *testing.T) {
	device.Sandbox(t)
	g := newGroup(t, "cpu", "mytun-rights")
	stranger, err := netlink.NewHandleAt(device.NewNamespace(t), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	lo, err := stranger.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	spinning := g.start(t, "spinner")
	spinning.ExpectLine(t, "spinning")
	checkPrompt(t, "deleting the device, or a request beside it", func(starved bool) time.Duration {
		return deleteBeside(t, g, starved, func(i int) {
			if err := stranger.LinkSetTxQLen(lo, 1000+i); err != nil {
				t.Errorf("txqueuelen: %v", err)
			}
		})
	})
}

// checkPrompt measures how long others wait beside a thread that is starved and beside one
// that is not, in turns, so that whatever else the machine does meets both.
func checkPrompt(t *testing.T, what string, measure func(starved bool) time.Duration) {
	t.Helper()
	const times = 5
	var free, starved []time.Duration
	for range times {
		free = append(free, measure(false))
		starved = append(starved, measure(true))
	}
	slices.Sort(free)
	slices.Sort(starved)
	t.Logf("%s took %v, and beside a starved thread %v", what, free, starved)
	// of a second, which is what the thread has to wait for
	const most = 500 * time.Millisecond
	if more := starved[times/2] - free[times/2]; more > most && !device.Slow() {
		t.Errorf("%s took half of the time %v more beside a starved thread, %v would do", what, more, most)
	}
}

// feed lets the group have what it takes.
func (g group) feed(t *testing.T) {
	t.Helper()
	g.write(t, "cpu.weight", "100")
	g.write(t, "cpu.max", "max")
}

// starve leaves the group, in which somebody computes, a thousandth of a processor.
func (g group) starve(t *testing.T) {
	t.Helper()
	before := g.entry(t, "cpu.stat", "nr_throttled")
	g.write(t, "cpu.weight", "1")
	g.write(t, "cpu.max", "1000 1000000")
	device.WaitFor(t, "the group to be held up", func() bool { return g.entry(t, "cpu.stat", "nr_throttled") > before })
}

// deleteBeside makes a device in the group, which is starved or not, deletes it, and makes
// requests meanwhile. It returns the longest time that one of all these took.
func deleteBeside(t *testing.T, g group, starved bool, request func(i int)) (longest time.Duration) {
	t.Helper()
	g.feed(t)
	child := g.start(t, "owner")
	child.ExpectLine(t, "made")
	thread := queueThread(t)
	if cgroupOf(t, thread) != cgroupOf(t, child.Process.Pid) {
		g.write(t, "cgroup.procs", strconv.Itoa(thread))
	}
	if starved {
		g.starve(t)
	}
	deleted := make(chan time.Duration, 1)
	link := device.LinkOf(t, ownedDevice)
	rtnl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer rtnl.Close()
	go func() {
		start := time.Now()
		if err := rtnl.LinkDel(link); err != nil {
			t.Errorf("delete %s: %v", ownedDevice, err)
		}
		deleted <- time.Since(start)
	}()
	for i := 0; ; i++ {
		start := time.Now()
		request(i)
		longest = max(longest, time.Since(start))
		select {
		case end := <-deleted:
			g.write(t, "cpu.max", "max")
			child.Process.Kill()
			child.Wait()
			device.WaitGone(t, ownedDevice)
			return max(longest, end)
		default:
		}
	}
}

// keeper makes a device whose file is kept by an io_uring.
func keeper(t testing.TB) {
	l := device.NewLink(t, device.Config{Name: ownedDevice})
	device.NewUring(t).Keep(t, l.Queue().FD)
	fmt.Println("made")
	os.Stdin.Read(make([]byte, 1))
}

// TestStarvedQueueThreadHoldsNoFilesUp: whom the kernel's worker waits for who lets go of
// the file of a starved queue, the files of all others behind it would wait for too.
func TestStarvedQueueThreadHoldsNoFilesUp(t *testing.T) {
	device.Sandbox(t)
	g := newGroup(t, "cpu", "mytun-rights")
	spinning := g.start(t, "spinner")
	spinning.ExpectLine(t, "spinning")
	checkPrompt(t, "to close a file behind the queue's", func(starved bool) time.Duration { return closeBehind(t, g, starved) })
}

// closeBehind makes a device in the group, which is starved or not, and kills its owner, which
// has left the group. It returns how long the end of a pipe takes that goes the way of the
// queue's file.
func closeBehind(t *testing.T, g group, starved bool) time.Duration {
	t.Helper()
	g.feed(t)
	child := g.start(t, "keeper")
	child.ExpectLine(t, "made")
	group{filepath.Dir(g.dir)}.write(t, "cgroup.procs", strconv.Itoa(child.Process.Pid))
	if starved {
		g.starve(t)
	}
	defer device.WaitGone(t, ownedDevice)
	defer g.write(t, "cpu.max", "max")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	uring := device.NewUring(t)
	uring.Keep(t, int(writer.Fd()))
	writer.Close()
	child.Process.Kill()
	child.Wait()
	// then the worker waits for the thread, if it does
	device.WaitFor(t, ownedDevice+" to be deleted", func() bool { return !device.LinkExists(ownedDevice) })
	start := time.Now()
	uring.Close()
	if n, err := reader.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read of a pipe without a writer: %d, %v", n, err)
	}
	return time.Since(start)
}
