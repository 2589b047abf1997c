// SPDX-License-Identifier: MIT

package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mytun/mytun/bench/result"
)

// An Options is what the host is told.
type Options struct {
	Image   string        // the kernel's path
	Release string        // what uname -r says in it
	Root    string        // an empty directory for its root
	Program string        // the program that is to be its first: this one
	Modules []Module      // with their files on the host
	Peers   bool          // measure stock tun and vhost-net beside them
	CPUs    []int         // how many, one run each
	Rows    string        // patterns for Choose
	Rounds  int           // times that each case has its turns
	Windows int           // in each turn
	Window  time.Duration // how long each is
	Console string        // file for what the kernel and the guest say
	Log     io.Writer     // progress
}

// Run measures what is asked for.
func Run(o Options) ([]result.Row, error) {
	khz, err := frequency()
	if err != nil {
		return nil, err
	}
	var rows []result.Row
	for _, cpus := range o.CPUs {
		more, err := o.run(khz, cpus)
		if err != nil {
			return nil, fmt.Errorf("with %d CPUs: %w", cpus, err)
		}
		rows = append(rows, more...)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no window can be used: the distance of the CPUs changed in all of them; try again")
	}
	return rows, nil
}

func (o *Options) run(khz float64, cpus int) ([]result.Row, error) {
	cases, err := Choose(cpus, o.Rows)
	if err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, nil
	}
	plan := &Plan{KHz: khz, CPUs: cpus, Peers: o.Peers, Cases: cases, Rounds: o.Rounds, Windows: o.Windows, Window: o.Window}
	if err := o.prepare(plan); err != nil {
		return nil, err
	}
	host := &Host{Kernel: o.Release, KHz: khz, CPUs: cpus, CallNS: hostCall(), Period: float64(tripPeriod)}
	fmt.Fprintf(o.Log, ">> %d CPUs, %d cases: about %v\n", cpus, len(cases), plan.length().Round(time.Second))
	if err := o.boot(plan, host); err != nil {
		return nil, err
	}
	turns, err := loadTurns(filepath.Join(o.Root, TurnsFile))
	if err != nil {
		return nil, err
	}
	rows, mixed := host.Rows(turns)
	fmt.Fprintf(o.Log, ">> %s\n", host.summary(mixed))
	return rows, nil
}

// prepare fills the guest's root. The modules lie there by their peers' names.
func (o *Options) prepare(plan *Plan) error {
	for _, dir := range []string{"dev", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(o.Root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, file := range []string{TurnsFile, ErrorFile} {
		if err := os.Remove(filepath.Join(o.Root, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, m := range o.Modules {
		name := strings.ReplaceAll(m.Peer, " ", "-") + ".ko"
		if err := copyFile(m.File, filepath.Join(o.Root, name), 0o644); err != nil {
			return err
		}
		plan.Modules = append(plan.Modules, Module{Peer: m.Peer, File: "/" + name})
	}
	return errors.Join(copyFile(o.Program, filepath.Join(o.Root, "init"), 0o755), result.SaveJSON(filepath.Join(o.Root, PlanFile), plan))
}

// copyFile replaces what is there: a program that still runs cannot be written to.
func copyFile(from, to string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := result.WriteFile(to, data); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}

// boot runs the guest, and watches the host meanwhile.
func (o *Options) boot(plan *Plan, host *Host) (err error) {
	memory, err := os.MkdirTemp("/dev/shm", "mytun-native.")
	if err != nil {
		return fmt.Errorf("memory for the guest: %w", err)
	}
	defer os.RemoveAll(memory)
	console, err := os.Create(o.Console)
	if err != nil {
		return err
	}
	defer console.Close()
	guest := o.command(plan, memory)
	guest.Stdout, guest.Stderr = console, console
	if err := guest.Start(); err != nil {
		return fmt.Errorf("start the kernel: %w", err)
	}
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	var tripErr error
	watchers.Go(func() {
		ticker := time.NewTicker(loadInterval)
		defer ticker.Stop()
		host.Loads = watchLoad(guest.Process.Pid, ticker.C, stop)
	})
	if plan.CPUs > 1 {
		watchers.Go(func() {
			tripErr = watchTrips(plan.KHz, stop, func(trip Trip) { host.Trips = append(host.Trips, trip) })
		})
	}
	// What is left of it when it has ended, or when it does not end, is killed.
	kill := func() { syscall.Kill(-guest.Process.Pid, syscall.SIGKILL) }
	limit := time.AfterFunc(2*plan.length()+time.Minute/2, kill)
	guest.Wait() // its status says nothing: ErrorFile and TurnsFile do
	late := !limit.Stop()
	kill()
	close(stop)
	watchers.Wait()
	return errors.Join(tripErr, o.verdict(late))
}

// command is the kernel's. With one CPU it is pinned here; with two it does so itself.
func (o *Options) command(plan *Plan, memory string) *exec.Cmd {
	words := []string{
		o.Image, "mem=1024M", fmt.Sprintf("ncpus=%d", plan.CPUs), "seccomp=on", "rootfstype=hostfs", "rootflags=" + o.Root, "rw", "init=/init",
		"init_on_alloc=1", // as the kernels of Debian, Fedora and Ubuntu do
		"uml_dir=" + memory, "con=none", "con0=null,fd:1", "quiet", "panic=-1", fmt.Sprintf("tsc_khz=%.0f", plan.KHz), "GOMAXPROCS=1",
	}
	if plan.CPUs == 1 {
		words = append([]string{"taskset", "-c", "1"}, words...)
	}
	c := exec.Command(words[0], words[1:]...)
	c.Env = append(os.Environ(), "TMPDIR="+memory)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// verdict tells whether the guest did what it was to do.
func (o *Options) verdict(late bool) error {
	said, err := os.ReadFile(filepath.Join(o.Root, ErrorFile))
	switch {
	case late:
		return fmt.Errorf("the guest did not end in time: %s has its last words", o.Console)
	case err == nil && len(said) == 0:
		return nil
	case err == nil:
		return fmt.Errorf("in the guest: %s", strings.TrimSpace(string(said)))
	}
	return fmt.Errorf("the guest's kernel died: %s has its last words", o.Console)
}

// loadTurns reads what the guest has left.
func loadTurns(file string) ([]Turn, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var turns []Turn
	for d := json.NewDecoder(f); ; {
		var t Turn
		if err := d.Decode(&t); errors.Is(err, io.EOF) {
			return turns, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		turns = append(turns, t)
	}
}

// summary says in one line what the machine was like.
func (h *Host) summary(mixed Mixed) string {
	var loads, ns []float64
	for _, l := range h.Loads {
		loads = append(loads, max(l.CPUs, 0))
	}
	for _, t := range h.Trips {
		ns = append(ns, t.NS)
	}
	text := fmt.Sprintf("others kept %.2f CPUs busy (median; at most %.2f)", medianOf(loads), result.Percentile(loads, 100))
	if len(ns) > 0 {
		text += fmt.Sprintf("; a cache line's round trip took %.0f ns (median; %.0f to %.0f)", medianOf(ns), result.Percentile(ns, 0), result.Percentile(ns, 100))
	}
	text += fmt.Sprintf("; a system call %.0f ns outside of the guest; %d of %d windows in no row, the distance having changed", h.CallNS, mixed.Unknown, mixed.Windows)
	if mixed.Idle > 0 {
		text += fmt.Sprintf(", and %d without a packet", mixed.Idle)
	}
	return text
}
