// SPDX-License-Identifier: MIT

package mytunev

import "golang.org/x/sys/unix"

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
