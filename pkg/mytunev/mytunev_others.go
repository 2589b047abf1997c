// SPDX-License-Identifier: MIT

//go:build !linux

package mytunev

import "errors"

// Stand-ins for errors that not every system has.
var (
	errAgain   = errors.New("resource temporarily unavailable")
	errMsgSize = errors.New("message too long")
)

func open(Config) (*Device, error) { return nil, ErrNotSupported }

func pinThread(int) (undo func() error, err error) { return nil, ErrNotSupported }

func setProgram(int, programSlot, int) error { return ErrNotSupported }

func programHint(int) string { return "" }
