// SPDX-License-Identifier: MIT

//go:build linux

// Package peer holds the contestants of the benchmark: the ways for a Go program to be a network interface. Each is written as well as its
// author could, with the same rules for all: no allocation a packet, the packet lent to the program where the way allows that, and no
// more work than the way itself needs. What a contestant does with a packet is given to it as a function, so that it is the same for all.
//
// It works on Linux only, and needs CAP_NET_ADMIN.
package peer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrUnable means that a contestant cannot do what it is asked for, by its nature: there is no figure then, rather than a bad one.
var ErrUnable = errors.New("this peer cannot do that")

// A Config says what interface a contestant is to make.
type Config struct {
	Name    string // of the interface
	TAP     bool   // Ethernet frames instead of IP packets
	Queues  int    // 0 means 1
	Offload bool   // super-packets and checksums are left to the other side, by contestants that can
	Ring    int    // bytes of each ring, for contestants with rings of bytes; 0 is their default
	Hold    bool   // hold senders up instead of losing packets, by contestants that can

	BusyPoll time.Duration // look at an empty ring for so long before sleeping, by contestants that can

	// Poller has Receive wait where sockets wait too, so that what it has handed to another goroutine runs at once. A contestant that
	// cannot is unable to.
	Poller bool
}

func (c Config) queues() int {
	return max(c.Queues, 1)
}

// A Peer is a contestant.
type Peer struct {
	// Name is one of package result's.
	Name string
	// Rings tells that packets go through shared memory: then there are doorbells to count.
	Rings bool
	// Ethernet tells that it makes TAP interfaces only: what is asked of it with TUN, it does with an Ethernet header in front.
	Ethernet bool
	// Open makes the interface. It is down and has no address. An error that wraps ErrUnable says that this contestant has none of that kind.
	Open func(c Config) (Device, error)
	// Forward passes packets from a to b and from b to a until ctx is done, which is no error. Both come from Open, with one queue each.
	// It is nil if the contestant cannot.
	Forward func(ctx context.Context, a, b Device) error
}

// A Visitor is what the program does with a packet that came: it may read and change p until it returns. False ends Receive.
type Visitor func(p []byte) bool

// A Device is an open interface of a contestant. Receive and Send may run at the same time, each once a queue.
type Device interface {
	// Name is the interface's.
	Name() string
	// Receive calls visit with each packet of a queue, in order, until visit returns false or ctx is done: neither is an error.
	Receive(ctx context.Context, queue int, visit Visitor) error
	// Send hands the same packet to the kernel count times, as fast as the kernel takes it.
	Send(queue int, packet []byte, count int) error
	// Reflect calls edit with each packet of the first queue and sends back, as edit left them, those for which it returns true.
	Reflect(ctx context.Context, edit Visitor) error
	// Counters returns what has been counted since Open.
	Counters() (Counters, error)
	// FDs are the descriptors through which packets may come and go by system calls.
	FDs() []int
	// Close removes the interface. Receive and Send must have ended.
	Close() error
}

// Counters are a contestant's own.
type Counters struct {
	Doorbells uint64 // notifications, both directions together
	Waits     uint64 // times that a sender found no room and had to wait
}

// Add returns the sum of both.
func (c Counters) Add(o Counters) Counters {
	return Counters{Doorbells: c.Doorbells + o.Doorbells, Waits: c.Waits + o.Waits}
}

// All returns the contestants in the order that a table has them.
func All() []Peer {
	return []Peer{tunReadWrite, tunNAPI, wireguard, vhost, mytun}
}

// ByName returns the contestant of that name: one of All's, or mytun read and written as stock tun is, which tells nothing new of the others.
func ByName(name string) (Peer, error) {
	for _, p := range append(All(), mytunReadWrite) {
		if p.Name == name {
			return p, nil
		}
	}
	return Peer{}, fmt.Errorf("there is no peer %q", name)
}
