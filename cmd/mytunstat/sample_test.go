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
	"time"
)

// fakeSystem has these links, whose devices have one attached queue each.
func fakeSystem(proc string, links ...link) *system {
	return &system{
		proc:  proc,
		links: func() ([]link, error) { return links, nil },
		counters: func(name string) (map[int]counters, error) {
			if name == "gone" {
				return nil, fmt.Errorf("statistics of gone: %w", syscall.ENODEV)
			}
			return map[int]counters{0: {"rx_frames": 5}}, nil
		},
		now: func() time.Time { return start },
	}
}

// held is the text of a queue of a device in a namespace.
func held(device, queue, namespace string) string {
	text := strings.Replace(queueText, "mytun0", device, 1)
	text = strings.Replace(text, "queue:\t2", "queue:\t"+queue, 1)
	return strings.Replace(text, "4026532008", namespace, 1)
}

func names(s sample) (names []string) {
	for _, d := range s.devices {
		names = append(names, d.name)
	}
	return names
}

func TestSample(t *testing.T) {
	proc := makeProc(t, 10,
		process{10, "demo", 1, map[int][2]string{3: {node, held("a", "0", "1")}, 4: {node, held("a", "0", "1")}}},
		process{9, "child", 2, map[int][2]string{3: {node, held("a", "0", "1")}, 4: {node, held("a", "7", "1")}}},
		process{11, "far", 1, map[int][2]string{3: {node, held("a", "0", "2")}, 4: {node, held("a", "0", "2")}, 5: {node, held("z", "0", "2")}}})
	s := fakeSystem(proc, mytunLink(5, "b"), mytunLink(4, "a"), link{name: "lo"}, link{name: "tun0", kind: "tun"}, mytunLink(6, "gone"))
	got, err := s.sample(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(names(got), []string{"a", "b"}) || got.namespace != 1 || got.elsewhere != 2 || !got.at.Equal(start) {
		t.Errorf("got %+v", got)
	}
	q := got.devices[0].queues
	if len(q) != 1 || !reflect.DeepEqual(q[0].owners, []owner{{9, "child"}, {10, "demo"}}) || q[0].counters["rx_frames"] != 5 {
		t.Errorf("queues of a: %+v", q)
	}
	if q := got.devices[1].queues; len(q) != 1 || q[0].owners != nil || q[0].broken != nil || q[0].rings != nil {
		t.Errorf("queues of b, which nobody is seen to hold: %+v", q)
	}
	if got, err := s.sample([]string{"b", "lo", "none"}); err != nil || !reflect.DeepEqual(names(got), []string{"b"}) {
		t.Errorf("chosen: %+v, %v", got, err)
	}
}

// TestParkedQueues are held, and not attached, of a device that has such.
func TestParkedQueues(t *testing.T) {
	parked := holding{owner{1, "p"}, fdinfo{device: "a", queue: 3, counters: counters{"rx_frames": 8}}}
	l := mytunLink(4, "a")
	if got := joinQueues(&l, map[int]counters{0: {}}, []holding{parked}); len(got) != 1 || got[0].number != 0 {
		t.Errorf("without parked queues: %+v", got)
	}
	l.mytun.parked = 1
	got := joinQueues(&l, map[int]counters{0: {}}, []holding{parked})
	if len(got) != 2 || !got[1].parked || got[0].parked || got[1].counters["rx_frames"] != 8 {
		t.Errorf("with one: %+v", got)
	}
}

func TestSampleFails(t *testing.T) {
	broken := errors.New("broken")
	s := fakeSystem(makeProc(t, 1), mytunLink(4, "a"))
	s.counters = func(string) (map[int]counters, error) { return nil, broken }
	if _, err := s.sample(nil); !errors.Is(err, broken) {
		t.Errorf("counters: %v", err)
	}
	s.links = func() ([]link, error) { return nil, broken }
	if _, err := s.sample(nil); !errors.Is(err, broken) {
		t.Errorf("links: %v", err)
	}
	s = fakeSystem("/nowhere")
	if _, err := s.sample(nil); err == nil || !strings.Contains(err.Error(), "processes") {
		t.Errorf("/proc: %v", err)
	}
}
