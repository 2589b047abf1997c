// SPDX-License-Identifier: MIT

package syscount

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// NoFD is the FD of calls that are not told apart by file descriptor.
const NoFD = -1

// A Call is a system call, and what it was on.
type Call struct {
	Number int // of the architecture
	FD     int // file descriptor, or NoFD
}

// Counts says how often each Call was made.
type Counts map[Call]uint64

// maxCalls is how many different Calls are counted.
const maxCalls = 4096

// A Counter counts the system calls of this process, all threads included. Its
// methods are safe for concurrent use.
type Counter struct {
	calls   *ebpf.Map // of key to uint64
	control *ebpf.Map // one control
	attach  link.Link
}

// A key is how the eBPF program spells a Call.
type key struct {
	Number uint32
	FD     int32
}

// A control is what the eBPF program shares with this package besides counts.
type control struct {
	On   uint64 // not zero: count
	Lost uint64 // calls that found no room in the map
}

// Open loads the eBPF program and attaches it. It counts nothing before Start.
func Open() (*Counter, error) {
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK. If the limit cannot
	// be raised, creating the maps says so.
	_ = rlimit.RemoveMemlock()
	c := &Counter{}
	if err := c.load(); err != nil {
		c.Close()
		return nil, fmt.Errorf("syscount: %w", err)
	}
	return c, nil
}

func (c *Counter) load() error {
	var err error
	c.calls, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "syscount_calls", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: maxCalls,
	})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	c.control, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "syscount_ctl", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1,
	})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	self, err := currentProcess()
	if err != nil {
		return err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "syscount",
		Type:         ebpf.RawTracepoint,
		Instructions: assemble(self, c.calls.FD(), c.control.FD()),
		License:      "Dual MIT/GPL",
	})
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer program.Close() // the link keeps it
	c.attach, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sys_enter", Program: program})
	if err != nil {
		return fmt.Errorf("attach to raw_syscalls:sys_enter: %w", err)
	}
	return nil
}

// A process is how the kernel tells this process from all others: its number
// is valid in its PID namespace only, and that is a file on a device.
type process struct {
	id            uint32
	device, inode uint64 // of the PID namespace
}

func currentProcess() (process, error) {
	const namespace = "/proc/self/ns/pid"
	var s unix.Stat_t
	if err := unix.Stat(namespace, &s); err != nil {
		return process{}, &os.PathError{Op: "stat", Path: namespace, Err: err}
	}
	return process{id: uint32(os.Getpid()), device: uint64(s.Dev), inode: s.Ino}, nil
}

// Start begins to count. A call that is under way, such as one that sleeps, was
// made before and does not count.
func (c *Counter) Start() error { return c.set(control{On: 1}) }

func (c *Counter) set(v control) error {
	if err := c.control.Put(uint32(0), v); err != nil {
		return fmt.Errorf("syscount: %w", err)
	}
	return nil
}

// Counts returns what was counted since Start, the bpf calls that it makes to
// get there included.
func (c *Counter) Counts() (Counts, error) {
	counts := Counts{}
	var k key
	var n uint64
	entries := c.calls.Iterate()
	for entries.Next(&k, &n) {
		counts[Call{int(k.Number), int(k.FD)}] = n
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("syscount: %w", err)
	}
	return counts, nil
}

// Lost returns how many calls were not counted, which takes more different ones
// than there is room for. It should be zero.
func (c *Counter) Lost() (uint64, error) {
	var v control
	if err := c.control.Lookup(uint32(0), &v); err != nil {
		return 0, fmt.Errorf("syscount: %w", err)
	}
	return v.Lost, nil
}

// Close detaches the eBPF program and frees it.
func (c *Counter) Close() error {
	var err error
	if c.attach != nil {
		err = c.attach.Close()
	}
	return errors.Join(err, c.calls.Close(), c.control.Close())
}

// Sub returns the calls in c that are not in earlier.
func (c Counts) Sub(earlier Counts) Counts {
	d := Counts{}
	for call, n := range c {
		if n > earlier[call] {
			d[call] = n - earlier[call]
		}
	}
	return d
}
