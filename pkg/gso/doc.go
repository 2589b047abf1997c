// SPDX-License-Identifier: MIT

// Package gso cuts super-packets into frames, joins frames into super-packets and
// fills in checksums, for programs that use package mytunev with Config.Offload.
//
// A super-packet is one frame that stands for many of one TCP or UDP flow: their
// headers once, their payloads one after the other, and a [mytunev.VNetHeader] that
// says where to cut. It costs about as much as a single frame, so a program should
// pass it on whole where it can. From one mytun device to another, Tx.SendFrame
// does; this package is for the other ways:
//
//   - a [Splitter] cuts what came from a device into frames that a socket can carry;
//   - a [Coalescer] joins what came from a socket before it is sent to a device;
//   - [Checksum] completes a frame whose checksum was left to be computed.
//
// A super-packet may be within a UDP tunnel, as of VXLAN and Geneve, over IPv4 and IPv6,
// with or without a checksum outside. A Splitter takes it whatever the tunnel; a Coalescer
// makes one only after [Coalescer.JoinTunnels].
//
// All three take IPv4 and IPv6, with Ethernet header (TAP, at most one VLAN tag)
// or without (TUN), and none allocates memory for a frame. What a frame or its
// VNetHeader says of itself is not trusted: lengths and offsets that lie end in an
// error from a Splitter and Checksum, and a Coalescer leaves such frames alone.
//
// The code is its own because the libraries there are belong to something larger.
// The splitter that github.com/tailscale/wireguard-go/tun exports knows no Ethernet
// header and brings a WireGuard transport with it, and what joins frames there is not
// exported. gVisor's gro package works on its stack's packet buffers alone. Nebula
// (github.com/slackhq/nebula/overlay) does both ways, for IP packets without
// Ethernet: it joins what its firewall has parsed, and cuts up in place, so that a
// frame lent by a ring would be spent. Header fields and sums are gVisor's.
package gso
