// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"syscall"
	"time"
)

// moduleName is the module's, its devices' kind and its node's name.
const moduleName = "mytun"

// A sample is what there is at one moment.
type sample struct {
	at        time.Time
	namespace uint64
	devices   []device // by name
	denied    bool     // some processes could not be looked at
	elsewhere int      // queues of devices in other network namespaces
}

// A device is a mytun device with its queues.
type device struct {
	link
	queues []queue // by number
}

// A queue is what is known of one.
type queue struct {
	number   int
	parked   bool
	broken   []string // nil: not known
	rings    *rings
	counters counters
	owners   []owner // by number
}

// A system is where samples come from: tests have another.
type system struct {
	proc, sys string // where these are mounted
	links     func() ([]link, error)
	counters  func(device string) (map[int]counters, error)
	now       func() time.Time
}

func openSystem() (*system, error) {
	e, err := openEthtool()
	if err != nil {
		return nil, err
	}
	return &system{proc: "/proc", sys: "/sys", links: readLinks, counters: e.counters, now: time.Now}, nil
}

// sample looks at the devices that are wanted, all if that is none.
func (s *system) sample(wanted []string) (sample, error) {
	links, err := s.links()
	if err != nil {
		return sample{}, err
	}
	held, err := readHoldings(s.proc)
	if err != nil {
		return sample{}, fmt.Errorf("look for the processes that hold queues: %w", err)
	}
	r := sample{at: s.now(), namespace: namespaceOf(filepath.Join(s.proc, "self")), denied: held.denied}
	for _, l := range links {
		if l.kind != moduleName || !isWanted(l.name, wanted) {
			continue
		}
		attached, err := s.counters(l.name)
		if errors.Is(err, syscall.ENODEV) {
			continue // it has just gone
		}
		if err != nil {
			return sample{}, err
		}
		r.devices = append(r.devices, device{l, joinQueues(&l, attached, held.of(l.name, r.namespace))})
	}
	sort.Slice(r.devices, func(i, j int) bool { return r.devices[i].name < r.devices[j].name })
	r.elsewhere = held.elsewhere(r.namespace)
	return r, nil
}

func isWanted(name string, wanted []string) bool {
	for _, w := range wanted {
		if w == name {
			return true
		}
	}
	return len(wanted) == 0
}

// of are the holdings of a device's queues.
func (h *holdings) of(device string, namespace uint64) (found []holding) {
	for _, one := range h.found {
		if one.device == device && one.namespace == namespace {
			found = append(found, one)
		}
	}
	return found
}

// elsewhere is how many queues are held of devices in other namespaces.
func (h *holdings) elsewhere(namespace uint64) int {
	type key struct {
		namespace uint64
		device    string
		queue     int
	}
	queues := map[key]bool{}
	for _, one := range h.found {
		if one.namespace != namespace {
			queues[key{one.namespace, one.device, one.queue}] = true
		}
	}
	return len(queues)
}

// joinQueues puts together what is known of a device's queues. One that is held but not
// attached is parked, or has gone between two looks.
func joinQueues(l *link, attached map[int]counters, held []holding) []queue {
	queues := map[int]*queue{}
	for number, c := range attached {
		queues[number] = &queue{number: number, counters: c}
	}
	for _, h := range held {
		q := queues[h.queue]
		if q == nil {
			if l.mytun.parked == 0 {
				continue
			}
			q = &queue{number: h.queue, parked: true, counters: h.counters}
			queues[h.queue] = q
		}
		q.broken, q.rings = h.broken, h.rings
		q.addOwner(h.owner)
	}
	joined := make([]queue, 0, len(queues))
	for _, q := range queues {
		joined = append(joined, *q)
	}
	sort.Slice(joined, func(i, j int) bool { return joined[i].number < joined[j].number })
	return joined
}

// addOwner adds a process once, however many descriptors it has.
func (q *queue) addOwner(o owner) {
	for _, known := range q.owners {
		if known.PID == o.PID {
			return
		}
	}
	q.owners = append(q.owners, o)
	sort.Slice(q.owners, func(i, j int) bool { return q.owners[i].PID < q.owners[j].PID })
}
