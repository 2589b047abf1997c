// SPDX-License-Identifier: MIT

// Package mytunev makes a process a network interface: it opens a mytun device
// and moves frames through rings that the process shares with the kernel. Under
// load no system call is made for frames in either direction; when there is
// nothing to do, nothing spins.
//
// The ev is for events: frames come by callback, and both sides sleep on eventfds and
// epoll, where programs for a tun device call read and write.
//
// Where the mytun module is not loaded (modprobe mytun), or may not be used, the same
// program runs over the kernel's own tun driver, with a system call for each frame: see
// [Backend]. Creating a device takes CAP_NET_ADMIN. On systems other than Linux the
// package builds, and [Open] returns [ErrNotSupported].
//
// # A complete program
//
// This one answers pings to every address that is routed to its device:
//
//	package main
//
//	import (
//		"context"
//		"encoding/binary"
//		"log"
//
//		"github.com/mytun/mytun/pkg/mytunev"
//	)
//
//	func main() {
//		dev, err := mytunev.Open(mytunev.Config{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer dev.Close()
//		log.Printf("ip addr add 10.1.0.1/24 dev %s && ip link set %[1]s up && ping 10.1.0.2", dev.Name())
//		log.Fatal(dev.Run(context.Background(), answer))
//	}
//
//	func answer(b *mytunev.Batch) error {
//		for f := range b.Frames() {
//			p := f.Data
//			if len(p) < 28 || p[0] != 0x45 || p[9] != 1 || p[20] != 8 { // IPv4, ICMP, echo request
//				continue
//			}
//			for i := range 4 { // from there to here: all sums stay what they are
//				p[12+i], p[16+i] = p[16+i], p[12+i]
//			}
//			p[20] = 0 // echo reply: 0x0800 less, which the checksum has more
//			sum := uint32(binary.BigEndian.Uint16(p[22:])) + 0x0800
//			binary.BigEndian.PutUint16(p[22:], uint16(sum+sum>>16))
//			if err := b.Send(p); err != nil {
//				return err
//			}
//		}
//		return nil
//	}
//
// # Receiving
//
// [Device.Run] calls a [Handler] with batches of frames, up to 256 at a time. The
// frames are lent: [Frame].Data is ring memory, valid until the Handler returns
// and open to change until then. What is needed longer is to be copied. While a
// Handler runs, the kernel fills the rest of the ring; when that is full too,
// frames wait in the kernel, so a slow Handler loses nothing for a while, and a
// Handler that never returns stops the queue.
//
// A program that has a loop of its own, and pulls, calls [Queue.ReadBatch]: one batch a
// call, with a deadline. [Queue.Read] is for one frame at a time.
//
// # Sending
//
// Inside a Handler, [Batch] sends: Reserve a slot, fill it, Commit; or Send, which
// copies. Outside, [Queue.Send] sends one frame, and [Queue.SendBatch] many at the
// cost of one. All of them write into ring memory, and the kernel is rung up only
// if it sleeps. A frame is sent once it is in the ring; a frame that the kernel
// then refuses is counted in [KernelStats].
//
// A Handler, or a function given to SendBatch, may send on any other queue too. It
// gives up the tx rings that it has whenever it has to wait, so such functions never
// wait for each other. A reservation it cannot give up: between Reserve and Commit a
// call that would have to wait fails.
//
// # Super-packets
//
// With Config.Offload one frame may stand for many: Frame.SegmentSize tells. From
// queue to queue, [Tx.SendFrame] keeps it whole; package gso cuts up what has to go
// elsewhere, joins what comes from there, and completes checksums.
//
// # Queues
//
// A device has one or more queues, each with rings of its own and a thread of its
// own in the kernel. The frames of a flow come through one queue: that from which
// the program last sent a frame of it, or one that a hash selects. A program that
// answers on the Batch's own queue keeps its flows where they are. One that scales opens as many queues as it has CPUs to use; Device.Run serves each
// on its own goroutine. Config.LockThreads and Config.CPUs give it a thread, or a CPU,
// of its own, and Config.BusyPoll makes it look at an empty ring for a bounded time
// before it sleeps: for programs that have CPUs to spare. [Device.AttachSteering] lets
// an eBPF program choose the queues, and [Device.AttachFilter] lets one drop frames
// before they come into a ring; package tunbpf has some.
//
// # The network device
//
// [Open] leaves it down and without an address. [Device.WatchLink] tells when somebody sets it up
// or down, gives it another MTU or another name, or deletes it.
//
// # Closing
//
// Close and the end of a context make Run return promptly. Neither interrupts a
// Handler or waits for one, so both may be called from anywhere, a Handler included; the
// rings stay mapped until none runs. When Run has returned no Handler runs any more, and when
// Close has too, the device is gone:
//
//	go func() { ended <- dev.Run(ctx, handler) }()
//	...
//	err := dev.Close()
//	<-ended
//
// After Close every method returns [ErrClosed], but slices of ring memory that a program kept
// against the rules are gone: to touch one crashes the program.
package mytunev
