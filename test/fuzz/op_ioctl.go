// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func (w *world) setiff(_ *thread, a []uint64) error {
	name := names[a[1]]
	if name == "none" {
		name = ""
	}
	return w.attach(a[0], name, uint16(a[2]))
}

func (w *world) attach(file uint64, name string, flags uint16) error {
	_, err := fileOf(file).TryAttach(name, flags)
	if err == nil {
		w.flags[file].Store(uint32(flags))
		w.vnet[file].Store(vnetSize)
	}
	return err
}

func (w *world) setrings(_ *thread, a []uint64) error {
	config := device.RingConfig{RxSize: uint32(a[1]), TxSize: uint32(a[2]), Flags: uint32(a[3])}
	err := fileOf(a[0]).TrySetRings(config)
	if err == nil {
		w.setSize(a[0], config.RxSize, config.TxSize)
	}
	return err
}

func (w *world) seteventfds(_ *thread, a []uint64) error {
	return fileOf(a[0]).TrySetEventfds(device.Eventfds{
		RxDoorbell: int32(eventOf(a[1])), TxDoorbell: int32(eventOf(a[2])), TxSpace: int32(eventOf(a[3])),
		Reserved: [5]uint32{4: uint32(a[4]) & 1},
	})
}

func (w *world) unsetEventfds(_ *thread, a []uint64) error {
	return fileOf(a[0]).TrySetEventfds(device.NoEventfds)
}

func (w *world) setpersist(_ *thread, a []uint64) error {
	return device.IoctlValue(firstFile+int(a[0]), unix.TUNSETPERSIST, uintptr(a[1]))
}

func (w *world) setowner(_ *thread, a []uint64) error {
	return device.IoctlValue(firstFile+int(a[0]), unix.TUNSETOWNER, uintptr(a[1]))
}

func (w *world) setgroup(_ *thread, a []uint64) error {
	return device.IoctlValue(firstFile+int(a[0]), unix.TUNSETGROUP, uintptr(a[1]))
}

func (w *world) setoffload(_ *thread, a []uint64) error {
	return fileOf(a[0]).TrySetOffload(uintptr(a[1]))
}

func (w *world) setpoll(_ *thread, a []uint64) error { return fileOf(a[0]).TrySetPoll(uint32(a[1])) }

func (w *world) setbackpressure(_ *thread, a []uint64) error {
	return fileOf(a[0]).TrySetBackpressure(uint32(a[1]))
}

func (w *world) setqueue(_ *thread, a []uint64) error {
	return fileOf(a[0]).TrySetQueue(uint16(a[1]))
}

// control is a command that takes a number, or the address of one.
func (w *world) control(_ *thread, a []uint64) error {
	fd := firstFile + int(a[0])
	switch controls[a[1]] {
	case "link":
		return device.IoctlValue(fd, unix.TUNSETLINK, uintptr(a[2]))
	case "detachfilter":
		return device.IoctlValue(fd, unix.TUNDETACHFILTER, 0)
	}
	request := map[string]uint{
		"carrier": unix.TUNSETCARRIER, "ifindex": unix.TUNSETIFINDEX, "sndbuf": unix.TUNSETSNDBUF,
		"vnethdrsz": unix.TUNSETVNETHDRSZ, "vnetle": unix.TUNSETVNETLE, "vnetbe": unix.TUNSETVNETBE,
		"batch": device.IocSetBatch,
	}[controls[a[1]]]
	err := fileOf(a[0]).SetInt(request, int(a[2]))
	if err == nil && request == unix.TUNSETVNETHDRSZ {
		w.vnet[a[0]].Store(uint32(a[2]))
	}
	return err
}

// screen puts a filter between the stack and the process: addresses, or a
// program that is one instruction.
func (w *world) screen(_ *thread, a []uint64) error {
	lengths := map[string]uint32{"accept": 1 << 16, "drop": 0, "cut": uint32(a[2])}
	length, program := lengths[screens[a[1]]]
	if program {
		return fileOf(a[0]).TryAttachFilter([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: length}})
	}
	filter := binary.NativeEndian.AppendUint16(nil, uint16(a[2]))
	filter = binary.NativeEndian.AppendUint16(filter, uint16(a[2]%32))
	for i := range a[2] % 32 {
		filter = append(filter, byte(a[1]), 0, 0x5e, 0, 0, byte(i))
	}
	return device.Ioctl(firstFile+int(a[0]), unix.TUNSETTXFILTER, filter)
}

// query is all that can be asked of a file.
func (w *world) query(_ *thread, a []uint64) error {
	fd := firstFile + int(a[0])
	b := make([]byte, 256)
	for _, request := range []uint{
		device.IocGetInfo, device.IocGetStats, unix.TUNGETFEATURES, unix.TUNGETSNDBUF, unix.TUNGETVNETHDRSZ,
		unix.TUNGETVNETLE, unix.TUNGETVNETBE, unix.TUNGETFILTER, unix.SIOCGIFHWADDR,
	} {
		device.Ioctl(fd, request, b)
	}
	if namespace, err := unix.IoctlRetInt(fd, unix.TUNGETDEVNETNS); err == nil {
		unix.Close(namespace)
	}
	return device.Ioctl(fd, unix.TUNGETIFF, b)
}

// requests are the numbers of commands, a few unknown ones among them.
var requests = [...]uint{
	unix.TUNSETIFF, unix.TUNGETIFF, unix.TUNGETFEATURES, unix.TUNSETPERSIST, unix.TUNSETOWNER, unix.TUNSETGROUP,
	unix.TUNSETOFFLOAD, device.IocGetInfo, device.IocSetRings, device.IocSetEventfds, device.IocSetPoll,
	device.IocGetStats, device.IocSetBackpressure, device.IocGetInfo + 0x7f, unix.TUNSETNOCSUM, unix.TUNGETSNDBUF,
	unix.TUNSETLINK, unix.TUNSETTXFILTER, unix.TUNATTACHFILTER, unix.TUNDETACHFILTER, unix.TUNGETFILTER, unix.TUNSETQUEUE,
	unix.TUNSETIFINDEX, unix.TUNSETCARRIER, unix.TUNSETSTEERINGEBPF, unix.TUNSETFILTEREBPF, unix.SIOCGIFHWADDR, unix.SIOCSIFHWADDR,
	unix.TUNSETSNDBUF, unix.TUNGETVNETHDRSZ, unix.TUNSETVNETHDRSZ, unix.TUNSETVNETLE, unix.TUNSETVNETBE, device.IocSetBatch,
	device.IocWait,
}

// ioctl is any command with an argument in an unfit place.
func (w *world) ioctl(_ *thread, a []uint64) error {
	return device.IoctlValue(firstFile+int(a[0]), requests[a[1]], w.unfit(a[0], places[a[2]]))
}

// unfit is an address that a command should not find its argument at.
func (w *world) unfit(file uint64, place string) uintptr {
	switch place {
	case "kernel":
		return 0xffff888000000000
	case "readonly":
		return device.Address(w.room(file, kernelPage))
	case "edge": // the end of it is not there
		return device.Address(w.room(file, userPage)) + uintptr(w.geometry.PageLength) - 8
	case "ring": // another thread may change it
		return device.Address(w.room(file, txData))
	case "hole":
		return device.Address(w.room(file, txData)) + roomSize - uintptr(pageSize)
	}
	return 0
}
