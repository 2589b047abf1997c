// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	unset = -1 // owner or group of a device that has none
	alice = 1000
	bob   = 2000
	staff = 3000
)

// users are who the scenarios are played by.
var users = []struct {
	name string
	device.User
}{
	{"root", device.User{}},
	{"alice", device.User{UID: alice, GID: alice}},
	{"alice of staff", device.User{UID: alice, GID: alice, Groups: []uint32{staff}}},
	{"alice with CAP_NET_ADMIN", device.User{UID: alice, GID: alice, NetAdmin: true}},
	{"bob", device.User{UID: bob, GID: bob}},
	{"bob of alice's group", device.User{UID: bob, GID: alice}},
}

// belong makes a device that belongs to somebody, and keeps its first queue.
func belong(t *testing.T, d driver, name string, flags uint16, owner, group int) *device.File {
	t.Helper()
	f := d.open(t)
	f.Attach(t, name, flags)
	for request, id := range map[uint]int{unix.TUNSETOWNER: owner, unix.TUNSETGROUP: group} {
		if id == unset {
			continue
		}
		if err := device.IoctlValue(f.FD, request, uintptr(id)); err != nil {
			t.Fatalf("owner or group %d: %v", id, err)
		}
	}
	return f
}

// everyOwner calls f for every combination of an owner and a group but neither,
// in which case kernels differ.
func everyOwner(f func(what string, owner, group int)) {
	for _, owner := range []int{unset, alice, bob} {
		for _, group := range []int{unset, alice, staff, bob} {
			if owner == unset && group == unset {
				continue
			}
			f(fmt.Sprintf("device of %d:%d", owner, group), owner, group)
		}
	}
}

// TestUsersCreate: who may make a device, and with what words.
func TestUsersCreate(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		for _, u := range users {
			u.Do(t, func() {
				for _, flags := range []uint16{device.TUN, device.TAP, device.TUN | device.Multi, device.TAP | device.Vnet | device.Excl} {
					f := a.attach(t, d, fmt.Sprintf("%s creates %#x", u.name, flags), "mine", flags)
					f.Close()
				}
				a.attach(t, d, u.name+" names a foreign device", "lo", device.TUN).Close()
				a.attach(t, d, u.name+" gives no name", "", device.TUN).Close()
			})
		}
	})
}

// TestOwnersAttachAFurtherQueue: to a device that somebody else made and uses.
func TestOwnersAttachAFurtherQueue(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		everyOwner(func(what string, owner, group int) {
			first := belong(t, d, "shared", device.TUN|device.Multi, owner, group)
			defer first.Close()
			for _, u := range users {
				u.Do(t, func() {
					f := a.attach(t, d, u.name+" joins the "+what, "shared", device.TUN|device.Multi)
					_, err := f.TryAttach("shared", device.TUN|device.Multi)
					a.add("and once more", err)
					f.Close()
				})
			}
		})
	})
}

// TestOwnersAttachToAPersistentDevice that nobody uses.
func TestOwnersAttachToAPersistentDevice(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		everyOwner(func(what string, owner, group int) {
			first := belong(t, d, "kept", device.TAP, owner, group)
			first.SetPersist(t, true)
			first.Close()
			defer device.Delete(t, "kept")
			for _, u := range users {
				u.Do(t, func() { a.attach(t, d, u.name+" takes the "+what, "kept", device.TAP).Close() })
			}
		})
	})
}

// TestDeviceOfNobodyNeedsTheCapability: owner and group are a permission, so
// where neither is set nobody has it. An older kernel's own tun takes it for
// everybody's permission; mytun is as strict there as newer ones are.
func TestDeviceOfNobodyNeedsTheCapability(t *testing.T) {
	device.Sandbox(t)
	stock, ours := playAll(t, func(t *testing.T, d driver, a *answers) {
		belong(t, d, "nobodys", device.TUN|device.Multi, unset, unset)
		for _, u := range users {
			u.Do(t, func() { a.attach(t, d, u.name, "nobodys", device.TUN|device.Multi).Close() })
		}
	})
	var strict, lax answers
	for _, u := range users {
		refused := error(unix.EPERM)
		if u.UID == 0 || u.NetAdmin {
			refused = nil
		}
		strict.add(u.name, refused)
		lax.add(u.name, nil)
	}
	t.Logf("stock tun: %v", stock)
	if !slices.Equal(ours, strict) {
		t.Errorf("mytun says %v, want %v", ours, strict)
	}
	if !slices.Equal(stock, strict) && !slices.Equal(stock, lax) {
		t.Errorf("stock tun is neither strict nor lax: %v", stock)
	}
}

// TestRefusalsComeInTheSameOrder: a call that is wrong in more than one way.
func TestRefusalsComeInTheSameOrder(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		belong(t, d, "one", device.TUN, bob, unset)
		belong(t, d, "many", device.TUN|device.Multi, bob, unset)
		for _, u := range users {
			u.Do(t, func() {
				for _, name := range []string{"one", "many", "lo"} {
					for _, flags := range []uint16{
						device.TUN, device.TAP, device.TUN | device.Multi, device.TAP | device.Multi,
						device.TUN | device.Excl, device.TUN | device.Multi | device.Excl,
					} {
						a.attach(t, d, fmt.Sprintf("%s attaches to %s with %#x", u.name, name, flags), name, flags).Close()
					}
				}
			})
		}
	})
}

// configure makes every call that changes the device a file is attached to.
func configure(a *answers, f *device.File, who string) {
	for _, c := range []struct {
		what    string
		request uint
		values  []uint32
	}{
		{"TUNSETPERSIST", unix.TUNSETPERSIST, []uint32{1, 0}},
		{"TUNSETOWNER", unix.TUNSETOWNER, []uint32{alice, bob, 0, ^uint32(0)}},
		{"TUNSETGROUP", unix.TUNSETGROUP, []uint32{alice, staff, 0, ^uint32(0)}},
		{"TUNSETOFFLOAD", unix.TUNSETOFFLOAD, []uint32{device.OffloadCsum, 0}},
	} {
		for _, value := range c.values {
			a.set(f, who+": "+c.what, c.request, value)
		}
	}
	a.add(who+": TUNGETIFF", device.Ioctl(f.FD, unix.TUNGETIFF, device.Ifreq("", 0)))
	a.add(who+": TUNGETFEATURES", device.Ioctl(f.FD, unix.TUNGETFEATURES, make([]byte, 4)))
}

// TestHoldersConfigure: whoever holds an attached file, or one that is not.
func TestHoldersConfigure(t *testing.T) {
	device.Sandbox(t)
	compare(t, func(t *testing.T, d driver, a *answers) {
		for _, u := range users {
			held := belong(t, d, "held", device.TUN|device.Vnet, bob, bob)
			loose := d.open(t)
			u.Do(t, func() {
				configure(a, held, u.name+" with a queue")
				configure(a, loose, u.name+" without a device")
				_, err := loose.TryAttach("", device.TUN)
				a.add(u.name+" with root's file", err)
			})
			held.Close()
			loose.Close()
		}
	})
}
