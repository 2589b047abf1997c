// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// User is whose rights a thread of root's can have for a while.
type User struct {
	UID, GID int
	Groups   []uint32 // besides GID
	NetAdmin bool     // and CAP_NET_ADMIN all the same
}

// AsUser runs f with the effective rights of an ordinary user, in this thread
// alone, and comes back.
func AsUser(t testing.TB, uid, gid int, f func()) {
	t.Helper()
	User{UID: uid, GID: gid}.Do(t, f)
}

// Do runs f with the user's effective rights, in this thread alone, and comes
// back.
func (u User) Do(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	setGroups(t, u.Groups)
	defer setGroups(t, nil)
	setEffective(t, unix.SYS_SETRESGID, u.GID)
	setEffective(t, unix.SYS_SETRESUID, u.UID)
	defer setEffective(t, unix.SYS_SETRESGID, 0)
	defer setEffective(t, unix.SYS_SETRESUID, 0)
	if u.NetAdmin {
		raise(t, unix.CAP_NET_ADMIN)
	}
	f()
}

// AsRootInside are the attributes of a process that is root of a user namespace of its own,
// and of further namespaces: CLONE_NEWNET and others. Its users from 0 on are as many outside,
// from root on; others it does not know.
func AsRootInside(root, users int, namespaces uintptr) *syscall.SysProcAttr {
	mapping := []syscall.SysProcIDMap{{ContainerID: 0, HostID: root, Size: users}}
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | namespaces,
		UidMappings: mapping, GidMappings: mapping, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	}
}

// setEffective goes around package unix, which changes all threads.
func setEffective(t testing.TB, call uintptr, id int) {
	t.Helper()
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(call, keep, uintptr(id), keep); errno != 0 {
		t.Fatalf("effective id %d: %v", id, errno)
	}
}

// raise takes a capability back that the change of the user took.
func raise(t testing.TB, capability int) {
	t.Helper()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		t.Fatalf("capget: %v", err)
	}
	data[capability/32].Effective |= 1 << (capability % 32)
	if err := unix.Capset(&head, &data[0]); err != nil {
		t.Fatalf("capset: %v", err)
	}
}
