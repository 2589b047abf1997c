// SPDX-License-Identifier: MIT

//go:build linux

package peer

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func blocked(t *testing.T) bool {
	t.Helper()
	var now unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &now); err != nil {
		t.Fatal(err)
	}
	return now.Val[0]&(1<<(unix.SIGURG-1)) != 0
}

func TestWithoutSignals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	failure := errors.New("failure")
	inside := false
	if err := WithoutSignals(func() error { inside = blocked(t); return failure }); !errors.Is(err, failure) {
		t.Errorf("%v, want what f returned", err)
	}
	if !inside || blocked(t) {
		t.Errorf("signals blocked: %v inside and %v afterwards, want true and false", inside, blocked(t))
	}
}
