// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// needBPFLSM skips the test where no eBPF program can be a security module: the
// kernel was built without, or booted without.
func needBPFLSM(t *testing.T) {
	t.Helper()
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(symbols), " bpf_lsm_tun_dev_create\n") {
		t.Skip("the kernel was built without CONFIG_BPF_LSM")
	}
	dir := t.TempDir()
	if err := unix.Mount("securityfs", dir, "securityfs", 0, ""); err != nil {
		t.Fatalf("mount securityfs: %v", err)
	}
	defer unix.Unmount(dir, 0)
	active, err := os.ReadFile(filepath.Join(dir, "lsm"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(","+string(active)+",", ",bpf,") {
		t.Skipf("the kernel was booted with lsm=%s: bpf is not in the list", active)
	}
}

// refuse makes the security hook fail with EACCES for this process, until the
// function that it returns is called. No other part of the kernel gives that
// error for what the tests do.
func refuse(t *testing.T, hook string) (allow func()) {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "refuse", Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: hook, License: "GPL",
		Instructions: asm.Instructions{
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.JNE.Imm(asm.R0, int32(os.Getpid()), "others"),
			asm.Mov.Imm(asm.R0, -int32(unix.EACCES)),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("others"),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatalf("load a program for %s: %v", hook, err)
	}
	defer program.Close()
	attached, err := link.AttachLSM(link.LSMOptions{Program: program})
	if err != nil {
		t.Fatalf("attach a program to %s: %v", hook, err)
	}
	return func() { attached.Close() }
}

// TestSecurityModuleRefuses: each hook of tun's is called in the same place, and
// what it says is the answer. Nothing is left of what was refused.
func TestSecurityModuleRefuses(t *testing.T) {
	needBPFLSM(t)
	device.Sandbox(t)
	for _, hook := range []string{"tun_dev_create", "tun_dev_attach", "tun_dev_open", "tun_dev_attach_queue"} {
		t.Run(hook, func(t *testing.T) {
			device.Sandbox(t)
			said := compare(t, func(t *testing.T, d driver, a *answers) {
				used := belong(t, d, "used", shared, bob, unset)
				kept := belong(t, d, "kept", device.TUN, unset, unset)
				kept.SetPersist(t, true)
				kept.Close()
				held := d.open(t)
				allow := refuse(t, hook)
				playGuarded(t, d, a, used)
				_, refused := held.TryAttach("again", device.TUN)
				a.add("a file from before creates", refused)
				a.attach(t, d, "a user creates", "", device.TUN).Close()
				device.User{UID: bob, GID: bob}.Do(t, func() {
					a.attach(t, d, "bob creates", "bobs", device.TUN).Close()
					a.attach(t, d, "bob joins", "used", shared).Close()
				})
				allow()
				if refused != nil {
					_, err := held.TryAttach("again", device.TUN)
					a.add("and afterwards", err)
				}
				a.attach(t, d, "kept can be taken afterwards", "kept", device.TUN).SetPersist(t, false)
			})
			if !slices.ContainsFunc(said, func(line string) bool { return strings.HasSuffix(line, ": EACCES") }) {
				t.Error("the security module has refused nothing")
			}
		})
	}
}

// shared are the flags of a device that more than one process uses.
const shared = device.TUN | device.Multi | device.Vnet

// playGuarded makes the calls that a security module has a word in, and looks
// at what they left.
func playGuarded(t *testing.T, d driver, a *answers, used *device.File) {
	t.Helper()
	a.attach(t, d, "creates", "made", device.TUN).Close()
	exists := error(nil)
	if device.LinkExists("made") {
		exists = unix.EEXIST
	}
	a.add("the device is gone", exists)
	a.attach(t, d, "joins", "used", shared).Close()
	a.attach(t, d, "takes", "kept", device.TUN).Close()
	a.add("detaches", used.TrySetQueue(unix.IFF_DETACH_QUEUE))
	a.add("attaches again", used.TrySetQueue(unix.IFF_ATTACH_QUEUE))
	configure(a, used, "holder")
}
