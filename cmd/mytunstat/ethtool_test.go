// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestCountersOfNoDevice(t *testing.T) {
	e, err := openEthtool()
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.counters("no-such-device")
	if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "no-such-device") {
		t.Errorf("got %v, want ENODEV with the name", err)
	}
}

// A kernel has queues that come and go: those of one moment after the other. Each command
// moves on to the next, up to the last.
type kernel struct {
	moments [][]int // numbers of the queues
	asked   int
}

// frames is what a queue has received.
func frames(queue int) uint64 { return uint64(1000 + queue) }

func (k *kernel) command(_ string, b []byte) error {
	now := k.moments[0]
	if k.asked++; len(k.moments) > 1 {
		k.moments = k.moments[1:]
	}
	command := native.Uint32(b)
	switch {
	case command == ethtoolSetInfo && len(now) == 0:
		native.PutUint64(b[8:], 0)
		return nil
	case command == ethtoolSetInfo:
		native.PutUint32(b[16:], uint32(len(now)))
		return nil
	case len(now) == 0:
		return syscall.EOPNOTSUPP
	case command == ethtoolStrings:
		native.PutUint32(b[8:], uint32(len(now)))
		for i, queue := range now {
			copy(b[12+i*stringLength:][:stringLength], fmt.Sprintf("q%d_rx_frames\x00", queue))
		}
		return nil
	}
	native.PutUint32(b[4:], uint32(len(now)))
	for i, queue := range now {
		native.PutUint64(b[8+i*8:], frames(queue))
	}
	return nil
}

// TestCountersOfMovingQueues: names and values that do not belong together are asked for
// again, whichever call the change comes before.
func TestCountersOfMovingQueues(t *testing.T) {
	a, b, none := []int{0, 1, 2}, []int{0, 2}, []int{}
	swapped, grown := []int{0, 2, 1}, []int{0, 1, 2, 3}
	for name, test := range map[string]struct {
		moments [][]int
		want    []int
	}{
		"still":                      {[][]int{a}, a},
		"fewer before the names":     {[][]int{a, b}, b},
		"fewer before the values":    {[][]int{a, a, b}, b},
		"fewer after the values":     {[][]int{a, a, a, b}, b},
		"more before the values":     {[][]int{a, a, grown}, grown},
		"others before the values":   {[][]int{a, a, swapped}, swapped},
		"all go before the values":   {[][]int{a, a, none}, none},
		"all go, and some come":      {[][]int{a, none, a}, a},
		"none":                       {[][]int{none}, none},
		"changes at each of a dozen": {[][]int{a, a, b, a, a, b, b, a, b, a, swapped, a}, a},
	} {
		k := &kernel{moments: test.moments}
		got, err := newEthtool(k.command).counters("mytun0")
		want := map[int]counters{}
		for _, queue := range test.want {
			want[queue] = counters{"rx_frames": frames(queue)}
		}
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
}

// TestCountersOfWildQueues: it ends all the same.
func TestCountersOfWildQueues(t *testing.T) {
	var moments [][]int
	for i := 0; i < 1000; i++ {
		moments = append(moments, []int{i, i + 1})
	}
	k := &kernel{moments: moments}
	if _, err := newEthtool(k.command).counters("mytun0"); err == nil || !strings.Contains(err.Error(), "come and go") || k.asked > 40 {
		t.Errorf("after %d calls: %v", k.asked, err)
	}
}

// TestMoreCountersThanThereIsRoomFor are not asked for.
func TestMoreCountersThanThereIsRoomFor(t *testing.T) {
	k := &kernel{moments: [][]int{make([]int, statisticsMax/2+1)}}
	if _, err := newEthtool(k.command).counters("mytun0"); err == nil || !strings.Contains(err.Error(), "more than") || k.asked != 1 {
		t.Errorf("after %d calls: %v", k.asked, err)
	}
}
