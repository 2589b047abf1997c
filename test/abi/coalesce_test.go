// SPDX-License-Identifier: MIT

//go:build mytun_device

package abi

import (
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

var coalesceDefaults = device.Coalesce{RxUsecs: 200, RxFrames: 256, TxUsecs: 50}

// checkQueueCoalesce compares the times of a queue, and what the process is told.
func checkQueueCoalesce(t *testing.T, l *device.Link, queue int, want device.Coalesce) {
	t.Helper()
	if got, err := device.QueueCoalesceOf(t, l.Name, queue); got != want || err != nil {
		t.Errorf("queue %d: %+v, %v, want %+v", queue, got, err, want)
	}
	if got := l.Queues[queue].Info(t).PollUsecs; got != want.TxUsecs {
		t.Errorf("queue %d: MYTUN_IOC_GET_INFO tells a window of %d us, want %d", queue, got, want.TxUsecs)
	}
}

func TestCoalesceIsForAllQueues(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	if got := device.CoalesceOf(t, l.Name); got != coalesceDefaults {
		t.Errorf("%+v, want %+v", got, coalesceDefaults)
	}
	all := device.Coalesce{RxUsecs: 10, RxFrames: 7, TxUsecs: 1000}
	device.SetCoalesce(t, l.Name, all)
	l.Queues = append(l.Queues, device.NewQueue(t, l.Name, device.TUN|device.Multi, minRing, minRing))
	for i := range l.Queues {
		checkQueueCoalesce(t, l, i, all)
	}
	if got := device.CoalesceOf(t, l.Name); got != all {
		t.Errorf("%+v, want %+v", got, all)
	}
}

// TestCoalesceIsForADetachedQueueToo: it sends on, and comes back as one of all.
func TestCoalesceIsForADetachedQueueToo(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 3})
	l.Queues[1].SetQueue(t, unix.IFF_DETACH_QUEUE)
	all := device.Coalesce{RxUsecs: 10, RxFrames: 7, TxUsecs: 1000}
	device.SetCoalesce(t, l.Name, all)
	for i := range l.Queues {
		checkQueueCoalesce(t, l, i, all)
	}
	l.Queues[1].SetQueue(t, unix.IFF_ATTACH_QUEUE)
	checkQueueCoalesce(t, l, 1, all)
}

func TestCoalesceOfOneQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	one := device.Coalesce{RxUsecs: 1, RxFrames: 2, TxUsecs: 3}
	if err := device.TrySetQueueCoalesce(t, l.Name, 1, one); err != nil {
		t.Fatal(err)
	}
	checkQueueCoalesce(t, l, 0, coalesceDefaults)
	checkQueueCoalesce(t, l, 1, one)
	l.Queues[1].SetPoll(t, 77)
	one.TxUsecs = 77
	checkQueueCoalesce(t, l, 1, one)
	if _, err := device.QueueCoalesceOf(t, l.Name, 2); err != unix.EINVAL {
		t.Errorf("a queue that nobody has attached: %v, want EINVAL", err)
	}
	if err := device.TrySetQueueCoalesce(t, l.Name, 2, one); err != unix.EINVAL {
		t.Errorf("a queue that nobody has attached: %v, want EINVAL", err)
	}
}

func TestCoalesceOutOfRangeChangesNothing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{Queues: 2})
	for what, c := range map[string]device.Coalesce{
		"rx-usecs": {RxUsecs: device.PollMaxUsecs + 1, RxFrames: 1, TxUsecs: 1},
		"tx-usecs": {RxUsecs: 1, RxFrames: 1, TxUsecs: device.PollMaxUsecs + 1},
	} {
		if err := device.TrySetCoalesce(t, l.Name, c, 0); err != unix.ERANGE {
			t.Errorf("%s: %v, want ERANGE", what, err)
		}
		if err := device.TrySetQueueCoalesce(t, l.Name, 0, c); err != unix.ERANGE {
			t.Errorf("%s of a queue: %v, want ERANGE", what, err)
		}
	}
	if err := device.TrySetCoalesce(t, l.Name, device.Coalesce{RxUsecs: 1}, 5); err != unix.EOPNOTSUPP {
		t.Errorf("tx-frames: %v, want EOPNOTSUPP", err)
	}
	if got := device.CoalesceOf(t, l.Name); got != coalesceDefaults {
		t.Errorf("%+v, want %+v as before", got, coalesceDefaults)
	}
	checkQueueCoalesce(t, l, 0, coalesceDefaults)
}
