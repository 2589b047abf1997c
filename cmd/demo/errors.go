// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// explainOpen says what to do when the device cannot be opened, in the words of this
// program's flags. Why there is no device node the error says itself.
func explainOpen(name string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return errors.New("creating a network device takes root's rights (CAP_NET_ADMIN): run this with sudo")
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST), nameTaken(name):
		return fmt.Errorf("there is a network device %s already: choose another one with -name, or delete it: "+
			"sudo ip link delete %[1]s", name)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("not enough memory for the rings: choose a smaller -ring or fewer -queues (%w)", err)
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the module refuses this: fewer -queues may do (%w)", err)
	}
	return err
}

func nameTaken(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// explainCounter says what to do when the eBPF program cannot be used.
func explainCounter(err error) error {
	const without = "or leave out -syscalls"
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return fmt.Errorf("-syscalls: this kernel refuses the eBPF program, %s: %s", without, firstLine(verifier))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("-syscalls: eBPF takes root's rights (CAP_BPF and CAP_PERFMON), "+
			"which containers and kernel lockdown may deny: run this with sudo, %s", without)
	case errors.Is(err, unix.ENOSYS), errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("-syscalls: this kernel has no eBPF for tracing: use Linux 5.8 or newer, %s (%s)", without, firstLine(err))
	}
	return fmt.Errorf("-syscalls: %s (fix that, %s)", firstLine(err), without)
}

// firstLine is for errors that go on and on.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
