// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Kinds of hardware of linux/if_arp.h, and offloads that package unix lacks.
const (
	arphrdEther      = 1
	arphrdIEEE802154 = 804
	arphrd6LoWPAN    = 825
	arphrdTunnel6    = 769
	arphrdNone       = 0xfffe

	tunFUSO = 0x60
)

// command is an ioctl and what it is called with: numbers, or contents of memory.
// What answers with a random address is only called to fail.
type command struct {
	name    string
	request uint
	values  []uintptr
	args    [][]byte
	random  bool
}

func words(values ...uint32) (args [][]byte) {
	for _, v := range values {
		args = append(args, le32(v))
	}
	return args
}

// hwaddr is the argument of the SIOC*HWADDR pair.
func hwaddr(family uint16, address ...byte) []byte {
	b := device.Ifreq("ignored", family)
	copy(b[18:], address)
	return b
}

func txfilter(flags, count uint16, addresses ...[]byte) []byte {
	b := le16(flags, count)
	for _, a := range addresses {
		b = append(b, a...)
	}
	return b
}

// commands are all that linux/if_tun.h has but TUNSETIFF and TUNGETIFF, the
// socket ioctls that stock tun knows, and some that nobody knows.
var commands = []command{
	{name: "TUNSETNOCSUM", request: unix.TUNSETNOCSUM, values: []uintptr{0, 1}},
	{name: "TUNSETDEBUG", request: unix.TUNSETDEBUG, values: []uintptr{0, 1}},
	{name: "TUNSETPERSIST", request: unix.TUNSETPERSIST, values: []uintptr{0, 1, 2, 0}},
	{name: "TUNSETOWNER", request: unix.TUNSETOWNER, values: []uintptr{0, 1000, 1<<32 - 1, 1 << 32}},
	{name: "TUNSETGROUP", request: unix.TUNSETGROUP, values: []uintptr{0, 1000, 1<<32 - 1, 1 << 32}},
	{name: "TUNSETLINK", request: unix.TUNSETLINK, values: []uintptr{
		arphrdEther, arphrdTunnel6, 0, 0x1fffe, 12345, arphrdIEEE802154, arphrd6LoWPAN, arphrdNone}},
	{name: "TUNSETOFFLOAD", request: unix.TUNSETOFFLOAD, values: []uintptr{
		0, unix.TUN_F_CSUM, unix.TUN_F_TSO4, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6,
		unix.TUN_F_CSUM | unix.TUN_F_TSO_ECN, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO_ECN,
		unix.TUN_F_CSUM | unix.TUN_F_UFO, unix.TUN_F_UFO, unix.TUN_F_CSUM | 0x20, unix.TUN_F_CSUM | tunFUSO,
		unix.TUN_F_CSUM | 0x80, unix.TUN_F_CSUM | 0x100, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | 0x100,
		unix.TUN_F_TSO4 | 0x80, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | 0x80, unix.TUN_F_CSUM | unix.TUN_F_TSO6 | 0x180,
		unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_USO4 | 0x80, 1 << 31, 1<<40 | unix.TUN_F_CSUM}},
	{name: "TUNGETFEATURES", request: unix.TUNGETFEATURES, args: words(0)},
	{name: "TUNSETTXFILTER", request: unix.TUNSETTXFILTER, args: [][]byte{
		txfilter(0, 0), txfilter(0, 1, mac(1)), txfilter(1, 0), txfilter(0xffff, 1, mac(1))}},
	{name: "TUNGETSNDBUF", request: unix.TUNGETSNDBUF, args: words(0)},
	{name: "TUNSETSNDBUF", request: unix.TUNSETSNDBUF, args: words(0, 1, 65536, 1<<31-1, 1<<31)},
	{name: "TUNGETSNDBUF again", request: unix.TUNGETSNDBUF, args: words(0)},
	{name: "TUNATTACHFILTER", request: unix.TUNATTACHFILTER, args: [][]byte{make([]byte, 16)}},
	{name: "TUNDETACHFILTER", request: unix.TUNDETACHFILTER, values: []uintptr{0, 1}},
	{name: "TUNGETFILTER", request: unix.TUNGETFILTER, args: [][]byte{{15: 9}}},
	{name: "TUNGETVNETHDRSZ", request: unix.TUNGETVNETHDRSZ, args: words(0)},
	{name: "TUNSETVNETHDRSZ", request: unix.TUNSETVNETHDRSZ, args: words(0, 9, 10, 11, 12, 20, 1<<31-1, 1<<31)},
	{name: "TUNSETQUEUE", request: unix.TUNSETQUEUE, args: [][]byte{
		device.Ifreq("", 0), device.Ifreq("", unix.IFF_ATTACH_QUEUE), device.Ifreq("", unix.IFF_DETACH_QUEUE), device.Ifreq("", 0xffff)}},
	{name: "TUNSETIFINDEX", request: unix.TUNSETIFINDEX, args: words(0, 77, 1<<31)},
	{name: "TUNGETVNETLE", request: unix.TUNGETVNETLE, args: words(9)},
	{name: "TUNSETVNETLE", request: unix.TUNSETVNETLE, args: words(1, 0, 1<<31)},
	{name: "TUNGETVNETBE", request: unix.TUNGETVNETBE, args: words(9)},
	{name: "TUNSETVNETBE", request: unix.TUNSETVNETBE, args: words(1, 0)},
	{name: "TUNSETSTEERINGEBPF", request: unix.TUNSETSTEERINGEBPF, args: words(0, 1<<32-1, 1<<32-2, 9999)},
	{name: "TUNSETFILTEREBPF", request: unix.TUNSETFILTEREBPF, args: words(0, 1<<32-1, 1<<32-2, 9999)},
	{name: "TUNSETCARRIER", request: unix.TUNSETCARRIER, args: words(0, 1, 2)},
	{name: "SIOCGIFHWADDR", request: unix.SIOCGIFHWADDR, args: [][]byte{hwaddr(0)}, random: true},
	{name: "SIOCSIFHWADDR", request: unix.SIOCSIFHWADDR, args: [][]byte{
		hwaddr(arphrdEther, 2, 0, 0, 0, 0, 9), hwaddr(arphrdEther, 3, 0, 0, 0, 0, 9), hwaddr(arphrdEther), hwaddr(arphrdNone, 2, 0, 0, 0, 0, 8)}},
	{name: "SIOCGIFMTU", request: unix.SIOCGIFMTU, args: [][]byte{hwaddr(0)}},
	{name: "TIOCINQ", request: unix.TIOCINQ, args: words(0)},
	{name: "unknown T", request: 1<<30 | 4<<16 | 'T'<<8 | 0xff, args: words(0)},
	{name: "unknown X", request: 1<<30 | 4<<16 | 'X'<<8 | 0xff, args: words(0)},
	{name: "unknown 0", request: 0, args: words(0)},
}

// state is what a descriptor is when the commands are given.
type state struct {
	name  string
	flags uint16
	reach func(w *world, name string)
}

func up(w *world, name string) { device.Up(w, name) }
func gone(w *world, name string) {
	device.Delete(w, name)
}

var states = []state{
	{"before attach", 0, nil},
	{"tun", device.TUN, nil},
	{"tun, up", device.TUN, up},
	{"tap", device.TAP, nil},
	{"tap, up", device.TAP, up},
	{"vnet", device.TUN | device.Vnet, nil},
	{"multi", device.TUN | device.Multi, nil},
	{"tun, gone", device.TUN, gone},
}

// file is a descriptor in that state, of a device of its own.
func (s *state) file(w *world, what string, number int) *file {
	f := w.open(what)
	if s.flags == 0 {
		return f
	}
	name := fmt.Sprintf("conf%d", number)
	f.attach(name, s.flags)
	if s.reach != nil {
		s.reach(w, name)
	}
	return f
}

func (f *file) run(c command) {
	for _, v := range c.values {
		f.value("", c.request, v)
	}
	for _, arg := range c.args {
		f.call(fmt.Sprintf("%x", arg), c.request, arg)
	}
	f.getiff()
}

func TestIoctls(t *testing.T) {
	var scenarios []scenario
	for _, s := range states {
		scenarios = append(scenarios, scenario{s.name, func(w *world) {
			for i, c := range commands {
				if c.random {
					continue
				}
				f := s.file(w, c.name, i)
				f.run(c)
				f.close()
			}
		}})
	}
	compare(t, "ioctl", scenarios)
}

func TestFaults(t *testing.T) {
	all := append([]command{
		{name: "TUNSETIFF", request: unix.TUNSETIFF, args: words(0)},
		{name: "TUNGETIFF", request: unix.TUNGETIFF, args: words(0)},
	}, commands...)
	var scenarios []scenario
	for _, s := range states {
		scenarios = append(scenarios, scenario{s.name, func(w *world) {
			for i, c := range all {
				if c.args == nil {
					continue
				}
				f := s.file(w, c.name, i)
				f.faults("", c.request)
				f.getiff()
				f.close()
			}
		}})
	}
	compare(t, "fault", scenarios)
}

// namespace makes an ioctl that answers with a descriptor of a namespace, and
// records whether that is the thread's.
func (f *file) namespace(what string, request uint) {
	fd, err := device.IoctlResult(f.fd, request, nil)
	if err != nil {
		f.log(what, "%s", outcome(err))
		return
	}
	defer unix.Close(fd)
	f.log(what, "a descriptor, ours: %v", sameFile(f.w, fd, "/proc/thread-self/ns/net"))
}

func sameFile(w *world, fd int, path string) bool {
	var a, b unix.Stat_t
	if err := unix.Fstat(fd, &a); err != nil {
		w.Fatal(err)
	}
	if err := unix.Stat(path, &b); err != nil {
		w.Fatal(err)
	}
	return a.Dev == b.Dev && a.Ino == b.Ino
}

func TestNamespaces(t *testing.T) {
	ask := func(f *file) {
		f.namespace("TUNGETDEVNETNS", unix.TUNGETDEVNETNS)
		f.namespace("SIOCGSKNS", unix.SIOCGSKNS)
	}
	var scenarios []scenario
	for _, s := range states {
		scenarios = append(scenarios, scenario{s.name, func(w *world) { ask(s.file(w, "file", 0)) }})
	}
	scenarios = append(scenarios,
		scenario{"moved", func(w *world) {
			f := w.open("file")
			f.attach("conf", device.TUN)
			ns := device.MakeNamespace(w)
			defer ns.Close()
			device.Move(w, "conf", ns)
			ask(f)
			f.getiff()
			device.Inside(w, ns, func() { ask(f) })
		}},
		scenario{"as a user", func(w *world) {
			before, after := w.open("before"), w.open("after")
			after.attach("conf", device.TUN)
			device.AsUser(w, 1000, 1000, func() {
				ask(before)
				ask(after)
			})
		}})
	compare(t, "namespace", scenarios)
}
