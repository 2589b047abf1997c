// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Kthreads are the names of the module's kernel threads of a device, or of all
// devices if name is empty.
func Kthreads(name string) (found []string) {
	for _, thread := range KthreadsByID(name) {
		found = append(found, thread)
	}
	slices.Sort(found)
	return found
}

// KthreadsByID are the same, by the threads' numbers.
func KthreadsByID(name string) map[int]string {
	prefix := "mytun/"
	if name != "" {
		prefix += name + "/"
	}
	found := map[int]string{}
	for _, pid := range Processes() {
		if name := CommandName(pid); strings.HasPrefix(name, prefix) {
			found[pid] = name
		}
	}
	return found
}

// Processes are the numbers of all, of kernel threads too. Without them no test
// could tell what is left, so it panics if it can't read them.
func Processes() (pids []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		panic(err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TaskNamed is the number of the task of that name.
func TaskNamed(t testing.TB, name string) int {
	t.Helper()
	for _, pid := range Processes() {
		if CommandName(pid) == name {
			return pid
		}
	}
	t.Fatalf("no task is named %s", name)
	return 0
}

// Pin keeps a task, 0 for this thread, on one processor.
func Pin(t testing.TB, task, cpu int) {
	t.Helper()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(task, &set); err != nil {
		t.Fatalf("pin task %d to CPU %d: %v", task, cpu, err)
	}
}

// LastCPU is the processor that a task runs on, or ran on when it last did.
func LastCPU(t testing.TB, task int) int {
	t.Helper()
	const processor = 39 // proc_pid_stat(5), where the first field is 1
	text, err := os.ReadFile("/proc/" + itoa(task) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// the second field is the name, which may have blanks
	name := strings.LastIndexByte(string(text), ')')
	fields := strings.Fields(string(text[name+1:]))
	cpu, err := strconv.Atoi(fields[processor-3])
	if err != nil {
		t.Fatalf("/proc/%d/stat: %q", task, text)
	}
	return cpu
}

// CPUTime is how long a task has run that has no other threads. Its clock is named
// after its number, as clock_getcpuclockid(3) does it.
func CPUTime(t testing.TB, task int) time.Duration {
	t.Helper()
	const scheduler = 2 // CPUCLOCK_SCHED
	var ran unix.Timespec
	if err := unix.ClockGettime(int32(^task)<<3|scheduler, &ran); err != nil {
		t.Fatalf("CPU time of task %d: %v", task, err)
	}
	return time.Duration(ran.Nano())
}

// Sleeps is how often a task has gone to sleep by itself.
func Sleeps(t testing.TB, task int) (n uint64) {
	t.Helper()
	status, err := taskStatus(task)
	if err != nil {
		t.Fatal(err)
	}
	if n, err = strconv.ParseUint(status["voluntary_ctxt_switches"], 10, 64); err != nil {
		t.Fatalf("/proc/%d/status: %q", task, status)
	}
	return n
}

// taskStatus is what /proc/TASK/status says, by key.
func taskStatus(task int) (map[string]string, error) {
	text, err := os.ReadFile("/proc/" + itoa(task) + "/status")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields, nil
}

// Uninterruptible are the tasks, of the kernel too, that wait where no signal reaches them,
// and how often each has gone to sleep so far.
func Uninterruptible() map[int]uint64 {
	found := map[int]uint64{}
	for _, pid := range Processes() {
		threads, _ := os.ReadDir("/proc/" + itoa(pid) + "/task")
		for _, thread := range threads { // none of a process that has ended meanwhile
			task, _ := strconv.Atoi(thread.Name())
			if status, err := taskStatus(task); err == nil && strings.HasPrefix(status["State"], "D") {
				found[task], _ = strconv.ParseUint(status["voluntary_ctxt_switches"], 10, 64)
			}
		}
	}
	return found
}

// IsAsleep tells whether a thread of this process sleeps in a system call of its own: Go's
// runtime has a thread wait for its turn in one, too.
func IsAsleep(t testing.TB, thread int) bool {
	t.Helper()
	call := sleepsIn("/proc/self/task/" + itoa(thread))
	return call != "" && call != itoa(unix.SYS_FUTEX)
}

// WaitThreadsAsleep waits until all of the module's threads of a device sleep: whoever has
// woken one, it has run since, and is off its processor.
func WaitThreadsAsleep(t testing.TB, name string) {
	t.Helper()
	WaitFor(t, "the threads of "+name+" to sleep", func() bool {
		for thread := range KthreadsByID(name) {
			if sleepsIn("/proc/"+itoa(thread)) == "" {
				return false
			}
		}
		return true
	})
}

// sleepsIn is the number of the system call that a task sleeps in, -1 if it sleeps
// elsewhere, or empty if it is about to run, runs or has ended.
func sleepsIn(task string) string {
	text, err := os.ReadFile(task + "/syscall")
	if err != nil {
		return ""
	}
	call, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if call == "running" {
		return ""
	}
	return call
}

// TaskletRuns is how often the processors have gone through their tasklets.
func TaskletRuns(t testing.TB) (runs uint64) {
	t.Helper()
	for _, n := range taskletRuns(t) {
		runs += n
	}
	return runs
}

// TaskletRunsOf is the same of one processor.
func TaskletRunsOf(t testing.TB, cpu int) uint64 {
	t.Helper()
	return taskletRuns(t)[cpu]
}

// taskletRuns are the numbers of all processors, which are all online.
func taskletRuns(t testing.TB) (runs []uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/softirqs")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "TASKLET:" {
			continue
		}
		for _, field := range fields[1:] {
			n, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				t.Fatalf("/proc/softirqs: %q", line)
			}
			runs = append(runs, n)
		}
	}
	return runs
}

// isStopped tells whether a signal has stopped a process.
func isStopped(t testing.TB, pid int) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// the name before the state may hold anything, but no bracket follows it
	_, state, found := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return found && strings.HasPrefix(state, "T")
}

// CommandName is the name of a process or kernel thread, or empty if it has ended. There
// are many, and tests ask often, so this makes no system call that it can do without.
func CommandName(pid int) string {
	fd, err := unix.Open("/proc/"+itoa(pid)+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var b [64]byte
	n, _ := unix.Read(fd, b[:])
	return strings.TrimSpace(string(b[:max(n, 0)]))
}

// Descriptors is how many files this process has open.
func Descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// WaitGone waits until nothing of a device is left: neither link nor threads.
func WaitGone(t testing.TB, name string) {
	t.Helper()
	WaitFor(t, name+" to go", func() bool {
		return !LinkExists(name) && len(Kthreads(name)) == 0
	})
}

// MemoryAvailable is how many bytes the machine can still give.
func MemoryAvailable(t testing.TB) uint64 {
	t.Helper()
	return Meminfo(t, "MemAvailable")
}

// Meminfo is a line of /proc/meminfo, in bytes.
func Meminfo(t testing.TB, name string) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] == name+":" {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in /proc/meminfo", name)
	return 0
}
