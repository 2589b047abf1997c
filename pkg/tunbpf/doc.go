// SPDX-License-Identifier: MIT

// Package tunbpf has eBPF programs for tun and tap devices, ready to be attached
// with mytunev's [mytunev.Device.AttachSteering] and
// [mytunev.Device.AttachFilter]: which queue a frame goes to, and whether the
// process gets it at all.
//
//   - [NewFlowSteering]: by the flow inside a tunnel. The kernel's own hash looks
//     into IP in IP and GRE too, but takes VXLAN and Geneve for UDP between the
//     tunnel's ends, from a port that the sender made up to one that is fixed: one
//     flow, or many whose directions do not meet.
//   - [NewCPUSteering]: by the CPU that the frame is sent on, with a map that can
//     be changed at any time.
//   - [NewPrefixFilter]: drops by a list of IP prefixes, which can be changed at
//     any time.
//
// The programs are assembled when they are made: that takes no compiler and no
// type information. They are of type ebpf.SocketFilter and suit stock tun's
// TUNSETSTEERINGEBPF and TUNSETFILTEREBPF as well. To load them takes CAP_BPF and
// Linux 6.1; to attach them, no more than the device.
//
// A device holds the program that is attached to it, and the program its maps:
// closing them here leaves the device with what it has, unable to be changed.
package tunbpf
