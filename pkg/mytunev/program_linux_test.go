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
	closed := loadProgram(t, ebpf.SocketFilter)
	closed.Close()
	for name, c := range map[string]struct {
		p    Program
		want string
	}{
		"nil":                  {nil, "steering program is nil"},
		"nil pointer":          {(*ebpf.Program)(nil), "steering program is nil"},
		"closed":               {closed, "steering program is closed"},
		"closed, of a struct":  {programFD(-1), "steering program is closed"},
		"below -1":             {programFD(-7), "steering program is closed"},
		"pointer to a program": {new(programFD), "descriptor is not that of an eBPF program"},
	} {
		d, _ := newFakeDevice(t, 1)
		var uses int
		d.queues[0].port.file = nodeFile{fd: openNull(t), uses: &uses}
		if err := d.AttachSteering(c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if asked := c.want[0] == 'd'; asked != (uses == 1) {
			t.Errorf("%s: the kernel was asked %d times", name, uses)
		}
	}
}

// A programFD is a program by its descriptor alone.
type programFD int

func (p programFD) FD() int { return int(p) }

func TestProgramHint(t *testing.T) {
	d, _ := newFakeDevice(t, 1)
	var uses int
	d.queues[0].port.file = nodeFile{fd: openNull(t), uses: &uses}
	for kind, hint := range map[ebpf.ProgramType]bool{ebpf.SocketFilter: false, ebpf.SchedCLS: true} {
		err := d.AttachSteering(loadProgram(t, kind))
		if !errors.Is(err, unix.ENOTTY) || strings.Contains(err.Error(), "of type 3 of enum bpf_prog_type and has to be") != hint {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

func TestProgramTypeHint(t *testing.T) {
	for info, want := range map[string]string{
		"pos:\t0\nprog_type:\t1\nprog_jited:\t1\n": "",
		"pos:\t0\nprog_type:\t6\n":                 "type 6 ",
		"prog_type:\t12":                           "type 12 ",
		"pos:\t0\nflags:\t02\n":                    "not that of an eBPF program",
		"":                                         "not that of an eBPF program",
	} {
		if got := programTypeHint(info); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: %q, want %q", info, got, want)
		}
	}
	if got := programHint(1 << 30); got != "" {
		t.Errorf("of a descriptor that is not open: %q", got)
	}
}
