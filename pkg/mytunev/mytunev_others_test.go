// SPDX-License-Identifier: MIT

//go:build !linux

package mytunev

import (
	"errors"
	"testing"
)

func TestOpenNotSupported(t *testing.T) {
	if _, err := Open(Config{}); err != ErrNotSupported || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Open: %v, want ErrNotSupported", err)
	}
}
