// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mytun/mytun/internal/syscount"
)

// An event is what all lines of JSON have. The package documentation explains
// the fields of all types here.
type event struct {
	Event  string `json:"event"`
	Device string `json:"device"`
	Mode   string `json:"mode"`
	Queues int    `json:"queues"`
}

// A report tells of one interval.
type report struct {
	event
	Reason           string            `json:"reason,omitempty"`
	Seconds          float64           `json:"seconds"`
	Packets          uint64            `json:"packets"`
	PacketsPerSecond float64           `json:"packets_per_second"`
	ReceivedBytes    uint64            `json:"received_bytes"`
	SentBytes        uint64            `json:"sent_bytes"`
	EchoReplies      uint64            `json:"echo_replies"`
	Answered         answeredFrames    `json:"answered"`
	Ignored          ignoredFrames     `json:"ignored"`
	Wakeups          uint64            `json:"wakeups"`
	WakeupsPerPacket float64           `json:"wakeups_per_packet"`
	FromKernel       uint64            `json:"doorbells_from_kernel"`
	FromKernelSpared uint64            `json:"doorbells_from_kernel_spared"`
	ToKernel         uint64            `json:"doorbells_to_kernel"`
	KthreadSleeps    uint64            `json:"kthread_sleeps"`
	RxRingFull       uint64            `json:"rx_ring_full"`
	TxRingFull       uint64            `json:"tx_ring_full"`
	Dropped          uint64            `json:"dropped"`
	Drops            map[string]uint64 `json:"drops"`
	Syscalls         *syscallReport    `json:"syscalls,omitempty"`

	drops []drop // with texts
}

type answeredFrames struct {
	IPv4Echo  uint64 `json:"ipv4_echo"`
	IPv6Echo  uint64 `json:"ipv6_echo"`
	ARP       uint64 `json:"arp"`
	Neighbour uint64 `json:"neighbour"`
}

type ignoredFrames struct {
	Other    uint64 `json:"other"`
	Address  uint64 `json:"address"`
	Extended uint64 `json:"extended"`
	Checksum uint64 `json:"checksum"`
	Invalid  uint64 `json:"invalid"`
}

type syscallReport struct {
	ReadWrite uint64       `json:"read_write_calls"`
	Packet    uint64       `json:"packet_calls"`
	EventFD   uint64       `json:"eventfd_calls"`
	Other     uint64       `json:"other_calls"`
	Stdio     uint64       `json:"stdio_calls"`
	Total     uint64       `json:"total_calls"`
	Lost      uint64       `json:"lost_calls"`
	Calls     []callReport `json:"calls"`

	// The same four by direction.
	packet, eventFD, other, stdio readsAndWrites
}

// readsAndWrites counts calls of the read and the write family.
type readsAndWrites struct{ reads, writes uint64 }

func (rw *readsAndWrites) total() uint64 { return rw.reads + rw.writes }

type callReport struct {
	Name      string  `json:"name"`
	Number    int     `json:"number"`
	FD        int     `json:"fd"`
	On        string  `json:"on,omitempty"`
	Count     uint64  `json:"count"`
	PerPacket float64 `json:"per_packet"`
}

// newReport tells of s, the difference of two snapshots, which took seconds. The
// open files say what the system calls were on.
func newReport(e event, s snapshot, took time.Duration, open descriptors) *report {
	packets := s.tally.packets()
	frames := &s.tally.frames
	r := &report{
		event:            e,
		Seconds:          took.Seconds(),
		Packets:          packets,
		PacketsPerSecond: float64(packets) / max(took.Seconds(), 1e-9),
		ReceivedBytes:    s.tally.received,
		SentBytes:        s.tally.replied,
		EchoReplies:      frames[echo4] + frames[echo6],
		Answered:         answeredFrames{frames[echo4], frames[echo6], frames[arpRequest], frames[solicitation]},
		Ignored: ignoredFrames{frames[ignoredOther], frames[ignoredAddress], frames[ignoredExtended],
			frames[ignoredChecksum], frames[ignoredInvalid]},
		Wakeups:          s.stats.Wakeups,
		WakeupsPerPacket: ratio(s.stats.Wakeups, packets),
		FromKernel:       s.stats.RxDoorbells,
		FromKernelSpared: s.stats.RxDoorbellsSuppressed,
		ToKernel:         s.stats.Doorbells,
		KthreadSleeps:    s.stats.KthreadSleeps,
		RxRingFull:       s.stats.RxRingFull,
		TxRingFull:       s.stats.SpaceWaits,
		Dropped:          totalDrops(s.stats),
		Drops:            map[string]uint64{},
		drops:            drops(s.stats),
	}
	for _, d := range r.drops {
		r.Drops[d.key] = d.frames
	}
	if s.calls != nil {
		r.Syscalls = newSyscallReport(s.calls, packets, open)
		r.Syscalls.Lost = s.lost
	}
	return r
}

func newSyscallReport(calls syscount.Counts, packets uint64, open descriptors) *syscallReport {
	r := &syscallReport{Calls: []callReport{}}
	for c, n := range calls {
		r.Total += n
		r.classify(c, n, open)
	}
	r.Packet, r.EventFD, r.Other, r.Stdio = r.packet.total(), r.eventFD.total(), r.other.total(), r.stdio.total()
	r.ReadWrite = r.Packet + r.EventFD + r.Other
	byCount := func(a, b syscount.Call) int {
		return cmp.Or(cmp.Compare(calls[b], calls[a]), cmp.Compare(a.Number, b.Number), cmp.Compare(a.FD, b.FD))
	}
	for _, c := range slices.SortedFunc(maps.Keys(calls), byCount) {
		one := callReport{Name: c.Name(), Number: c.Number, FD: c.FD, Count: calls[c], PerPacket: ratio(calls[c], packets)}
		if c.FD != syscount.NoFD {
			one.On = open.describe(c.FD)
		}
		r.Calls = append(r.Calls, one)
	}
	return r
}

// classify adds n calls to where they belong.
func (r *syscallReport) classify(c syscount.Call, n uint64, open descriptors) {
	class := r.class(open.role(c.FD))
	switch {
	case c.IsRead():
		class.reads += n
	case c.IsWrite():
		class.writes += n
	}
}

func (r *syscallReport) class(role role) *readsAndWrites {
	switch role {
	case roleStdio:
		return &r.stdio
	case roleEventFD:
		return &r.eventFD
	case roleOther:
		return &r.other
	}
	return &r.packet
}

func ratio(n, packets uint64) float64 {
	if packets == 0 {
		return 0
	}
	return float64(n) / float64(packets)
}
