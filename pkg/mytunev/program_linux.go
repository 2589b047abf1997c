// SPDX-License-Identifier: MIT

package mytunev

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// setProgram gives a device an eBPF program by its descriptor, -1 meaning none.
func setProgram(fd int, slot programSlot, program int) error {
	request := uintptr(unix.TUNSETSTEERINGEBPF)
	if slot == filterSlot {
		request = unix.TUNSETFILTEREBPF
	}
	arg := uint32(int32(program))
	err := ioctl(fd, request, &arg)
	if err == unix.EBADFD {
		return ErrDetached
	}
	return err
}

// programHint says what is wrong with a program that the kernel did not take, by what
// it tells of the descriptor.
func programHint(program int) string {
	if program < 0 {
		return ""
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", program))
	if err != nil {
		return ""
	}
	return programTypeHint(string(info))
}

func programTypeHint(info string) string {
	for line := range strings.Lines(info) {
		kind, ok := strings.CutPrefix(line, "prog_type:")
		if !ok {
			continue
		}
		if kind = strings.TrimSpace(kind); kind == fmt.Sprint(unix.BPF_PROG_TYPE_SOCKET_FILTER) {
			return ""
		}
		return "the program is of type " + kind + " of enum bpf_prog_type and has to be of type SocketFilter, 1"
	}
	return "the descriptor is not that of an eBPF program"
}
