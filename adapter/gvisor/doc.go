// SPDX-License-Identifier: MIT

// Package gvisor makes a mytun device of what gVisor's network stack knows as a
// stack.LinkEndpoint: a TCP/IP stack in the process, with a network interface of the kernel's at the
// other end of the link.
//
//	dev, err := mytunev.Open(mytunev.Config{Name: "user0", Offload: mytunev.OffloadTx})
//	endpoint, err := gvisor.New(dev)
//	err = s.CreateNIC(1, endpoint)
//
// What the kernel sends is handed to the stack from the callback, copied once, out of the ring
// into memory of the stack's. What the stack sends is copied once, into the ring, a batch at the
// cost of one frame. With Config.Offload, TCP goes both ways in super-packets of up to 64 KB, and
// nobody computes the checksums of what does not leave the machine. With Config.Queues, flows are spread
// over several queues both ways, so that neither those who send nor what is received meet at one: the
// kernel sends a flow's packets by the queue that it gets them from. Where mytun's module is
// not, the device is stock tun's, by package mytunev's other backend.
//
// A stack that forwards what it gets needs a device without Config.Offload: it forgets that a packet has no checksum yet, or
// is a super-packet.
//
// The stack's interface has the MTU of the device, whoever sets it. Of nothing else that becomes of the device
// is the stack told, as it need not know: while the device is down what it sends is lost,
// as on a wire that is cut, and once it is deleted, sending fails and Endpoint.Err says why. A program that wants
// more of its stack, as DisableNIC for a device that is down, has Device.WatchLink.
//
// The example serves HTTP on an address that no interface of the machine has.
//
// It is a Go module of its own, so that gVisor's stack reaches nobody who does not use it.
package gvisor
