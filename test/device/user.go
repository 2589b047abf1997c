// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// AsUser runs f with the effective rights of an ordinary user, in this thread
// alone, and comes back.
func AsUser(t testing.TB, uid, gid int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	setEffective(t, unix.SYS_SETRESGID, gid)
	setEffective(t, unix.SYS_SETRESUID, uid)
	defer setEffective(t, unix.SYS_SETRESGID, 0)
	defer setEffective(t, unix.SYS_SETRESUID, 0)
	f()
}

// setEffective goes around package unix, which changes all threads.
func setEffective(t testing.TB, call uintptr, id int) {
	t.Helper()
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(call, keep, uintptr(id), keep); errno != 0 {
		t.Fatalf("effective id %d: %v", id, errno)
	}
}
