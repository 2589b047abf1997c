// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestCountersOfNoDevice(t *testing.T) {
	e, err := openEthtool()
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.counters("no-such-device")
	if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "no-such-device") {
		t.Errorf("got %v, want ENODEV with the name", err)
	}
}
