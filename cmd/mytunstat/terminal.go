// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalSize is how many characters fit on a terminal. It is false if f is none.
func terminalSize(f *os.File) (width, height int, ok bool) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return int(size.columns), int(size.rows), errno == 0
}
