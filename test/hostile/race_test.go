// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// race runs functions at the same time, once each, again and again, each time
// on a new file, and counts how often each succeeded.
func race(t *testing.T, prepare func(*device.File), calls ...func(*device.File) error) []int {
	t.Helper()
	successes := make([]int, len(calls))
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		f := device.Open(t)
		prepare(f)
		var ready, done sync.WaitGroup
		var start atomic.Bool
		for i, call := range calls {
			ready.Add(1)
			done.Go(func() {
				ready.Done()
				for !start.Load() {
				}
				if call(f) == nil {
					successes[i]++
				}
			})
		}
		ready.Wait()
		start.Store(true)
		done.Wait()
		f.Close()
	}
	return successes
}

func attachTo(name string, flags uint16) func(*device.File) error {
	return func(f *device.File) error {
		_, err := f.TryAttach(name, flags)
		return err
	}
}

func setRings(size uint32) func(*device.File) error {
	return func(f *device.File) error {
		return f.TrySetRings(device.RingConfig{RxSize: size, TxSize: size})
	}
}

func mapSomething(f *device.File) error {
	b, err := f.TryMap(0x10000000, device.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		clear(b)
		unix.Munmap(b)
	}
	return err
}

func TestOneOfTwoRacingSetRingsWins(t *testing.T) {
	device.Sandbox(t)
	rounds := 0
	won := race(t, func(f *device.File) { f.Attach(t, "", device.TUN); rounds++ },
		setRings(minRing), setRings(2*minRing), mapSomething)
	if won[0]+won[1] != rounds {
		t.Errorf("%d rounds, %d and %d won", rounds, won[0], won[1])
	}
	device.CheckWorks(t)
}

func TestOneOfTwoRacingAttachesWins(t *testing.T) {
	device.Sandbox(t)
	rounds := 0
	won := race(t, func(*device.File) { rounds++ },
		attachTo("myrace%d", device.TUN), attachTo("myrace%d", device.TAP), setRings(minRing))
	if won[0]+won[1] != rounds {
		t.Errorf("%d rounds, %d and %d won", rounds, won[0], won[1])
	}
	device.CheckWorks(t)
}

// TestRacingConfigurationHarmsNobody: everything at once on one file.
func TestRacingConfigurationHarmsNobody(t *testing.T) {
	device.Sandbox(t)
	event := int32(device.Eventfd(t))
	other := int32(device.Eventfd(t))
	setEventfds := func(f *device.File) error {
		f.TrySetEventfds(device.Eventfds{RxDoorbell: event, TxDoorbell: other, TxSpace: event})
		return f.TrySetEventfds(device.Eventfds{RxDoorbell: other, TxDoorbell: event, TxSpace: -1})
	}
	look := func(f *device.File) error {
		os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(f.FD))
		unix.Poll([]unix.PollFd{{Fd: int32(f.FD), Events: unix.POLLIN}}, 0)
		return f.TrySetPoll(1)
	}
	ring := func(*device.File) error { return device.Signal(int(event)) }
	won := race(t, func(f *device.File) { f.Attach(t, "", device.TUN|device.Multi) },
		setRings(minRing), setRings(minRing), setEventfds, look, mapSomething, ring,
		func(f *device.File) error { return device.IoctlValue(f.FD, unix.TUNSETPERSIST, 0) })
	if won[0]+won[1] == 0 || won[2] == 0 && won[3] == 0 {
		t.Errorf("nothing ever succeeded: %v", won)
	}
	device.CheckWorks(t)
}

// TestDeviceDeletedWhileItIsConfigured: the calls race with the device's end.
func TestDeviceDeletedWhileItIsConfigured(t *testing.T) {
	device.Sandbox(t)
	event := int32(device.Eventfd(t))
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		f := device.Open(t)
		name := f.Attach(t, "", device.TUN)
		stop := background(t, func() {
			setRings(minRing)(f)
			f.TrySetEventfds(device.Eventfds{RxDoorbell: event, TxDoorbell: event, TxSpace: event})
			mapSomething(f)
			f.TrySetPoll(0)
		})
		device.Delete(t, name)
		stop()
		if err := f.TrySetPoll(0); err != unix.EBADFD {
			t.Fatalf("SET_POLL after the device's end: %v", err)
		}
		f.Close()
	}
	device.CheckWorks(t)
}

// TestCloseRacesWithCallsInFlight closes the file while threads are using it.
func TestCloseRacesWithCallsInFlight(t *testing.T) {
	device.Sandbox(t)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		f := device.Open(t)
		f.Attach(t, "", device.TUN)
		fd := &device.File{FD: f.FD}
		var started, done sync.WaitGroup
		for _, call := range []func(*device.File) error{setRings(minRing), mapSomething, attachTo("", device.TUN)} {
			started.Add(1)
			done.Go(func() {
				started.Done()
				for range 20 {
					call(fd)
				}
			})
		}
		started.Wait()
		f.Close()
		done.Wait()
	}
	device.CheckWorks(t)
}

// TestQueueIsFilteredBeforeTheStackFindsIt: one file after the other attaches to a device
// whose filter drops everything, amid a flood of which each has its share. None of them
// may get a frame, however early. IFF_NO_PI would say IFF_NOFILTER, which is the same bit.
func TestQueueIsFilteredBeforeTheStackFindsIt(t *testing.T) {
	device.Sandbox(t)
	p := device.NewPort(t, device.Node, device.Config{TAP: true, PI: true, Flags: device.Multi})
	if err := p.TryAttachFilter([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}); err != nil {
		t.Fatalf("TUNATTACHFILTER: %v", err)
	}
	conn, port := p.ListenUDP(t, false, 0), 0
	background(t, func() {
		port = port%64 + 1
		conn.WriteToUDPAddrPort([]byte("flow"), p.PeerAddr(false, port))
	})
	for i := range device.Times(500) {
		f := device.OpenNode(t, device.Node, unix.O_NONBLOCK)
		f.Attach(t, p.Name, p.Flags)
		if n, err := unix.Read(f.FD, make([]byte, 2000)); err != unix.EAGAIN {
			t.Fatalf("file %d: %d bytes came through a filter that drops all, %v", i, n, err)
		}
		f.Close()
	}
}
