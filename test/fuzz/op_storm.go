// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// Many threads in one call, to find out who has to wait for all of them.

// crowd is how many threads make a call at once.
const crowd = 64

// stormed are calls that a crowd makes.
var stormed = enum{
	"seteventfds", "setpoll", "setrings", "setbackpressure", "get_info", "get_stats", "wait", "batch",
	"attachfilter", "detachfilter", "settxfilter", "steering", "filter",
	"setiff", "setqueue", "setpersist", "setowner", "setoffload", "setlink", "setcarrier",
	"sndbuf", "vnethdrsz", "setaddress", "getdevnetns",
}

// underRTNL are those that hold rtnl, with both drivers.
var underRTNL = []string{
	"attachfilter", "detachfilter", "settxfilter", "steering", "filter", "setiff", "setqueue", "setpersist", "setowner",
	"setoffload", "setlink", "setcarrier", "sndbuf", "vnethdrsz", "setaddress", "getdevnetns",
}

// storm is a crowd that makes one call, each so many times. Grace periods are as
// long as everywhere meanwhile: who makes others wait for some is to be seen.
func (w *world) storm(_ *thread, a []uint64) error {
	expedite(false)
	defer expedite(true)
	fd, call, fails := firstFile+int(a[0]), stormed[a[1]], make(chan error, crowd)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		License: "GPL", Type: ebpf.SocketFilter, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer program.Close()
	var threads sync.WaitGroup
	for i := range crowd {
		threads.Go(func() {
			var err error
			for n := range a[2] {
				err = w.stormCall(a[0], fd, call, program.FD(), uint64(i)+n)
			}
			fails <- err
		})
	}
	threads.Wait()
	return <-fails
}

// stormCall is one call of a crowd; what varies in it comes from a number.
func (w *world) stormCall(file uint64, fd int, call string, program int, n uint64) error {
	f, odd := &device.File{FD: fd}, n&1
	switch call {
	case "seteventfds":
		return w.seteventfds(nil, []uint64{file, 2*file + odd, 2*file + 1 - odd, 2 * file, 0})
	case "setpoll":
		return f.TrySetPoll(uint32(n))
	case "setrings":
		return f.TrySetRings(device.RingConfig{
			RxSize: device.RingSizeMin, TxSize: device.RingSizeMin,
			RxHeadroom: device.RxRoomMax, RxTailroom: 1,
		})
	case "setbackpressure":
		return f.TrySetBackpressure(uint32(odd))
	case "get_info":
		_, err := f.TryInfo()
		return err
	case "get_stats":
		return device.Ioctl(fd, device.IocGetStats, make([]byte, device.StatsSize))
	case "wait":
		return f.TryWait()
	case "batch":
		return f.TrySetBatch(uint32(n) & (device.BatchRead | device.BatchWrite))
	}
	return w.stormTun(f, call, program, odd)
}

// stormTun is stormCall for the commands that stock tun has.
func (w *world) stormTun(f *device.File, call string, program int, odd uint64) error {
	switch call {
	case "attachfilter":
		return f.TryAttachFilter([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}})
	case "detachfilter":
		return device.IoctlValue(f.FD, unix.TUNDETACHFILTER, 0)
	case "settxfilter":
		return device.Ioctl(f.FD, unix.TUNSETTXFILTER, make([]byte, 4+6*odd))
	case "steering", "filter":
		return f.SetInt(programRequests[call], program)
	case "setiff":
		_, err := f.TryAttach(devices[odd], device.TUN|device.Multi)
		return err
	case "setqueue":
		return f.TrySetQueue([...]uint16{unix.IFF_DETACH_QUEUE, unix.IFF_ATTACH_QUEUE}[odd])
	case "setaddress":
		b := device.Ifreq("", unix.ARPHRD_ETHER)
		b[unix.IFNAMSIZ+2], b[unix.IFNAMSIZ+7] = 2, byte(odd)
		return device.Ioctl(f.FD, unix.SIOCSIFHWADDR, b)
	case "getdevnetns":
		namespace, err := unix.IoctlRetInt(f.FD, unix.TUNGETDEVNETNS)
		if err == nil {
			unix.Close(namespace)
		}
		return err
	case "sndbuf", "vnethdrsz", "setcarrier":
		return f.SetInt(map[string]uint{
			"sndbuf": unix.TUNSETSNDBUF, "vnethdrsz": unix.TUNSETVNETHDRSZ, "setcarrier": unix.TUNSETCARRIER,
		}[call], int(10+odd))
	}
	return device.IoctlValue(f.FD, map[string]uint{
		"setpersist": unix.TUNSETPERSIST, "setowner": unix.TUNSETOWNER, "setoffload": unix.TUNSETOFFLOAD, "setlink": unix.TUNSETLINK,
	}[call], uintptr(odd))
}

// expedite makes grace periods end at once, as fuzz.sh has them on the kernel's
// command line, or not.
func expedite(on bool) {
	value := "0"
	if on {
		value = "1"
	}
	os.WriteFile("/sys/kernel/rcu_expedited", []byte(value), 0)
}
