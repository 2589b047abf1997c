// SPDX-License-Identifier: MIT

//go:build linux

// Command fuzz looks for programs that harm the kernel through /dev/net/mytun.
//
// A program is a list of operations for a few threads: what a hostile process
// can do to the device, its rings, its descriptors and its mappings, and what
// happens to the interface meanwhile. It is kept as text (see Program).
//
// Three processes take part. On the host, "fuzz collect" sorts what the virtual
// machine printed into build/fuzz. In the machine, "fuzz run" makes programs,
// each printed before it is run, and looks afterwards at what was reached and at
// whether the machine is still well. It gives them to "fuzz execute", which does
// what they say, and may die of it.
//
// Harm is whatever the kernel says that test/fuzz/allowed does not list, what is
// left when a program has ended, what others had to wait for too long (package
// watch), and what an operation finds wrong itself.
//
// What a program reached is told by the module (kmod/mytun_cover.c), for all
// contexts at once. Programs that reached a block that none before did are kept,
// and most new programs are made from those.
//
// With the same seed the same choices are made from the same corpus. What is
// reached also depends on the threads' timing, so two runs part sooner or later;
// a program's text is what repeats it.
package main
