// SPDX-License-Identifier: MIT

//go:build !linux

package mytunev

import (
	"errors"
	"os"
)

// Stand-ins for errors that not every system has.
var (
	errAgain   = errors.New("resource temporarily unavailable")
	errMsgSize = errors.New("message too long")
)

func open(c Config) (*Device, error) {
	if _, err := c.route(os.Getenv(backendVariable)); err != nil {
		return nil, err
	}
	return nil, ErrNotSupported
}

func openFiles(Config, []*os.File) (*Device, error) { return nil, ErrNotSupported }

func pinThread(int) (undo func() error, err error) { return nil, ErrNotSupported }

func setProgram(int, programSlot, int) error { return ErrNotSupported }

func programHint(int) string { return "" }
