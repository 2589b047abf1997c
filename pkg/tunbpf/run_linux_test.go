// SPDX-License-Identifier: MIT

package tunbpf

import (
	"errors"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Tests whose names begin with TestModule run programs in the kernel, on invented
// frames. They need no module, but root; a host where that is not to be had skips
// them, and the selftests run them on each kernel.

// loaded fails the test, or skips it for want of rights, if err is not nil.
func loaded(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) && !isVerifier(err) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("no right to load eBPF programs: %v", err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
}

// run runs a program on a frame and returns its result. Programs see what is
// behind the kernel's own Ethernet header.
func run(t testing.TB, p *ebpf.Program, frame []byte) uint32 {
	t.Helper()
	own := ethernet(0x88b5)
	result, err := p.Run(&ebpf.RunOptions{Data: append(own, frame...)})
	if err != nil {
		t.Fatalf("run on %x: %v", frame, err)
	}
	return result
}

// keepOnly takes all capabilities but these from the thread, for good: it ends with
// the goroutine, which is that of a subtest.
func keepOnly(t testing.TB, capabilities ...int) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for _, c := range capabilities {
		sets[c/32].Effective |= 1 << (c % 32)
		sets[c/32].Permitted |= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		t.Fatal(err)
	}
}
