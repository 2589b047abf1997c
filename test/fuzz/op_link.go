// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"os"
	"strings"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What happens to the interface: by its owner, not by the process.

// link changes an interface as ip(8), tc(8) and sysfs do.
func (w *world) link(_ *thread, a []uint64) error {
	link, err := netlink.LinkByName(devices[a[0]])
	if err != nil {
		return err
	}
	switch linkChanges[a[1]] {
	case "bridge", "headroom", "unbridge", "vlan":
		return neighbour(link, linkChanges[a[1]])
	case "up":
		return netlink.LinkSetUp(link)
	case "down":
		return netlink.LinkSetDown(link)
	case "delete":
		return netlink.LinkDel(link)
	case "mtu":
		return netlink.LinkSetMTU(link, int(a[2]&0xffff))
	case "queuelen":
		return netlink.LinkSetTxQLen(link, int(a[2]&0xffff))
	case "address":
		return netlink.LinkSetHardwareAddr(link, []byte{2, 0, 0, 1, 2, byte(a[2])})
	case "promiscuous":
		return netlink.SetPromiscOn(link)
	case "rename":
		return errors.Join(netlink.LinkSetName(link, "fzr"), netlink.LinkSetName(link, devices[a[0]]))
	case "rps":
		return os.WriteFile("/sys/class/net/"+devices[a[0]]+"/queues/rx-0/rps_cpus", []byte{'0' + byte(a[2]&3)}, 0)
	case "qdisc":
		return netlink.QdiscReplace(netlink.NewPrio(netlink.QdiscAttrs{
			LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0),
		}))
	}
	return unix.EINVAL
}

// ethtool asks and sets. An answer that cannot be read, as the device changed
// meanwhile, is no news.
func (w *world) ethtool(t *thread, a []uint64) error {
	name := devices[a[0]]
	c := device.Coalesce{RxUsecs: uint32(a[2]), RxFrames: uint32(a[3]), TxUsecs: uint32(a[2])}
	switch ethtools[a[1]] {
	case "driver":
		device.DriverOf(t, name)
	case "channels":
		device.ChannelsOf(t, name)
	case "rings":
		device.RingsOf(t, name)
	case "statistics":
		device.StatisticsOf(t, name)
	case "coalesce":
		device.CoalesceOf(t, name)
	case "set_coalesce":
		return device.TrySetCoalesce(t, name, c, 0)
	case "queue_coalesce":
		device.QueueCoalesceOf(t, name, int(a[3]&1))
		return device.TrySetQueueCoalesce(t, name, int(a[3]&1), c)
	case "gro":
		device.SetFeature(t, name, "rx-gro", a[3]&1 != 0)
	case "gso":
		device.SetFeature(t, name, "tx-generic-segmentation", a[3]&1 != 0)
	case "tso":
		device.SetFeature(t, name, "tx-tcp-segmentation", a[3]&1 != 0)
	}
	return nil
}

// device is an honest program's set-up, all of it, so that the program comes to
// where there is something to break.
func (w *world) device(t *thread, a []uint64) error {
	file, name := a[0], a[1]
	err := errors.Join(w.open(t, a[:1]), w.attach(file, devices[name], flagsOf(devicekinds.enum[a[2]])))
	if err != nil {
		return err
	}
	if err := w.setrings(t, []uint64{file, ringSize(a[3]), ringSize(a[4]), 0}); err != nil {
		return err
	}
	w.mapAll(t, file)
	w.newEvent(t, []uint64{2 * file, 0})
	w.newEvent(t, []uint64{2*file + 1, 0})
	return errors.Join(w.seteventfds(t, []uint64{file, 2 * file, 2*file + 1, 2 * file, 0}), configure(name))
}

// flagsOf are the flags of TUNSETIFF for a kind of device: "tap_vnet_multi".
func flagsOf(what string) uint16 {
	flags := uint16(unix.IFF_NO_PI)
	for word := range strings.SplitSeq(what, "_") {
		switch word {
		case "tun":
			flags |= unix.IFF_TUN
		case "tap":
			flags |= unix.IFF_TAP
		case "vnet":
			flags |= device.Vnet
		case "multi":
			flags |= device.Multi
		case "napi":
			flags |= unix.IFF_NAPI
		case "pi":
			flags &^= unix.IFF_NO_PI
		}
	}
	return flags
}

// ringSize is a size that a ring can have, from any number.
func ringSize(wanted uint64) uint64 {
	size := uint64(device.RingSizeMin)
	for size*2 <= wanted {
		size *= 2
	}
	return size
}

func (w *world) mapAll(t *thread, file uint64) {
	for region := range uint64(4) {
		prot := uint64(unix.PROT_READ | unix.PROT_WRITE)
		if region == kernelPage {
			prot = unix.PROT_READ
		}
		w.mapRegion(t, []uint64{file, region, prot, 0})
	}
}

// configure sets an interface up, with addresses, and a neighbour if it is TAP.
func configure(name uint64) error {
	link, err := netlink.LinkByName(devices[name])
	if err != nil {
		return err
	}
	l := sides(name)
	if len(link.Attrs().HardwareAddr) != 0 {
		netlink.LinkSetHardwareAddr(link, l.HostMAC)
		defer netlink.NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: l.Peer4.AsSlice(), HardwareAddr: l.PeerMAC,
		})
	}
	address, err := netlink.ParseAddr(l.Host4.String() + "/24")
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetUp(link), netlink.AddrReplace(link, address))
}
