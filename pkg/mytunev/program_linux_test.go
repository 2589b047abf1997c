// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// A nodeFile is a file that is none of mytun's, or closed.
type nodeFile struct {
	fakeFile
	fd   int
	err  error
	uses *int
}

func (f nodeFile) control(use func(fd uintptr)) error {
	if f.err == nil {
		*f.uses++
		use(uintptr(f.fd))
	}
	return f.err
}

func openNull(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestProgramWithoutModule(t *testing.T) {
	null := openNull(t)
	for name, detach := range map[string]func(*Device) error{
		"steering program of fake0": (*Device).DetachSteering,
		"filter program of fake0":   (*Device).DetachFilter,
	} {
		d, _ := newFakeDevice(t, 3)
		var uses [3]int
		d.queues[0].port.file = nodeFile{err: ErrClosed}
		d.queues[1].port.file = nodeFile{fd: null, uses: &uses[1]}
		d.queues[2].port.file = nodeFile{fd: null, uses: &uses[2]}
		err := detach(d)
		if !errors.Is(err, unix.ENOTTY) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want ENOTTY with %q", err, name)
		}
		if uses != [3]int{0, 1, 0} {
			t.Errorf("used queues %v, want the first that is open", uses)
		}
	}
}

func TestProgramOfClosedDevice(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	d.queues[0].port.file = nodeFile{err: ErrClosed}
	if err := d.DetachSteering(); err != ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
	other := errors.New("other")
	d.queues[0].port.file = nodeFile{err: other}
	if err := d.DetachSteering(); err != other {
		t.Errorf("%v, want what the file says", err)
	}
}

// loadProgram loads a program that returns 0, or skips the test.
func loadProgram(t *testing.T, kind ebpf.ProgramType) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("no right to load eBPF programs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestProgramThatIsNone(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	if err := d.AttachSteering(nil); err == nil || !strings.Contains(err.Error(), "steering program is nil") {
		t.Errorf("nil: %v", err)
	}
	p := loadProgram(t, ebpf.SocketFilter)
	p.Close()
	var uses int
	d.queues[0].port.file = nodeFile{fd: openNull(t), uses: &uses}
	if err := d.AttachFilter(p); err == nil || !strings.Contains(err.Error(), "filter program is closed") {
		t.Errorf("closed: %v", err)
	}
	if uses != 0 {
		t.Error("the kernel was asked to detach what was to be attached")
	}
}

func TestProgramHint(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	var uses int
	d.queues[0].port.file = nodeFile{fd: openNull(t), uses: &uses}
	for kind, hint := range map[ebpf.ProgramType]bool{ebpf.SocketFilter: false, ebpf.SchedCLS: true} {
		err := d.AttachSteering(loadProgram(t, kind))
		if !errors.Is(err, unix.ENOTTY) || strings.Contains(err.Error(), "of type SchedCLS and has to be of type SocketFilter") != hint {
			t.Errorf("%v: %v", kind, err)
		}
	}
}
