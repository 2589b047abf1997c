// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package stat tests what mytunstat says of real devices and traffic.
package stat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// report is what mytunstat -json prints, as its documentation names the fields.
type report struct {
	Seconds   float64
	Namespace uint64 `json:"network_namespace"`
	Devices   []deviceReport
	Gone      []string
	Notes     []string
}

type deviceReport struct {
	Device, Mode            string
	Up, Carrier, Persistent bool
	Rates                   *rates
	Queues                  []queueReport
}

type queueReport struct {
	Queue       int
	New, Parked bool
	Broken      []string
	Rings       *struct {
		RxSize uint32 `json:"rx_size"`
		RxUsed uint32 `json:"rx_used"`
		TxSize uint32 `json:"tx_size"`
		TxUsed uint32 `json:"tx_used"`
	}
	Rates    *rates
	Counters map[string]uint64
	Drops    map[string]struct {
		Total  uint64
		Second *float64 `json:"per_second"`
	}
	Owners []struct {
		PID     int
		Command string
	}
}

type rates struct {
	RxPackets float64  `json:"rx_packets_per_second"`
	RxBytes   float64  `json:"rx_bytes_per_second"`
	RxWakeups *float64 `json:"rx_wakeups_per_1000_packets"`
	TxPackets float64  `json:"tx_packets_per_second"`
	TxBytes   float64  `json:"tx_bytes_per_second"`
	TxWakeups *float64 `json:"tx_wakeups_per_1000_packets"`
	Drops     float64  `json:"drops_per_second"`
}

// tool is mytunstat, in the thread's namespaces. Another user can run it too, wherever it lies.
func tool(t *testing.T, uid uint32, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(filepath.Join(filepath.Dir(self), "mytunstat"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	cmd := exec.Command("/proc/self/fd/3", args...)
	cmd.ExtraFiles = []*os.File{program}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	return cmd
}

// run runs it to its end.
func run(t *testing.T, uid uint32, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd := tool(t, uid, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

// once is what one report says.
func once(t *testing.T, uid uint32, args ...string) (r report) {
	t.Helper()
	out, complaints, err := run(t, uid, append([]string{"-json"}, args...)...)
	if err != nil {
		t.Fatalf("%v: %s", err, complaints)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// live is a tool that goes on.
type live struct{ lines *bufio.Scanner }

func goOn(t *testing.T, args ...string) *live {
	t.Helper()
	cmd := tool(t, 0, append([]string{"-json", "-w", "0.1"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return &live{lines}
}

// next waits for the next report.
func (l *live) next(t *testing.T) (r report) {
	t.Helper()
	if !l.lines.Scan() {
		t.Fatalf("mytunstat ended: %v", l.lines.Err())
	}
	if err := json.Unmarshal(l.lines.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, l.lines.Bytes())
	}
	return r
}

// only is the device of a report that has one.
func (r report) only(t *testing.T, name string) *deviceReport {
	t.Helper()
	if len(r.Devices) != 1 || r.Devices[0].Device != name {
		t.Fatalf("devices are %+v, want %s alone; notes %q", r.Devices, name, r.Notes)
	}
	return &r.Devices[0]
}

// queue is a queue of a device's that has so many.
func (d *deviceReport) queue(t *testing.T, number, of int) *queueReport {
	t.Helper()
	if len(d.Queues) != of || d.Queues[number].Queue != number {
		t.Fatalf("queues are %+v, want %d", d.Queues, of)
	}
	return &d.Queues[number]
}

func (q *queueReport) checkOwner(t *testing.T) {
	t.Helper()
	if len(q.Owners) != 1 || q.Owners[0].PID != os.Getpid() || q.Owners[0].Command != device.CommandName(os.Getpid()) {
		t.Errorf("owners are %+v, want this process, %d %s", q.Owners, os.Getpid(), device.CommandName(os.Getpid()))
	}
}

func noted(r report, text string) bool { return strings.Contains(strings.Join(r.Notes, "\n"), text) }
