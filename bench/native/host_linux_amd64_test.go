// SPDX-License-Identifier: MIT

package native

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/bench/result"
)

func TestFrequency(t *testing.T) {
	khz, err := frequency()
	if err != nil {
		t.Fatal(err)
	}
	// Whoever reads two clocks may stand still in between: what has passed on the one is less or more than what is read of the other.
	outer, start := TSC(), time.Now()
	inner := TSC()
	time.Sleep(50 * time.Millisecond)
	short := float64(TSC()-inner) * 1e6 / khz
	ns := float64(time.Since(start))
	long := float64(TSC()-outer) * 1e6 / khz
	if short > 1.1*ns || long < 0.9*ns {
		t.Errorf("at %.0f kHz it is between %.0f and %.0f ns, of %.0f that have passed", khz, short, long, ns)
	}
}

func TestWatchTrips(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	khz, err := frequency()
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine the two do not always meet.
	const enough = 10
	var samples []Trip
	from, start, stop := TSC(), time.Now(), make(chan struct{})
	err = watchTrips(khz, stop, func(trip Trip) {
		if samples = append(samples, trip); len(samples) == enough {
			close(stop)
		}
	})
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) < enough || len(samples) > int(took/tripPeriod) {
		t.Fatalf("%d samples, to be %d, in %v", len(samples), enough, took)
	}
	if !slices.IsSortedFunc(samples, func(a, b Trip) int { return int(int64(a.At - b.At)) }) || samples[0].At < from || samples[len(samples)-1].At > TSC() {
		t.Errorf("the samples %v are not in the order of time", samples)
	}
	for _, s := range samples {
		if s.NS < 5 || s.NS*trips*tripRounds > float64(took) {
			t.Errorf("a round trip took %v ns, all of it %v", s.NS, took)
		}
	}
}

// Neither may wait for one who does not come.
func TestPlayersLeave(t *testing.T) {
	c := &court{khz: 1e6}
	if got := c.serve(1); got != nil {
		t.Errorf("alone, the first player measured %v", got)
	}
	c.answer(1) // over, since the first gave up
	c.answer(2)
	if c.ready.Load() != 0 {
		t.Errorf("the second player has left and seems to be there: %#x", c.ready.Load())
	}
}

// options has a root in which prepare can work, and the guest's answer to be.
func options(t *testing.T) *Options {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Options{
		Image: "/kernel", Root: filepath.Join(dir, "root"), Program: file, Console: filepath.Join(dir, "console"), Log: io.Discard,
		Modules: []Module{{result.PeerMytunA, file}, {result.PeerMytunB, file}},
	}
}

func TestPrepare(t *testing.T) {
	o := options(t)
	for range 2 { // the second time everything is there
		if err := os.MkdirAll(o.Root, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, left := range []string{TurnsFile, ErrorFile} {
			if err := os.WriteFile(filepath.Join(o.Root, left), []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		plan := &Plan{KHz: 2e6, CPUs: 2, Cases: Cases(2), Rounds: 3, Windows: 4, Window: time.Millisecond}
		if err := o.prepare(plan); err != nil {
			t.Fatal(err)
		}
		var read Plan
		if err := result.LoadJSON(filepath.Join(o.Root, PlanFile), &read); err != nil || !reflect.DeepEqual(&read, plan) {
			t.Errorf("the guest reads %+v, %v, want %+v", read, err, plan)
		}
		for _, m := range plan.Modules {
			if data, err := os.ReadFile(filepath.Join(o.Root, m.File)); err != nil || string(data) != "content" {
				t.Errorf("module %v holds %q, %v", m, data, err)
			}
		}
		if info, err := os.Stat(filepath.Join(o.Root, "init")); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the guest's first program: %v, %v", info, err)
		}
		if _, err := loadTurns(filepath.Join(o.Root, TurnsFile)); !os.IsNotExist(err) {
			t.Errorf("an earlier run's turns are still there: %v", err)
		}
	}
}

func TestVerdict(t *testing.T) {
	o := options(t)
	if err := os.MkdirAll(o.Root, 0o755); err != nil {
		t.Fatal(err)
	}
	expect := func(late bool, want string) {
		t.Helper()
		err := o.verdict(late)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the verdict is %v, want %q", err, want)
		}
	}
	expect(false, "died: "+o.Console)
	file := filepath.Join(o.Root, ErrorFile)
	os.WriteFile(file, []byte("no module\n"), 0o644)
	expect(false, "in the guest: no module")
	os.WriteFile(file, nil, 0o644)
	expect(false, "")
	expect(true, "did not end in time: "+o.Console)
}

func TestLoadTurns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "turns")
	os.WriteFile(file, []byte(`{"Peer":"a","Windows":[{"Packets":3}]}`+"\n"+`{"Peer":"b"}`+"\n"), 0o644)
	turns, err := loadTurns(file)
	if err != nil || len(turns) != 2 || turns[0].Peer != "a" || turns[0].Windows[0].Packets != 3 || turns[1].Peer != "b" {
		t.Errorf("turns %+v, %v", turns, err)
	}
	os.WriteFile(file, []byte(`{"Peer":"a"}{"Peer"`), 0o644)
	if _, err := loadTurns(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("half a turn: the error is %v, which must name the file", err)
	}
}

func TestCommand(t *testing.T) {
	o := options(t)
	two := o.command(&Plan{KHz: 2599999.6, CPUs: 2}, "/memory")
	if line := strings.Join(two.Args, " "); !strings.HasPrefix(line, "/kernel ") || !strings.Contains(line, " ncpus=2 ") || !strings.Contains(line, " tsc_khz=2600000 ") {
		t.Errorf("two CPUs: %s", line)
	}
	if !slices.Contains(two.Env, "TMPDIR=/memory") {
		t.Error("the guest's memory is not where it was made")
	}
	// Some users have no home, where the kernel would leave files.
	if !slices.Contains(two.Args, "uml_dir=/memory") {
		t.Errorf("the kernel's own files are elsewhere: %v", two.Args)
	}
	// The kernel pins two processors itself.
	if one := o.command(&Plan{CPUs: 1}, "/memory"); !strings.HasPrefix(strings.Join(one.Args, " "), "taskset -c 1 /kernel ") {
		t.Errorf("one CPU: %v", one.Args)
	}
}

func TestRunFailsCleanly(t *testing.T) {
	o := options(t)
	o.Image, o.CPUs, o.Rounds, o.Windows, o.Window = "/nowhere/kernel", []int{2}, 1, 1, time.Millisecond
	if _, err := Run(*o); err == nil || !strings.Contains(err.Error(), "with 2 CPUs: start the kernel") {
		t.Errorf("without a kernel the error is %v", err)
	}
	o.Image = "/bin/true"
	if _, err := Run(*o); err == nil || !strings.Contains(err.Error(), "the guest's kernel died") {
		t.Errorf("with a kernel that ends at once the error is %v", err)
	}
	o.Rows = "none"
	if _, err := Run(*o); err == nil {
		t.Error("nothing was measured and nothing said")
	}
}

func TestSummary(t *testing.T) {
	h := host(trip(1, 60), trip(2, 70), trip(3, 320))
	text := h.summary(Mixed{Windows: 9, Unknown: 2, Idle: 1})
	for _, want := range []string{"0.10 CPUs", "70 ns (median; 60 to 320)", "2 of 9 windows", "1 without a packet", "system call 100 ns"} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary %q does not say %q", text, want)
		}
	}
	h.Trips = nil
	if text := h.summary(Mixed{}); strings.Contains(text, "round trip") {
		t.Errorf("one CPU: %q", text)
	}
}
