// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

var names = []string{
	"", "%d", "foo%d", "foo7", "fifteen-letters", "a-name-of-sixteen", "sixteen-letters%d", "a/b", "/", ".", "..", " ", "a b", "a:b", "a\tb",
	"%s", "%s%d", "%d%d", "x%dy%d", "%x", "%", "a%", "%n%n%n", "\xff\xfe", "lo",
}

func TestNames(t *testing.T) {
	var scenarios []scenario
	for _, kind := range []uint16{device.TUN, device.TAP, device.TUN | device.Excl} {
		scenarios = append(scenarios, scenario{flagNames(kind), func(w *world) {
			for i, name := range names {
				f := w.open(fmt.Sprintf("%d", i))
				f.attach(name, kind)
				f.getiff()
			}
		}})
	}
	compare(t, "names", scenarios)
}

// attempts attaches a fresh descriptor each time.
func (w *world) attempts(what, name string, sets ...uint16) {
	for _, set := range sets {
		f := w.open(what + " " + flagNames(set))
		f.attach(name, set)
		f.getiff()
		f.close()
	}
}

func TestAttach(t *testing.T) {
	all := []uint16{device.TUN, device.TAP, device.TUN | device.Multi, device.TAP | device.Multi, device.TUN | device.Excl, 0, unix.IFF_NO_PI}
	compare(t, "attach", []scenario{
		{"twice", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN)
			for _, name := range []string{"conf", "other", "", "lo", "a/b"} {
				f.attach(name, device.TUN)
			}
			for _, set := range all {
				f.attach("conf", set)
			}
			f.getiff()
		}},
		{"to a busy one", func(w *world) {
			w.open("first").attach("conf", device.TUN)
			w.attempts("second", "conf", all...)
			w.attempts("vnet", "conf", device.TUN|device.Vnet)
		}},
		{"to one with many queues", func(w *world) {
			w.open("first").attach("conf", device.TUN|device.Multi)
			w.attempts("second", "conf", all...)
		}},
		{"to a free one", func(w *world) {
			w.persistent("conf", device.TAP)
			w.attempts("again", "conf", all...)
			w.attempts("vnet", "conf", device.TAP|device.Vnet, device.TAP, unix.IFF_TAP)
			w.look("conf")
		}},
		{"to a free one with many queues", func(w *world) {
			w.persistent("conf", device.TUN|device.Multi)
			w.attempts("again", "conf", all...)
			w.look("conf")
		}},
		{"after the device went", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN)
			device.Delete(w, "conf")
			f.getiff()
			f.attach("conf", device.TAP)
			f.getiff()
		}},
		{"with an index", func(w *world) {
			for i, index := range []uint32{0, 77, 77, 1, 1<<31 - 1} {
				f := w.open(fmt.Sprint(i))
				f.call(fmt.Sprintf("TUNSETIFINDEX %d", index), unix.TUNSETIFINDEX, le32(index))
				f.attach(fmt.Sprintf("conf%d", i), device.TUN)
				if index != 0 {
					w.sysfs("", fmt.Sprintf("conf%d", i), "ifindex")
				}
			}
		}},
		{"unterminated", func(w *world) {
			f := w.open("file")
			arg := device.Ifreq(strings.Repeat("n", unix.IFNAMSIZ), device.TUN)
			for i := 18; i < len(arg); i++ {
				arg[i] = 0x77
			}
			f.call("TUNSETIFF", unix.TUNSETIFF, arg)
			f.getiff()
		}},
		{"into read-only memory", func(w *world) {
			page, err := unix.Mmap(-1, 0, device.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				w.Fatal(err)
			}
			defer unix.Munmap(page)
			copy(page, device.Ifreq("conf", device.TUN))
			if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
				w.Fatal(err)
			}
			f := w.open("file")
			f.log("TUNSETIFF", "%s", outcome(device.Ioctl(f.fd, unix.TUNSETIFF, page)))
			w.exists("conf")
		}},
	})
}

// persistent makes a device and leaves it without a queue.
func (w *world) persistent(name string, set uint16) {
	f := w.open("maker")
	f.attach(name, set)
	f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
	f.close()
}

func (w *world) exists(name string) {
	w.log("is there "+name, "%v", device.LinkExists(name))
}

func TestPersistence(t *testing.T) {
	compare(t, "persist", []scenario{
		{"outlives its file", func(w *world) {
			w.persistent("conf", device.TUN)
			w.look("conf")
			f := w.open("again")
			f.attach("conf", device.TUN)
			f.getiff()
			w.look("conf")
			f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 0)
			f.getiff()
			f.close()
			w.exists("conf")
		}},
		{"keeps what was set", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TAP)
			f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
			f.value("TUNSETOWNER", unix.TUNSETOWNER, 1000)
			f.value("TUNSETGROUP", unix.TUNSETGROUP, 2000)
			f.call("SIOCSIFHWADDR", unix.SIOCSIFHWADDR, hwaddr(arphrdEther, 2, 0, 0, 0, 0, 9))
			f.close()
			w.look("conf")
			w.sysfs("", "conf", "address", "owner", "group", "tun_flags")
		}},
		{"goes with its file", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN)
			f.close()
			w.exists("conf")
		}},
		{"goes with its last queue", func(w *world) {
			first, second := w.open("first"), w.open("second")
			first.attach("conf", device.TUN|device.Multi)
			second.attach("conf", device.TUN|device.Multi)
			first.close()
			w.exists("conf")
			second.close()
			w.exists("conf")
		}},
		{"goes with its last queue, which is detached", func(w *world) {
			first, second := w.open("first"), w.open("second")
			first.attach("conf", device.TUN|device.Multi)
			second.attach("conf", device.TUN|device.Multi)
			second.setqueue(unix.IFF_DETACH_QUEUE)
			first.close()
			w.exists("conf")
			w.sysfs("", "conf", "carrier")
			second.close()
			w.exists("conf")
		}},
	})
}

func TestRights(t *testing.T) {
	const kind = device.TUN | device.Multi
	var scenarios []scenario
	product([]int{-1, 1000}, []int{-1, 2000}, func(owner, group int) {
		scenarios = append(scenarios, scenario{fmt.Sprintf("owner %d group %d", owner, group), func(w *world) {
			f := w.open("maker")
			f.attach("conf", kind)
			if owner >= 0 {
				f.value("TUNSETOWNER", unix.TUNSETOWNER, uintptr(owner))
			}
			if group >= 0 {
				f.value("TUNSETGROUP", unix.TUNSETGROUP, uintptr(group))
			}
			product([]int{1000, 3000}, []int{2000, 3000}, func(uid, gid int) {
				attempt := w.open(fmt.Sprintf("%d:%d", uid, gid))
				device.AsUser(w, uid, gid, func() { attempt.attach("conf", kind) })
				attempt.close()
			})
		}})
	})
	scenarios = append(scenarios,
		scenario{"of an ordinary user", func(w *world) {
			w.open("maker").attach("conf", device.TUN)
			f := w.open("file")
			device.AsUser(w, 1000, 1000, func() {
				for _, set := range []uint16{device.TUN, device.TAP, 0, device.TUN | device.Excl, device.TUN | device.Multi} {
					f.attach("conf", set)
					f.attach("new", set)
				}
				f.attach("lo", device.TUN)
				f.attach("a/b", device.TUN)
			})
		}},
		scenario{"of an ordinary user who holds a file", func(w *world) {
			for i, c := range commands {
				if c.random {
					continue
				}
				f := w.open(c.name)
				f.attach(fmt.Sprintf("conf%d", i), device.TAP)
				device.AsUser(w, 1000, 1000, func() { f.run(c) })
				f.close()
			}
		}})
	compare(t, "rights", scenarios)
}

func TestQueues(t *testing.T) {
	const kind = device.TUN | device.Multi
	compare(t, "queues", []scenario{
		{"detach and attach", func(w *world) {
			first, second := w.open("first"), w.open("second")
			first.attach("conf", kind)
			second.attach("conf", kind)
			w.look("conf")
			steps := []uint16{
				unix.IFF_ATTACH_QUEUE, unix.IFF_DETACH_QUEUE, unix.IFF_DETACH_QUEUE, unix.IFF_ATTACH_QUEUE,
				unix.IFF_ATTACH_QUEUE, unix.IFF_DETACH_QUEUE | unix.IFF_ATTACH_QUEUE, 0, unix.IFF_DETACH_QUEUE,
			}
			for _, step := range steps {
				second.setqueue(step)
				second.getiff()
				w.look("conf")
			}
			second.attach("conf", kind)
			second.close()
			w.look("conf")
		}},
		{"all detached", func(w *world) {
			first, second := w.open("first"), w.open("second")
			first.attach("conf", kind)
			second.attach("conf", kind)
			device.Up(w, "conf")
			for _, f := range w.files {
				f.setqueue(unix.IFF_DETACH_QUEUE)
			}
			w.look("conf")
			first.call("TUNSETCARRIER 0", unix.TUNSETCARRIER, le32(0))
			first.call("TUNSETCARRIER 1", unix.TUNSETCARRIER, le32(1))
			w.sysfs("", "conf", "carrier")
			first.setqueue(unix.IFF_ATTACH_QUEUE)
			first.call("TUNSETCARRIER 1", unix.TUNSETCARRIER, le32(1))
			w.look("conf")
		}},
		{"detached when the device goes", func(w *world) {
			f := w.open("file")
			f.attach("conf", kind)
			f.setqueue(unix.IFF_DETACH_QUEUE)
			device.Delete(w, "conf")
			f.getiff()
			f.setqueue(unix.IFF_ATTACH_QUEUE)
			f.setqueue(unix.IFF_DETACH_QUEUE)
			f.attach("conf", kind)
			f.getiff()
		}},
		{"detached, other calls", func(w *world) {
			f := w.open("file")
			f.attach("conf", kind)
			f.setqueue(unix.IFF_DETACH_QUEUE)
			f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
			f.value("TUNSETOWNER", unix.TUNSETOWNER, 1000)
			f.value("TUNSETLINK", unix.TUNSETLINK, arphrdEther)
			f.value("TUNSETOFFLOAD", unix.TUNSETOFFLOAD, 0)
			w.look("conf")
			f.close()
			w.look("conf")
		}},
		{"one queue alone cannot", func(w *world) {
			f := w.open("file")
			f.setqueue(unix.IFF_ATTACH_QUEUE)
			f.setqueue(unix.IFF_DETACH_QUEUE)
			f.attach("conf", device.TUN)
			f.setqueue(unix.IFF_DETACH_QUEUE)
			f.setqueue(unix.IFF_ATTACH_QUEUE)
			f.getiff()
		}},
		{"too many", func(w *world) {
			var last *file
			for i := range 257 {
				last = w.open(fmt.Sprint(i))
				last.attach("conf", kind)
			}
			w.files[7].setqueue(unix.IFF_DETACH_QUEUE)
			last.attach("conf", kind)
			w.files[7].close()
			last.attach("conf", kind)
			w.look("conf")
		}},
	})
}
