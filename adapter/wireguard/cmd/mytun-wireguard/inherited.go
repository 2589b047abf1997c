// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// What wireguard-go calls the variables by which a process gets files that were opened for it, as numbers.
const (
	tunVariable    = "WG_TUN_FD"
	socketVariable = "WG_UAPI_FD"
)

// inherited are the files that whoever started this process has opened for it: nil what it opens itself.
type inherited struct {
	tun    *os.File // a queue of the interface
	socket *os.File // listens where wg looks for the interface
}

// findFiles finds the files that the environment tells of. Other programs that this one starts do not get them.
func findFiles() (files inherited, err error) {
	if files.tun, err = inheritedFile(tunVariable); err != nil {
		return files, err
	}
	files.socket, err = inheritedFile(socketVariable)
	return files, err
}

func inheritedFile(variable string) (*os.File, error) {
	value := os.Getenv(variable)
	if value == "" {
		return nil, nil
	}
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, and has to be the number of an open file", variable, value)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("%s is %d, and no file is open by that number: %w", variable, fd, err)
	}
	return os.NewFile(uintptr(fd), variable), nil
}
