// SPDX-License-Identifier: MIT

//go:build linux

// Command soak lets a device work for a long time under all that can happen to one:
// traffic both ways in frames of all sizes, queues that come and go, rings that are
// resized, and a process that is killed and started again, at random from a seed.
//
// It is two processes. The host is the kernel's side: sockets that send to the device
// and receive from it, and the hand that kills. The worker has the device open, through
// pkg/mytunev as users do. Each frame carries its flow, its life (of which worker it is)
// and its number in both; the rest is a pattern that depends on them. What both counted
// is in memory that they share, where it outlives a worker that is killed.
//
// Accounts are made up whenever traffic is held up to change something: every frame that
// was sent has come, once, unchanged and in order. With back-pressure there is no other
// way; without it the device may have dropped frames, if it has counted each of them.
// After a kill all that came has to be the gapless begin of what was sent; the rest is
// counted as lost in kills. Beside it another device comes and goes that is written
// without rings, in TCP streams (see writeStreams), and others must not have to wait
// for any of this longer than a bound (package watch). In the end the module holds as much as in the beginning.
package main
