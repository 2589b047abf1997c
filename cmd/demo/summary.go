// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// printText prints r for people, in one write.
func (r *report) printText(w io.Writer) error {
	var b strings.Builder
	r.printTitle(&b)
	r.printFrames(&b)
	r.printNotification(&b)
	r.printDrops(&b)
	if r.Syscalls != nil {
		r.printSyscalls(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) printTitle(b *strings.Builder) {
	fmt.Fprintf(b, "%s, %s, %s: %s in %.1f s, %s/s", r.Device, r.Mode, plural(uint64(r.Queues), "queue"),
		plural(r.Packets, "packet"), r.Seconds, thousands(uint64(r.PacketsPerSecond+0.5)))
	if r.Reason != "" {
		fmt.Fprintf(b, "; ended by %s", r.Reason)
	}
	b.WriteString("\n\n")
}

// A line is one row of the table: what, how many, and what that means.
func line(b *strings.Builder, heading, what string, n uint64, note string) {
	text := fmt.Sprintf("  %-13s %-34s %12s  %s", heading, what, thousands(n), note)
	b.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (r *report) printFrames(b *strings.Builder) {
	line(b, "answered", "IPv4 echo requests", r.Answered.IPv4Echo, "")
	line(b, "", "IPv6 echo requests", r.Answered.IPv6Echo, "")
	if r.Mode == "TAP" {
		line(b, "", "ARP requests", r.Answered.ARP, "")
		line(b, "", "neighbour solicitations", r.Answered.Neighbour, "")
	}
	heading := "left alone"
	for _, ignored := range []struct {
		what string
		n    uint64
	}{
		{"other kinds of packets", r.Ignored.Other},
		{"not for the demo's addresses", r.Ignored.Address},
		{"fragments, options, extensions", r.Ignored.Extended},
		{"wrong checksum", r.Ignored.Checksum},
		{"malformed", r.Ignored.Invalid},
	} {
		if ignored.n > 0 {
			line(b, heading, ignored.what, ignored.n, "")
			heading = ""
		}
	}
	line(b, "bytes", "received", r.ReceivedBytes, "")
	line(b, "", "sent", r.SentBytes, "")
}

func (r *report) printNotification(b *strings.Builder) {
	line(b, "wake-ups", "of this process", r.Wakeups, fmt.Sprintf("%.4f a packet", r.WakeupsPerPacket))
	line(b, "doorbells", "from the kernel", r.FromKernel, "")
	line(b, "", "spared: the process was awake", r.FromKernelSpared, "")
	line(b, "", "to the kernel", r.ToKernel, "one write to an eventfd each")
	line(b, "kernel", "thread went to sleep", r.KthreadSleeps, "only then may a doorbell be needed")
	if r.RxRingFull+r.TxRingFull > 0 {
		line(b, "waits", "of the kernel for the rx ring", r.RxRingFull, "")
		line(b, "", "of this process for the tx ring", r.TxRingFull, "")
	}
}

func (r *report) printDrops(b *strings.Builder) {
	if len(r.drops) == 0 {
		line(b, "dropped", "", 0, "")
	}
	heading := "dropped"
	for _, d := range r.drops {
		line(b, heading, d.text, d.frames, "")
		heading = ""
	}
}

func (r *report) printSyscalls(b *strings.Builder) {
	s := r.Syscalls
	b.WriteString("\n  System calls of this process, counted by eBPF while the loop ran\n\n")
	s.packet.printTo(b, "packets", "on /dev/net/mytun, or on anything unknown")
	s.eventFD.printTo(b, "doorbells", "on eventfds, when the kernel's thread had gone to sleep, or at the end")
	s.stdio.printTo(b, "terminal", "on standard input, output and error")
	s.other.printTo(b, "other files", "such as those of the Go runtime")
	b.WriteString("\n")
	for _, c := range s.Calls {
		fmt.Fprintf(b, "    %-18s %-29s %12s  %.4f a packet\n", c.Name, c.note(), thousands(c.Count), c.PerPacket)
	}
	if s.Lost > 0 {
		fmt.Fprintf(b, "    and %s that found no room in the table\n", plural(s.Lost, "call"))
	}
}

// note says what the calls were on or, if it is not the demo's loop, who made
// them.
func (c *callReport) note() string {
	if c.On != "" {
		return fmt.Sprintf("fd %d, %s", c.FD, c.On)
	}
	switch c.Name {
	case "bpf":
		return "reading these counts"
	case "futex", "nanosleep", "sched_yield", "sched_getaffinity":
		return "Go runtime, scheduling"
	case "tgkill", "getpid", "rt_sigreturn":
		return "Go runtime, preemption"
	}
	return ""
}

func (rw *readsAndWrites) printTo(b *strings.Builder, heading, note string) {
	fmt.Fprintf(b, "    %-12s read %-9s write %-9s %s\n", heading, thousands(rw.reads), thousands(rw.writes), note)
}

// thousands prints n as 1,234,567.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}
