// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kinds are the devices whose looks are compared.
var kinds = []uint16{
	device.TUN, device.TAP, unix.IFF_TUN, device.TUN | device.Vnet, device.TAP | device.Multi, device.TUN | device.NoCarrier,
}

func onEachKind(run func(w *world, f *file)) (scenarios []scenario) {
	for _, kind := range kinds {
		scenarios = append(scenarios, scenario{flagNames(kind), func(w *world) {
			f := w.open("file")
			f.attach("conf", kind)
			run(w, f)
		}})
	}
	return scenarios
}

func TestLooks(t *testing.T) {
	compare(t, "look", onEachKind(func(w *world, f *file) {
		w.look("conf")
		f.value("TUNSETOWNER", unix.TUNSETOWNER, 1000)
		f.value("TUNSETGROUP", unix.TUNSETGROUP, 2000)
		f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
		device.Up(w, "conf")
		w.look("conf")
		device.Down(w, "conf")
		w.look("conf")
		f.close()
		device.Up(w, "conf")
		w.look("conf")
	}))
}

func TestMTU(t *testing.T) {
	compare(t, "mtu", onEachKind(func(w *world, _ *file) {
		for _, mtu := range []int{0, 67, 68, 1280, 1500, 9000, 65521, 65522, 65535, 65536, 1 << 30} {
			w.log(fmt.Sprintf("mtu %d", mtu), "%s", outcome(netlink.LinkSetMTU(device.LinkOf(w, "conf"), mtu)))
		}
		w.look("conf")
	}))
}

func TestLinkTypes(t *testing.T) {
	types := []uintptr{arphrdEther, 512, 768, arphrdTunnel6, 772, 774, 776, 778, 801, 805, 820, 824, 823, 32, arphrdIEEE802154, arphrd6LoWPAN, 0x1fffe, arphrdNone}
	compare(t, "type", onEachKind(func(w *world, f *file) {
		for _, kind := range types {
			f.value("TUNSETLINK", unix.TUNSETLINK, kind)
			w.sysfs(fmt.Sprintf("%d ", kind), "conf", "type", "addr_len")
			f.call(fmt.Sprintf("SIOCSIFHWADDR, type %d", kind), unix.SIOCSIFHWADDR, hwaddr(uint16(kind), 2, 0, 0, 0, 0, 9))
			w.log(fmt.Sprintf("up with type %d", kind), "%s", outcome(netlink.LinkSetUp(device.LinkOf(w, "conf"))))
			device.Down(w, "conf")
		}
		w.look("conf")
	}))
}

func TestCarrier(t *testing.T) {
	compare(t, "carrier", onEachKind(func(w *world, f *file) {
		device.Up(w, "conf")
		for _, on := range []uint32{0, 0, 1, 1, 256, 0} {
			f.call(fmt.Sprintf("TUNSETCARRIER %d", on), unix.TUNSETCARRIER, le32(on))
			w.sysfs("", "conf", "carrier")
		}
		for _, on := range []string{"1", "0"} {
			w.log("carrier through sysfs "+on, "%s", outcome(writeFile(w.mountSysfs()+"/class/net/conf/carrier", on)))
			w.sysfs("", "conf", "carrier")
		}
		f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
		f.close()
		w.log("carrier without a process", "%s", outcome(writeFile(w.mountSysfs()+"/class/net/conf/carrier", "1")))
		w.sysfs("", "conf", "carrier")
	}))
}

func TestAddresses(t *testing.T) {
	compare(t, "address", onEachKind(func(w *world, f *file) {
		for _, address := range [][]byte{mac(9), {3, 0, 0, 0, 0, 9}, make([]byte, 6)} {
			f.call(fmt.Sprintf("SIOCSIFHWADDR %x", address), unix.SIOCSIFHWADDR, hwaddr(arphrdEther, address...))
			w.log(fmt.Sprintf("ip link set address %x", address), "%s",
				outcome(netlink.LinkSetHardwareAddr(device.LinkOf(w, "conf"), address)))
		}
		f.call("SIOCSIFHWADDR first", unix.SIOCSIFHWADDR, hwaddr(arphrdEther, mac(9)...))
		f.call("SIOCGIFHWADDR", unix.SIOCGIFHWADDR, hwaddr(0))
		device.Up(w, "conf")
		f.call("SIOCSIFHWADDR, up", unix.SIOCSIFHWADDR, hwaddr(arphrdEther, mac(10)...))
		f.call("SIOCGIFHWADDR, up", unix.SIOCGIFHWADDR, hwaddr(0))
	}))
}

func TestMulticast(t *testing.T) {
	compare(t, "multicast", onEachKind(func(w *world, _ *file) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			w.Fatal(err)
		}
		defer unix.Close(fd)
		for _, up := range []bool{false, true} {
			if up {
				device.Up(w, "conf")
			}
			for _, request := range []uint{unix.SIOCADDMULTI, unix.SIOCDELMULTI, unix.SIOCDELMULTI} {
				arg := device.Ifreq("conf", 0)
				copy(arg[18:], []byte{1, 0, 0x5e, 0, 0, 9})
				w.log(fmt.Sprintf("multicast address %#x, up: %v", request, up), "%s", outcome(device.Ioctl(fd, request, arg)))
			}
			w.log("promiscuous", "%s", outcome(netlink.SetPromiscOn(device.LinkOf(w, "conf"))))
			w.look("conf")
		}
	}))
}

func TestEthtool(t *testing.T) {
	compare(t, "ethtool", onEachKind(func(w *world, f *file) {
		w.features("conf")
		f.value("TUNSETOFFLOAD", unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4)
		w.features("conf")
		f.value("TUNSETOFFLOAD", unix.TUNSETOFFLOAD, 0)
		w.features("conf")
		w.ethtool("driver", "conf", 196, unix.ETHTOOL_GDRVINFO)
		w.ethtool("link", "conf", 8, unix.ETHTOOL_GLINK)
		w.ethtool("message level", "conf", 8, unix.ETHTOOL_GMSGLVL)
		w.ethtool("set message level", "conf", 8, unix.ETHTOOL_SMSGLVL, 7)
		w.ethtool("channels", "conf", 36, unix.ETHTOOL_GCHANNELS)
		w.ethtool("set channels", "conf", 36, unix.ETHTOOL_SCHANNELS, 0, 0, 0, 0, 0, 0, 0, 1)
		w.ethtool("rings", "conf", 36, unix.ETHTOOL_GRINGPARAM)
		w.ethtool("coalescing", "conf", 92, unix.ETHTOOL_GCOALESCE)
		w.ethtool("set coalescing", "conf", 92, unix.ETHTOOL_SCOALESCE, 0, 8)
		w.ethtool("time stamping", "conf", 44, unix.ETHTOOL_GET_TS_INFO)
		w.ethtool("registers", "conf", 12, unix.ETHTOOL_GREGS)
		w.ethtool("restart", "conf", 4, unix.ETHTOOL_NWAY_RST)
		w.linkSettings("conf")
	}))
}

// linkSettings asks for speed and duplex, sets them, and asks again. The first
// question is for the number of words of the three masks.
func (w *world) linkSettings(name string) {
	const size = 48 + 3*4*127
	w.ethtool("link settings, masks", name, 48, unix.ETHTOOL_GLINKSETTINGS)
	ask := func(what string) {
		b := make([]byte, size)
		copy(b, le32(unix.ETHTOOL_GLINKSETTINGS))
		if err := device.Ethtool(w, name, b); err != nil {
			w.log("ethtool "+what, "%s", outcome(err))
			return
		}
		b[0], b[1], b[2], b[3] = unix.ETHTOOL_GLINKSETTINGS, 0, 0, 0
		err := device.Ethtool(w, name, b)
		w.log("ethtool "+what, "%s, %x", outcome(err), b[:48])
		copy(b, le32(unix.ETHTOOL_SLINKSETTINGS))
		copy(b[4:], le32(2500))
		b[8] = 0 // half duplex
		w.log("ethtool set "+what, "%s", outcome(device.Ethtool(w, name, b)))
	}
	ask("link settings")
	ask("link settings again")
	w.sysfs("", name, "speed", "duplex")
}

func TestDeletion(t *testing.T) {
	compare(t, "delete", onEachKind(func(w *world, f *file) {
		device.Up(w, "conf")
		w.log("ip link del", "%s", outcome(netlink.LinkDel(device.LinkOf(w, "conf"))))
		f.getiff()
		w.exists("conf")
		f.attach("conf", device.TUN)
	}))
}
