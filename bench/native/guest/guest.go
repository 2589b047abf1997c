// SPDX-License-Identifier: MIT

//go:build linux && amd64

// Package guest is the guest's half of package native: the first program of its kernel, which measures what the host has planned.
package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mytun/mytun/bench/native"
	"github.com/mytun/mytun/bench/result"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Init is the first program's: it has a helper measure, leaves what went wrong in native.ErrorFile, which is empty if nothing did, and switches the
// machine off. The kernel would not survive the end of its first process; that of the helper it does.
func Init() {
	text := ""
	if err := measureInHelper(); err != nil {
		text = err.Error() + "\n"
	}
	if err := os.WriteFile("/"+native.ErrorFile, []byte(text), 0o644); err != nil {
		fmt.Println(err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// Help is what the program does as a helper of its own: a process beside the one that measures.
func Help(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("a helper has one word to say what it is, not %q", args)
	}
	switch args[0] {
	case pktgenHelper:
		return pktgenCommand(pgctrl, "start")
	case superHelper:
		return sendSuper()
	case measureHelper:
		return measure()
	}
	return fmt.Errorf("there is no helper %q", args[0])
}

// startHelper starts this program as a helper on a CPU.
func startHelper(word string, cpu int) (*exec.Cmd, error) {
	c := exec.Command("/init", native.HelperWord, word)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start helper %s: %w", word, err)
	}
	return c, pinProcess(c.Process.Pid, cpu)
}

// end kills a helper that does not end by itself.
func end(c *exec.Cmd) error {
	err := c.Process.Kill()
	c.Wait() // its status is that it was killed
	return err
}

// measureInHelper sets the machine up and returns what the helper died of.
func measureInHelper() error {
	if err := setUp(); err != nil {
		return err
	}
	var said bytes.Buffer
	c := exec.Command("/init", native.HelperWord, measureHelper)
	c.Stdout, c.Stderr = os.Stdout, io.MultiWriter(os.Stderr, &said)
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s (%w)", firstLine(said.String()), err)
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func measure() error {
	var plan native.Plan
	if err := result.LoadJSON("/"+native.PlanFile, &plan); err != nil {
		return err
	}
	file, err := os.Create("/" + native.TurnsFile)
	if err != nil {
		return err
	}
	defer file.Close()
	r := &run{plan: &plan, out: json.NewEncoder(file)}
	return errors.Join(r.all(), r.load(""))
}

func setUp() error {
	for _, m := range []struct{ kind, dir string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}} {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	// Router solicitations would be packets in the measurement.
	for _, where := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+where+"/disable_ipv6", []byte("1"), 0); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// A run is what becomes of a plan.
type run struct {
	plan   *native.Plan
	out    *json.Encoder
	loaded string // the module's file; empty if none is
}

// all gives each case its turns, round after round: what changes on the machine in the course of time meets all of them.
func (r *run) all() error {
	for round := range r.plan.Rounds {
		fmt.Printf("native: round %d of %d\n", round+1, r.plan.Rounds)
		for _, c := range r.plan.Cases {
			for _, m := range r.turns(c, round) {
				if err := r.turn(c, m); err != nil {
					return fmt.Errorf("%s, %s: %w", c.Name(), m.Peer, err)
				}
			}
		}
	}
	return nil
}

// turns begins every second round with the last: who is always second might find what the first has left.
func (r *run) turns(c native.Case, round int) []native.Module {
	turns := c.Turns(r.plan.Modules, r.plan.Peers)
	if round%2 == 1 {
		for i, j := 0, len(turns)-1; i < j; i, j = i+1, j-1 {
			turns[i], turns[j] = turns[j], turns[i]
		}
	}
	return turns
}

func (r *run) turn(c native.Case, m native.Module) error {
	fmt.Printf("native: %s, %s\n", c.Name(), m.Peer) // the last words, should it hang
	if m.File != "" {
		if err := r.load(m.File); err != nil {
			return err
		}
	}
	t := &turn{plan: r.plan, c: c, peer: m.Peer}
	if err := t.run(); err != nil {
		return err
	}
	return r.out.Encode(native.Turn{Case: c, Peer: m.Peer, Windows: t.meter.windows})
}

// load makes that file the module which is loaded, or none.
func (r *run) load(file string) error {
	if r.loaded == file {
		return nil
	}
	if r.loaded != "" {
		if err := unload(); err != nil {
			return err
		}
		r.loaded = ""
	}
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("load %s: %w: the console tells why", file, err)
	}
	r.loaded = file
	return nil
}

// unload waits until what was in use is not.
func unload() error {
	const patience = 2 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := unix.DeleteModule("mytun", 0)
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("unload mytun: %w", err)
		}
	}
}

// pinProcess keeps the threads that a process has, and those that they make, on a CPU.
func pinProcess(pid, cpu int) error {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return err
		}
		if err := pinThread(id, cpu); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func pinThread(id, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(id, &set); err != nil {
		return fmt.Errorf("pin thread %d to CPU %d: %w", id, cpu, err)
	}
	return nil
}
