// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Sandbox moves the test into a network namespace of its own, with lo up. The
// goroutine keeps its thread: sockets, files and netlink calls of the test
// function are in the namespace; those of other goroutines are not.
func Sandbox(t testing.TB) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	ns := NewNamespace(t)
	Enter(t, ns)
	return ns
}

// NewNamespace is a new network namespace, until the end of the test; the
// caller stays where it is. Call it on a locked thread.
func NewNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	ns := MakeNamespace(t)
	t.Cleanup(func() { ns.Close() })
	return ns
}

// MakeNamespace is NewNamespace where the caller closes the handle.
func MakeNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	old, err := netns.Get()
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	defer old.Close()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	quiet(t)
	Up(t, "lo")
	Enter(t, old)
	return ns
}

// NamespaceOf is the network namespace of a process. The caller closes it.
func NamespaceOf(t testing.TB, pid int) netns.NsHandle {
	t.Helper()
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		t.Fatalf("network namespace of process %d: %v", pid, err)
	}
	return ns
}

// Number gives a network namespace a number in the thread's, for CountNumbered.
func Number(t testing.TB, ns netns.NsHandle) {
	t.Helper()
	const any = -1
	if err := netlink.SetNetNsIdByFd(int(ns), any); err != nil {
		t.Fatalf("number a network namespace: %v", err)
	}
}

// CountNumbered is how many network namespaces have a number in the thread's. The number does
// not keep a namespace and goes as it ends. Where a device has been moved to has one too.
func CountNumbered(t testing.TB) int {
	t.Helper()
	request := nl.NewNetlinkRequest(unix.RTM_GETNSID, unix.NLM_F_DUMP)
	request.AddData(nl.NewRtGenMsg())
	found, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNSID)
	if err != nil {
		t.Fatalf("numbered network namespaces: %v", err)
	}
	return len(found)
}

// Enter moves the thread into a network namespace.
func Enter(t testing.TB, ns netns.NsHandle) {
	t.Helper()
	if err := netns.Set(ns); err != nil {
		t.Fatalf("enter network namespace: %v", err)
	}
}

// Inside runs f in a network namespace and comes back.
func Inside(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	old, err := netns.Get()
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	defer old.Close()
	Enter(t, ns)
	defer Enter(t, old)
	f()
}

// Move moves a device to another network namespace.
func Move(t testing.TB, name string, ns netns.NsHandle) {
	t.Helper()
	if err := netlink.LinkSetNsFd(LinkOf(t, name), int(ns)); err != nil {
		t.Fatalf("move %s: %v", name, err)
	}
}

// quiet keeps the kernel from sending frames of its own over new devices.
func quiet(t testing.TB) {
	t.Helper()
	for _, setting := range [][2]string{
		{"disable_ipv6", "1"}, {"accept_dad", "0"}, {"addr_gen_mode", "1"},
		{"router_solicitations", "0"}, {"accept_ra", "0"},
	} {
		Sysctl(t, "net/ipv6/conf/default/"+setting[0], setting[1])
	}
}

// Sysctl sets a value below /proc/sys.
func Sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

// LinkOf is a device of the thread's namespace.
func LinkOf(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("link %s: %v", name, err)
	}
	return link
}

// LinkExists tells whether the thread's namespace has such a device.
func LinkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// Up sets a device up.
func Up(t testing.TB, name string) {
	t.Helper()
	if err := netlink.LinkSetUp(LinkOf(t, name)); err != nil {
		t.Fatalf("%s up: %v", name, err)
	}
}

// WaitCarrier waits until devices can send. A veth gets its carrier when the other end comes
// up, but its queue only when the kernel comes round to it: until then it drops what it is
// to send, without a word.
func WaitCarrier(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		WaitFor(t, name+" to have its carrier", func() bool { return LinkOf(t, name).Attrs().OperState == netlink.OperUp })
	}
}

// Down sets a device down.
func Down(t testing.TB, name string) {
	t.Helper()
	if err := netlink.LinkSetDown(LinkOf(t, name)); err != nil {
		t.Fatalf("%s down: %v", name, err)
	}
}

// SetMTU sets the MTU of a device.
func SetMTU(t testing.TB, name string, mtu int) {
	t.Helper()
	if err := netlink.LinkSetMTU(LinkOf(t, name), mtu); err != nil {
		t.Fatalf("MTU %d of %s: %v", mtu, name, err)
	}
}

// Delete deletes a device.
func Delete(t testing.TB, name string) {
	t.Helper()
	if err := netlink.LinkDel(LinkOf(t, name)); err != nil {
		t.Fatalf("delete %s: %v", name, err)
	}
}

// AddAddress gives a device an address, which is usable at once.
func AddAddress(t testing.TB, name, prefix string) {
	t.Helper()
	address, err := netlink.ParseAddr(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if address.IP.To4() == nil {
		address.Flags = ifaNoDAD
	}
	if err := netlink.AddrAdd(LinkOf(t, name), address); err != nil {
		t.Fatalf("address %s on %s: %v", prefix, name, err)
	}
	// IPv6 inserts the local route later, from a worker
	WaitFor(t, "the route to "+prefix, func() bool {
		routes, err := netlink.RouteGet(address.IP)
		return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
	})
}

// RemoveAddress takes an address away from a device.
func RemoveAddress(t testing.TB, name, prefix string) {
	t.Helper()
	address, err := netlink.ParseAddr(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrDel(LinkOf(t, name), address); err != nil {
		t.Fatalf("remove %s from %s: %v", prefix, name, err)
	}
}

// AddRoute routes a prefix to a device.
func AddRoute(t testing.TB, name, prefix string) {
	t.Helper()
	destination, err := netlink.ParseIPNet(prefix)
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{LinkIndex: LinkOf(t, name).Attrs().Index, Dst: destination}
	if err := netlink.RouteAdd(route); err != nil {
		t.Fatalf("route %s to %s: %v", prefix, name, err)
	}
}

const ifaNoDAD = 0x02

// Counters are a device's statistics.
func Counters(t testing.TB, name string) netlink.LinkStatistics {
	t.Helper()
	return *LinkOf(t, name).Attrs().Statistics
}
