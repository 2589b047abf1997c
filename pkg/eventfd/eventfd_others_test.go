// SPDX-License-Identifier: MIT

//go:build !linux

package eventfd

import (
	"errors"
	"testing"
)

func TestUnsupported(t *testing.T) {
	if _, err := New(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New: %v, want errors.ErrUnsupported", err)
	}
	if _, err := Wrap(0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Wrap: %v, want errors.ErrUnsupported", err)
	}
}
